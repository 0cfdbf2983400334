"""Long requests say how far they are, and can be stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fastapi import HTTPException

from salt_monailabel.serving.access.audit import current_user
from salt_monailabel.serving.jobs import Jobs

from .viewer import Answer, Upload, Viewer, drawing, nrrd, our_server

FRAMES = 60


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    with our_server(tmp_path_factory.mktemp("jobs") / "studies") as connected:
        yield connected


def test_a_job_counts_its_steps_and_ends_done() -> None:
    jobs = Jobs()
    with jobs.running("run") as job:
        seen = [jobs.find("run").public() for _ in job.over("abc", 3)]
    assert [report["done"] for report in seen] == [0, 1, 2]
    assert jobs.find("run").public() == {"done": 3, "of": 3, "state": "done"}
    assert not job.stopped


def test_a_stopped_job_ends_after_the_step_it_is_at() -> None:
    jobs, taken = Jobs(), []
    with jobs.running("run") as job:
        for step in job.over(range(9), 9):
            taken.append(step)
            if step == 2:
                jobs.find("run").stop()
    assert taken == [0, 1, 2]
    assert jobs.find("run").public() == {"done": 3, "of": 9, "state": "stopped"}


def test_a_job_stopped_at_its_last_step_is_whole() -> None:
    jobs = Jobs()
    with jobs.running("run") as job:
        for _ in job.over(range(2), 2):
            if job.done == 1:
                job.stop()
    assert jobs.find("run").state == "done"


def test_a_job_that_fails_says_so_and_its_name_is_free_again() -> None:
    jobs = Jobs()
    with pytest.raises(ZeroDivisionError), jobs.running("run"):
        raise ZeroDivisionError
    assert jobs.find("run").state == "failed"
    with jobs.running("run"), pytest.raises(HTTPException, match="is running"), jobs.running("run"):
        pass


def test_nobody_sees_the_jobs_of_others() -> None:
    jobs = Jobs()
    with jobs.running("run"):
        other = current_user.set("somebody else")
        try:
            with pytest.raises(HTTPException, match="no job"):
                jobs.find("run")
        finally:
            current_user.reset(other)


@pytest.mark.parametrize("name", [7, ["run"], "../run", ""])
def test_a_name_that_is_none_is_refused(viewer: Viewer, name: object) -> None:
    assert viewer.infer("salt", nrrd(drawing()[0][..., 1]), job=name).status_code == 400


def run_of_one_image() -> Upload:
    still = np.repeat(drawing()[0][None, ..., 1], FRAMES, axis=0)
    return nrrd(still + np.arange(FRAMES, dtype=np.uint8)[:, None, None])


def stopped_midway(viewer: Viewer, model: str, mask: Upload | None = None, **params: object) -> tuple[Answer, int]:
    """Ask about a run, have it stopped after some steps, and return the answer and how many there were."""
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(viewer.segment, model, run_of_one_image(), mask, job=model, **params)
        while not asked.done() and viewer.send("GET", f"/salt/jobs/{model}").json().get("done", 0) < 2:
            time.sleep(0.02)
        told = viewer.send("DELETE", f"/salt/jobs/{model}").json()
        answer = asked.result()
    ended = viewer.send("GET", f"/salt/jobs/{model}").json()
    assert ended["state"] == "stopped"
    assert answer.params["stopped"]
    assert 2 <= ended["done"] < told["of"] == ended["of"]
    return answer, ended["done"]


def test_a_run_says_how_far_it_is_and_is_stopped_with_the_frames_it_has(viewer: Viewer) -> None:
    answer, done = stopped_midway(viewer, "salt")
    assert [frame.any() for frame in answer.labels] == [k < done for k in range(FRAMES)]


def test_carrying_is_stopped_with_the_frames_it_has_reached(viewer: Viewer) -> None:
    vessels = drawing()[1].astype(np.uint8)
    before = np.zeros((FRAMES, *vessels.shape), np.uint8)
    before[0], before[-1, :5] = vessels, 1
    asked = {"label_name": "vessel", "key_frames": [0], "carry": [0, FRAMES - 1]}
    answer, done = stopped_midway(viewer, "salt_edit", nrrd(before), **asked)
    assert np.array_equal(answer.labels[0], vessels)
    assert [frame.any() for frame in answer.labels[1:-1]] == [k <= done for k in range(1, FRAMES - 1)]
    # What was drawn on a frame that was not reached is still there.
    assert np.array_equal(answer.labels[-1], before[-1])


def test_a_job_there_is_not_is_answered_404(viewer: Viewer, tmp_path: Path) -> None:
    assert viewer.send("GET", "/salt/jobs/none").status_code == 404
    assert viewer.send("DELETE", "/salt/jobs/none").status_code == 404
