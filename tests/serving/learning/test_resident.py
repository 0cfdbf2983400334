"""The process that learns: it is given tasks one after the other, and its death costs a task and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from salt_monailabel.serving.learning import resident
from salt_monailabel.serving.learning.resident import ResidentTrainer, Task
from salt_monailabel.serving.options import Options
from salt_monailabel.serving.turns import Turns
from salt_monailabel.versions import VersionStore

from ..viewer import STUB

# Learns until it is told to pause, or to resume.
PATIENT = """
import json, sys
sys.stdin.readline()
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "learn":
        lesson = command["id"]
        step = {"event": "step", "id": lesson, "step": 1, "share": 0.1, "loss": 0.5, "dice": 0.7}
        print(json.dumps(step), flush=True)
    else:
        stats = {"promoted": True, "version": "0001"}
        print(json.dumps({"event": "done", "id": lesson, "stats": stats}), flush=True)
"""
FAILING = """
import json, sys
sys.stdin.readline()
for line in sys.stdin:
    said = {"detail": "there is no labelled image to learn from", "code": 400}
    print(json.dumps({"event": "failed", "id": json.loads(line)["id"], **said}), flush=True)
"""
# Says of each lesson first that another one is done.
CONFUSED = """
import json, sys
sys.stdin.readline()
for line in sys.stdin:
    for lesson, version in (("another", "0001"), (json.loads(line)["id"], "0002")):
        stats = {"promoted": True, "version": version}
        print(json.dumps({"event": "done", "id": lesson, "stats": stats}), flush=True)
"""
# Tells what it was told before it was to learn.
OBEDIENT = """
import json, sys
sys.stdin.readline()
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "learn":
        stats = {"promoted": True, "version": told}
        print(json.dumps({"event": "done", "id": command["id"], "stats": stats}), flush=True)
    told = command["do"]
"""
# Counts what it learns.
COUNTING = """
import json, sys
sys.stdin.readline()
for count, line in enumerate(sys.stdin, 1):
    stats = {"promoted": True, "version": str(count)}
    print(json.dumps({"event": "done", "id": json.loads(line)["id"], "stats": stats}), flush=True)
"""
# The first one to start reads nothing, as if it hung, or ends without having read; the next ones learn.
ONCE = """
import os, pathlib, sys, time
if not pathlib.Path(sys.argv[1]).exists():
    {}
