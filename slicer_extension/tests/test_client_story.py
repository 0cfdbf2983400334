"""What a radiologist does in a day, without a window, against a real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from conftest import Carrier
from PIL import Image
from salt_server import SHAPES, SaltServer
from SALTVesselsLib.answers import EditRequest, Problem, RunView
from SALTVesselsLib.client import Client
from SALTVesselsLib.jobs import Latest
from SALTVesselsLib.pixels import Picture, mask_to_nrrd, to_nrrd


@pytest.fixture
def client(server: SaltServer, requests_carrier: Carrier) -> Client:
    return Client(requests_carrier.transport, server.address)


def truth(server: SaltServer, image: str) -> np.ndarray:
    return np.load(server.truth / f"{image}.npy").astype(np.uint8)


def states(carrier: Carrier, client: Client) -> dict[str, tuple[bool, bool, bool]]:
    return {state.id: (state.done, state.mine, state.taken) for state in carrier.answer(client.images).images}


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def test_from_the_first_image_to_a_version_and_back(server: SaltServer, qt_carrier: Carrier) -> None:
    carrier = qt_carrier
    client = Client(carrier.transport, server.address.replace("http://", ""))
    info = carrier.answer(client.info)
    assert (info.name, info.labels) == ("SALT vessels", ("vessel",))
    assert {"random", "first", "uncertain"} <= {*info.strategies}
    before = info.version

    image = carrier.answer(client.next_image, "first")
    assert states(carrier, client)[image] == (False, True, False)
    picture = carrier.answer(client.fetch_image, image)
    shape = picture.pixels.shape[:3]
    assert (picture.name, shape) == (image, SHAPES[image])

    first = carrier.answer(client.segment, image, shape=shape)
    assert (first.labels, first.version, first.stopped) == ({"vessel": 1}, before, False)
    drawn = truth(server, image) > 0
    assert dice(first.mask > 0, drawn) > 0.5
    k, j, i = np.argwhere(drawn & (first.mask == 0))[0].tolist()
    painted = first.mask.copy()
    painted[0, :20, :20], painted[0, -20:, -20:] = 2, 3
    edit = EditRequest("vessel", mask_to_nrrd(painted), foreground=((i, j, k),))
    corrected = carrier.answer(client.correct, image, edit, shape=shape)
    assert corrected.labels == {"vessel": 1}
    assert corrected.mask[0, :20, :20].all()
    assert not corrected.mask[0, -20:, -20:].any()

    assert carrier.answer(client.fetch_label, image, shape=shape) is None
    carrier.answer(client.submit, image, mask_to_nrrd(drawn), {"vessel": 1}, params={"seconds_taken": 40})
    assert states(carrier, client)[image] == (True, False, False)
    assert (carrier.answer(client.fetch_label, image, shape=shape) == drawn).all()
    assert carrier.answer(client.next_image, "first") != image
    assert carrier.answer(client.next_image, "first", reopen=image) == image

    assert len(carrier.answer(client.train, {"learning_rate": 0.01})) > 10
    events: list = []
    carrier.answer(client.follow_training, events.append, seconds=120)
    assert events[-1].kind == "done", events[-1].detail
    steps = events[:-1]
    assert [event.step for event in steps] == [*range(1, len(steps) + 1)]
    assert all(0 < event.share <= 1.5 and event.loss > 0 for event in steps)
    learned = events[-1].stats["version"]

    versions = carrier.answer(client.versions)
    assert versions.versions[-1].name == learned
    assert versions.versions[-1].training["images"] >= 1
    assert carrier.answer(client.promote, learned) == learned
    assert carrier.answer(client.info).version == learned
    assert carrier.answer(client.segment, image, shape=shape).version == learned
    assert carrier.answer(client.roll_back) == versions.versions[-1].parent
    assert carrier.answer(client.promote, before) == before


def test_an_image_arrives_with_its_values_and_its_place(
    server: SaltServer, requests_carrier: Carrier, client: Client
) -> None:
    colour = requests_carrier.answer(client.fetch_image, "fundus_2")
    assert (colour.pixels[0] == np.asarray(Image.open(server.images / "fundus_2.png"))).all()
    assert colour.facts["spacing_known"] == "0"
    gray = requests_carrier.answer(client.fetch_image, "gray")
    assert (gray.pixels[0] == np.asarray(Image.open(server.images / "gray.png"))).all()
    run = requests_carrier.answer(client.fetch_image, "run")
    assert (run.pixels.shape, run.pixels.dtype) == (SHAPES["run"], np.uint16)
    expected = [[0, 0.5, 0, 10], [0.25, 0, 0, -20], [0, 0, -1, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(run.ijk_to_lps, expected, atol=1e-9)


def test_a_view_of_a_run_is_segmented_and_a_frame_is_carried(requests_carrier: Carrier, client: Client) -> None:
    shape = SHAPES["run"]
    outline = requests_carrier.answer(client.segment, "run", shape=shape, view=RunView(9, 11), job="story-view")
    assert np.flatnonzero(outline.mask.any(axis=(1, 2))).tolist() == [9, 10, 11]
    job = requests_carrier.answer(client.job, "story-view")
    assert (job.done, job.of, job.state) == (3, 3, "done")
    least = RunView(projection="minimum")
    projected = requests_carrier.answer(client.segment, "run", shape=shape, view=least).mask
    assert (projected == projected[:1]).all()
    edit = EditRequest("vessel", mask_to_nrrd(outline.mask), carry=(8, 11), key_frames=(10,))
    carried = requests_carrier.answer(client.correct, "run", edit, shape=shape)
    assert np.flatnonzero(carried.mask.any(axis=(1, 2))).tolist() == [8, 9, 10, 11]
    assert (carried.mask[10] == outline.mask[10]).all()


def test_a_job_is_watched_and_stopped(requests_carrier: Carrier, client: Client) -> None:
    outlines: list = []
    client.segment("run", outlines.append, outlines.append, shape=SHAPES["run"], job="story-stop")
    known: list = []

    def begun() -> bool:
        state = requests_carrier.ask(client.job, "story-stop")
        known.append(state)
        return not isinstance(state, Problem) and state.done >= 1

    requests_carrier.until(begun, 60)
    assert requests_carrier.answer(client.stop_job, "story-stop").state in ("stopping", "stopped")
    requests_carrier.until(lambda: outlines)
    (outline,) = outlines
    assert outline.stopped
    assert not outline.mask[-1].any()


def test_a_mask_is_measured_and_a_narrowing_found(requests_carrier: Carrier, client: Client) -> None:
    mask = np.zeros(SHAPES["gray"], np.uint8)
    mask[0, 50:62, 20:170] = 1
    mask[0, 50:53, 90:100] = mask[0, 59:62, 90:100] = 0
    file = mask_to_nrrd(mask)
    alone = requests_carrier.answer(client.measure, "gray", file, None, label="vessel", shape=SHAPES["gray"])
    assert (alone.profile, alone.measurements[0]["label"], alone.measurements[0]["unit"]) == (None, "vessel", "px")
    between = (40, 55, 0), (150, 55, 0)
    answer = requests_carrier.answer(client.measure, "gray", file, between, label="vessel", shape=SHAPES["gray"])
    profile = answer.profile
    assert profile.reference == pytest.approx(12, abs=0.5)
    assert profile.stenosis == pytest.approx(50, abs=8)
    i, j = profile.points[profile.narrowest]
    assert 88 <= i <= 101
    assert 53 <= j <= 58
    assert profile.positions[0] == 0 < profile.positions[-1]


def test_a_bridge_closes_a_gap(requests_carrier: Carrier, client: Client) -> None:
    mask = requests_carrier.answer(client.segment, "gray", shape=SHAPES["gray"]).mask
    columns = np.flatnonzero(mask[0].any(axis=0))
    middle = int(columns[len(columns) // 2])
    left, right = middle - 4, middle + 4
    rows = [np.flatnonzero(mask[0, :, column]) for column in (left, right)]
    gap = mask.copy()
    gap[0, :, left + 1 : right] = 0
    ends = ((left, int(rows[0][0]), 0), (right, int(rows[1][0]), 0))
    closed = requests_carrier.answer(
        client.correct, "gray", EditRequest("vessel", mask_to_nrrd(gap), bridge=ends), shape=SHAPES["gray"]
    ).mask
    assert closed[0, :, left:right].any(axis=0).all()
    assert not (closed < gap).any()


def test_an_image_is_sent_and_asked_about(
    server: SaltServer, requests_carrier: Carrier, client: Client, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    place = np.diag([0.2, 0.3, 1.0, 1.0])
    place[:3, 3] = 1, 2, 3
    sent = Picture(rng.integers(0, 4096, (2, 60, 70)).astype(np.uint16), place, "ours", {"modality": "XA"})
    name = "sent from Slicer ä#1"
    assert requests_carrier.answer(client.send_image, name, to_nrrd(sent)) == name
    back = requests_carrier.answer(client.fetch_image, name)
    assert (back.pixels == sent.pixels).all()
    np.testing.assert_allclose(back.ijk_to_lps, place)
    assert requests_carrier.answer(client.segment, name, shape=(2, 60, 70)).mask.shape == (2, 60, 70)
    # The other tests are about the drawn ones.
    label = np.zeros((2, 60, 70), np.uint8)
    label[:, 20:25] = 1
    requests_carrier.answer(client.submit, name, mask_to_nrrd(label), {"vessel": 1})


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda c: (c.fetch_image, "none"), "There is no image 'none' in the datastore."),
        (lambda c: (c.next_image, "fastest"), "There is no strategy 'fastest'; this server has random, first,"),
        (lambda c: (c.job, "none"), "There is no job 'none'"),
        (lambda c: (c.promote, "9999"), "9999"),
        (lambda c: (c.submit, "gray", mask_to_nrrd(np.zeros((1, 3, 3))), {"vessel": 1}), "1 x 3 x 3"),
        (lambda c: (c.train, {"seconds": -1}), "Seconds must be above zero"),
    ],
)
def test_a_refusal_is_in_the_servers_own_words(
    requests_carrier: Carrier, client: Client, ask: Callable[[Client], tuple], said: str
) -> None:
    problem = requests_carrier.ask(*ask(client))
    assert isinstance(problem, Problem)
    assert (problem.kind, said in problem.message) == ("refused", True), problem.message


def test_a_click_outside_is_refused_in_the_servers_own_words(requests_carrier: Carrier, client: Client) -> None:
    edit = EditRequest("vessel", foreground=((999, 0, 0),))
    problem = requests_carrier.ask(client.correct, "gray", edit, shape=SHAPES["gray"])
    assert (problem.kind, "outside of" in problem.message) == ("refused", True)


def test_over_a_slow_line_only_the_last_click_is_answered(
    server: SaltServer, qt_carrier: Carrier, slow_proxy: Callable[[str, float], AbstractContextManager[str]]
) -> None:
    latest, heard = Latest(), []
    with slow_proxy(server.address, 0.5) as address:
        client = Client(qt_carrier.transport, address)
        for i in (30, 90, 150):
            edit = EditRequest("vessel", foreground=((i, 80, 0),))
            latest.start(
                "click",
                lambda only, edit=edit: client.correct(
                    "gray_2", edit, *[only(heard.append)] * 2, shape=SHAPES["gray_2"]
                ),
            )
            qt_carrier.turn()
        qt_carrier.until(lambda: heard, 60)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            qt_carrier.turn()
    alone = qt_carrier.answer(
        Client(qt_carrier.transport, server.address).correct, "gray_2", edit, shape=SHAPES["gray_2"]
    )
    (answer,) = heard
    assert (answer.mask == alone.mask).all()