"""
HANGING_ONCE = ONCE.format("pathlib.Path(sys.argv[1]).touch(); time.sleep(600)") + COUNTING
DEAF_ONCE = ONCE.format("os.close(0); pathlib.Path(sys.argv[1]).touch(); time.sleep(0.5); os._exit(3)") + COUNTING
# The first one to start dies of its first lesson, before it says a word of it or after; the next ones learn.
DEAD_ONCE = ONCE.format(
    """print('{"event": "ready"}', flush=True)
    sys.stdin.readline()
    lesson = sys.stdin.readline()
    pathlib.Path(sys.argv[1]).touch()
    BEGUN
    os._exit(3)"""
)
AT_REST = DEAD_ONCE.replace("BEGUN", "") + COUNTING
AT_WORK = (
    DEAD_ONCE.replace("BEGUN", """print(lesson.replace('"do": "learn"', '"event": "begun"'), flush=True)""") + COUNTING
)
# Of more bytes than a pipe takes that nobody reads.
MANY = [{"image": f"{number:0200}.png"} for number in range(500)]


@contextmanager
def trainer(folder: Path, script: str | None = None, on_end: Callable[[], None] = lambda: None) -> Iterator:
    command = STUB if script is None else (sys.executable, "-c", script, str(folder / "started"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resident, "PAUSE_BETWEEN_STARTS", 0.05)
        process = ResidentTrainer(Options(), VersionStore(folder), on_end, command)
        process.start()
        try:
            yield process
        finally:
            process.close()


def until(said: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not said():
        assert time.monotonic() < end
        time.sleep(0.01)


def running(process: ResidentTrainer) -> Task:
    """Give a task and wait until it is under way."""
    task = process.submit({"mode": "update"}, list, enqueue=False)
    until(lambda: task.events)
    return task


def take(turns: Turns) -> None:
    turns.run(lambda: None)


def test_a_task_is_done_with_the_labels_of_its_own_moment(tmp_path: Path) -> None:
    with trainer(tmp_path) as process:
        task = process.submit({"mode": "refit"}, lambda: [{"image": "a.png"}], enqueue=False)
        process.wait(task)
    assert task.status == "DONE"
    assert task.events[0]["event"] == "step"
    stats = task.events[-1]["stats"]
    assert (stats["asked"], stats["pairs"]) == ({"mode": "refit"}, [{"image": "a.png"}])
    public = task.public()
    assert set(public) == {"id", "status", "request", "start_ts", "end_ts", "details"}
    assert "step 1: loss 0.5, Dice 0.7" in public["details"]


def test_a_second_task_is_refused_unless_it_may_wait(tmp_path: Path) -> None:
    with trainer(tmp_path, PATIENT) as process:
        first = running(process)
        with pytest.raises(BlockingIOError, match="under way"):
            process.submit({}, list, enqueue=False)
        second = process.submit({}, list, enqueue=True)
        assert (first.status, second.status) == ("RUNNING", "SUBMITTED")
        assert "details" not in second.public()
        process.yield_to_clicks(True)
        process.wait(first)
        until(lambda: second.events)
        process.yield_to_clicks(False)
        process.wait(second)
    assert (first.status, second.status) == ("DONE", "DONE")


def test_only_tasks_that_are_over_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "REMEMBERED", 2)
    with trainer(tmp_path, PATIENT) as process:
        first = running(process)
        waiting = [process.submit({}, list, enqueue=True) for _ in range(3)]
        assert process.tasks == [first, *waiting]
        process.stop()
        last = process.submit({}, list, enqueue=True)
        assert process.tasks == [*waiting, last]


def test_a_failure_reaches_the_user_in_words(tmp_path: Path) -> None:
    with trainer(tmp_path, FAILING) as process:
        task = process.submit({}, list, enqueue=False)
        process.wait(task)
    assert (task.status, task.details[-1]) == ("ERROR", "there is no labelled image to learn from")
    assert task.events[-1]["code"] == 400


@pytest.mark.parametrize(("script", "end"), [(COUNTING, "DONE"), (FAILING, "ERROR"), (PATIENT, "STOPPED")])
def test_whoever_waits_for_the_end_of_a_training_is_told_however_it_ends(tmp_path: Path, script: str, end: str) -> None:
    told: list[str] = []
    with trainer(tmp_path, script, on_end=lambda: told.append(task.status)) as process:
        task = process.submit({}, list, enqueue=False)
        if end == "STOPPED":
            until(lambda: task.events)
            process.stop()
        process.wait(task)
    assert told == [end]


def test_nobody_is_told_of_a_training_that_ends_with_the_server(tmp_path: Path) -> None:
    told: list[bool] = []
    with trainer(tmp_path, PATIENT, on_end=lambda: told.append(True)) as process:
        task = running(process)
    assert (task.status, told) == ("STOPPED", [])


def test_a_killed_trainer_fails_its_task_and_is_started_anew(tmp_path: Path) -> None:
    with trainer(tmp_path, PATIENT) as process:
        killed = running(process)
        os.kill(process._process.pid, signal.SIGKILL)
        process.wait(killed)
        assert killed.status == "ERROR"
        assert "killed by signal 9" in killed.details[-1]
        again = running(process)
        process.yield_to_clicks(True)
        process.wait(again)
    assert again.status == "DONE"


def test_one_killed_while_it_waits_is_started_anew(tmp_path: Path) -> None:
    with trainer(tmp_path) as process:
        until(lambda: process._process is not None)
        first = process._process
        first.kill()
        until(lambda: process._process not in (None, first))
        task = process.submit({}, list, enqueue=False)
        process.wait(task)
    assert task.status == "DONE"


def test_a_task_is_stopped_on_request(tmp_path: Path) -> None:
    with trainer(tmp_path, PATIENT) as process:
        assert process.stop() is None
        task = running(process)
        assert process.stop() is task
        assert (task.status, task.end_ts is not None) == ("STOPPED", True)
        assert running(process).status == "RUNNING"


def test_a_task_stopped_while_its_labels_are_listed_is_not_learned(tmp_path: Path) -> None:
    listing: list[threading.Thread] = []
    listed = threading.Event()

    def slow() -> list:
        listing.append(threading.current_thread())
        listed.wait(60)
        return []

    with trainer(tmp_path, COUNTING) as process:
        first = process.submit({}, slow, enqueue=False)
        until(lambda: listing)
        before = process._process
        process.stop()
        until(lambda: process._process not in (None, before))
        listed.set()
        listing[0].join(60)
        second = process.submit({}, list, enqueue=False)
        process.wait(second)
    assert first.status == "STOPPED"
    assert (second.status, second.events[-1]["stats"]["version"]) == ("DONE", "1")


def test_labels_that_cannot_be_listed_any_more_leave_a_stopped_task_stopped(tmp_path: Path) -> None:
    listing: list[threading.Thread] = []
    stopped = threading.Event()

    def gone() -> list:
        listing.append(threading.current_thread())
        stopped.wait(60)
        raise OSError("the disk is gone")

    with trainer(tmp_path, COUNTING) as process:
        task = process.submit({}, gone, enqueue=False)
        until(lambda: listing)
        process.stop()
        stopped.set()
        listing[0].join(60)
    assert (task.status, task.details[-1]) == ("STOPPED", "stopped on request")


def test_an_event_of_another_lesson_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    with trainer(tmp_path, CONFUSED) as process:
        task = process.submit({}, list, enqueue=False)
        process.wait(task)
    assert task.events[-1]["stats"]["version"] == "0002"


def test_a_turn_is_taken_at_once_while_the_trainer_does_not_read(tmp_path: Path) -> None:
    with trainer(tmp_path, HANGING_ONCE) as process:
        until((tmp_path / "started").exists)
        process.submit({}, lambda: MANY, enqueue=False)
        until(lambda: process.tasks[0].status == "RUNNING")
        # Long enough for what is written to fill the pipe.
        time.sleep(0.3)
        taken = threading.Thread(target=take, args=(Turns(process.yield_to_clicks),), daemon=True)
        taken.start()
        taken.join(5)
        assert not taken.is_alive()


def test_a_task_stopped_while_nobody_reads_its_lesson_fails_no_other(tmp_path: Path) -> None:
    with trainer(tmp_path, HANGING_ONCE) as process:
        until((tmp_path / "started").exists)
        first = process.submit({}, lambda: MANY, enqueue=False)
        second = process.submit({}, lambda: MANY, enqueue=True)
        until(lambda: first.status == "RUNNING")
        time.sleep(0.3)
        process.stop()
        process.wait(second)
    assert (first.status, second.status, second.events[-1]["stats"]["version"]) == ("STOPPED", "DONE", "1")


def test_a_lesson_that_was_never_read_fails_no_other(tmp_path: Path) -> None:
    with trainer(tmp_path, DEAF_ONCE) as process:
        until((tmp_path / "started").exists)
        first = process.submit({}, list, enqueue=False)
        second = process.submit({}, list, enqueue=True)
        process.wait(second)
    assert (first.status, "exit status 3" in first.details[-1]) == ("ERROR", True)
    assert second.status == "DONE"


@pytest.mark.parametrize(("script", "status"), [(AT_REST, "DONE"), (AT_WORK, "ERROR")])
def test_a_task_given_to_a_trainer_that_had_died_at_rest_is_for_the_next_one(
    tmp_path: Path, script: str, status: str
) -> None:
    with trainer(tmp_path, script) as process:
        task = process.submit({}, list, enqueue=False)
        process.wait(task)
        assert task.status == status
        again = process.submit({}, list, enqueue=False)
        process.wait(again)
        assert again.status == "DONE"


def test_a_trainer_started_while_somebody_waits_pauses_first(tmp_path: Path) -> None:
    with trainer(tmp_path, OBEDIENT) as process:
        until(lambda: process._process is not None)
        before = process._process
        process.yield_to_clicks(True)
        before.kill()
        until(lambda: process._process not in (None, before))
        task = process.submit({}, list, enqueue=False)
        process.wait(task)
    assert task.events[-1]["stats"]["version"] == "pause"


def test_labels_that_cannot_be_listed_fail_the_task_alone(tmp_path: Path) -> None:
    def unreadable() -> list:
        raise OSError("the disk is gone")

    with trainer(tmp_path) as process:
        task = process.submit({}, unreadable, enqueue=False)
        process.wait(task)
        assert (task.status, "the disk is gone" in task.details[-1]) == ("ERROR", True)
        after = process.submit({}, list, enqueue=False)
        process.wait(after)
    assert after.status == "DONE"


def test_a_trainer_that_cannot_be_started_says_so(tmp_path: Path) -> None:
    process = ResidentTrainer(Options(), VersionStore(tmp_path), lambda: None, (str(tmp_path / "missing"),))
    task = process.submit({}, list, enqueue=False)
    process.start()
    try:
        process.wait(task)
    finally:
        process.close()
    assert task.status == "ERROR"
    assert "cannot be started" in task.details[-1]


def test_no_trainer_outlives_its_server(tmp_path: Path) -> None:
    with trainer(tmp_path, PATIENT) as process:
        running(process)
        child = process._process
    assert isinstance(child, subprocess.Popen)
    assert child.wait(timeout=10) is not None
