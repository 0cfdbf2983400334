"""What is done while an answer is on its way is neither lost, nor overwritten, nor taken for another image's."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import slicer
from faulty_server import Act, Faulty, Handler, error_page, hang
from panels import Rig
from salt_server import SHAPES, SaltServer
from SALTVesselsLib import outlines_client
from SALTVesselsLib.pixels import Picture, mask_to_nrrd
from SALTVesselsLib.scene import volumes
from SALTVesselsLib.workflow import segment
from SALTVesselsLib.workflow import server as server_section
from scenes import go_to
from test_panel_faults import PATHS, onward

pytest_plugins = ("scenes", "panels")

FRAMES, ROWS, COLUMNS = SHAPES["run"]


class Gate:
    """Holds requests back until it is opened."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self.reached = threading.Event()

    def before(self, act: Act) -> Act:
        """Do something with a request when the gate is open."""

        def held(handler: Handler) -> None:
            self.reached.set()
            self._opened.wait(60)
            act(handler)

        return held

    def open(self) -> None:
        self._opened.set()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open()


@pytest.fixture
def connected(rig: Rig, server: SaltServer, faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return a panel on a server whose replies can be held back."""
    monkeypatch.setattr(server_section, "PULSE", 0.2)
    monkeypatch.setattr(segment, "PULSE", 0.05)
    for path in (*PATHS, "/datastore/image", *(f"/salt/images/{name}" for name in SHAPES)):
        faulty.at(path, onward(server.address))
    rig.connect(faulty.address)
    rig.until(lambda: rig.panel.server.usable and rig.panel.images.listed)
    return rig


@pytest.fixture
def outlined(connected: Rig, faulty: Faulty) -> Rig:
    """Return a panel with an image that is outlined."""
    connected.open(faulty.address, "gray")
    connected.ui.segmentButton.click()
    connected.until(lambda: not connected.panel.segment.running)
    connected.ui.addTool.click()
    return connected


def submitted(faulty: Faulty) -> int:
    """Return how many outlines were submitted."""
    return sum(seen.method == "PUT" and "/datastore/label" in seen.path for seen in faulty.seen)


def stored(rig: Rig, server: SaltServer, image: str) -> np.ndarray:
    """Return what the server has as the final outline of an image."""
    return rig.read(server.images / "labels" / "final" / f"{image}.nrrd").reshape(SHAPES[image]) > 0


def test_what_is_submitted_has_the_click_that_was_not_answered_yet(
    outlined: Rig, server: SaltServer, faulty: Faulty, gate: Gate
) -> None:
    before = outlined.mask()
    faulty.at("/infer/salt_edit", gate.before(onward(server.address)))
    outlined.press(20, 30)
    outlined.ui.submitButton.click()
    assert "as soon as your last correction was followed" in outlined.says
    gate.open()
    outlined.until(lambda: "was submitted" in outlined.says)
    assert not np.array_equal(outlined.mask(), before)
    assert np.array_equal(stored(outlined, server, "gray"), outlined.mask())


def test_nothing_is_submitted_without_the_click_that_failed(outlined: Rig, faulty: Faulty, gate: Gate) -> None:
    faulty.at("/infer/salt_edit", gate.before(error_page))
    outlined.press(20, 30)
    outlined.ui.submitButton.click()
    gate.open()
    outlined.until(lambda: "was not done; ask again" in outlined.says)
    assert submitted(faulty) == 0
    outlined.ui.submitButton.click()
    outlined.until(lambda: "was submitted" in outlined.says)


def test_a_click_that_is_taken_back_holds_nothing_any_more(outlined: Rig, faulty: Faulty, gate: Gate) -> None:
    faulty.at("/infer/salt_edit", gate.before(error_page))
    outlined.press(20, 30)
    outlined.ui.submitButton.click()
    outlined.ui.undoButton.click()
    outlined.until(lambda: "was submitted" in outlined.says)


def uploadable(name: str) -> slicer.vtkMRMLVolumeNode:
    """Add an image to the scene that the server does not have."""
    pixels = np.random.default_rng(0).integers(0, 250, (1, 96, 96), np.uint8)
    return volumes.add(Picture(pixels, np.diag([0.3, 0.3, 1.0, 1.0]), name, {}))


def test_all_that_is_asked_during_an_upload_is_done_with_the_image_it_was_asked_of(
    connected: Rig, server: SaltServer, faulty: Faulty, gate: Gate
) -> None:
    one, other = uploadable("upload_one"), uploadable("upload_one")
    volumes.show(one)
    first = connected.case
    faulty.at("/datastore/image", gate.before(onward(server.address)))
    connected.panel.correct.click((20, 30, 0), True)
    connected.panel.correct.click((60, 70, 0), True)
    connected.panel.images.choose(other)
    second = connected.case
    connected.panel.correct.click((40, 50, 0), False)
    connected.panel.images.choose(one)
    connected.ui.segmentButton.click()
    connected.panel.images.choose(other)
    gate.open()
    connected.until(lambda: not connected.panel.uploads.busy and first.settled and second.settled)
    assert {first.image, second.image} == {"upload_one", "upload_one_2"}
    connected.until(lambda: f"{first.image} is outlined by" in connected.says)
    first.corrections("vessel", 0).undo()
    assert first.corrections("vessel", 0).foreground == ((20, 30), (60, 70))
    assert second.corrections("vessel", 0).background == ((40, 50),)
    assert not second.corrections("vessel", 0).foreground


def test_a_click_on_an_image_that_could_not_be_sent_waits_until_it_is(
    connected: Rig, server: SaltServer, faulty: Faulty
) -> None:
    volumes.show(uploadable("never_sent"))
    faulty.at("/datastore/image", error_page)
    connected.panel.correct.click((20, 30, 0), True)
    connected.until(lambda: not connected.panel.uploads.busy)
    assert "never_sent was not sent. Clicks on it wait; ask again for anything else." in connected.says
    assert connected.points() == (1, 0)
    faulty.at("/datastore/image", onward(server.address))
    connected.ui.sendButton.click()
    connected.until(lambda: connected.case.image and connected.case.settled)
    assert connected.case.corrections("vessel", 0).foreground == ((20, 30),)


def test_frames_corrected_while_a_run_is_outlined_stay(
    connected: Rig, server: SaltServer, faulty: Faulty, gate: Gate
) -> None:
    connected.open(faulty.address, "run")
    for frame in range(FRAMES):
        connected.case.outlined("vessel", frame, np.ones((ROWS, COLUMNS), bool))
    connected.choose("framesBox", "All frames")
    faulty.at("/infer/salt", gate.before(onward(server.address)))
    connected.ui.segmentButton.click()
    go_to(connected.case.volume, 5)
    connected.ui.undoButton.click()
    assert not connected.mask()[5].any()
    gate.open()
    connected.until(lambda: not connected.panel.segment.running)
    assert not connected.mask()[5].any()
    assert "What you corrected meanwhile stays as it is: 1 frame." in connected.says
    assert not any(connected.mask()[frame].all() for frame in range(FRAMES))


def test_a_run_is_stopped_though_the_server_has_fallen_silent(
    connected: Rig, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlines_client, "INFO", 0.5)
    connected.open(faulty.address, "run")
    connected.choose("framesBox", "All frames")
    faulty.at("/infer/salt", hang)
    connected.ui.segmentButton.click()
    faulty.at(f"/salt/jobs/{connected.panel.segment._job}", hang)
    connected.ui.cancelButton.click()
    connected.until(lambda: not connected.panel.segment.running, 20)
    assert "Stopped." in connected.says
    assert connected.ui.segmentButton.enabled


def test_an_outline_that_comes_from_the_server_late_replaces_nothing(
    connected: Rig, server: SaltServer, faulty: Faulty, gate: Gate
) -> None:
    by_a_colleague(connected, "gray_2")
    faulty.at("/datastore/label", gate.before(onward(server.address)))
    connected.panel.images.open("gray_2")
    connected.until(lambda: connected.case is not None and gate.reached.is_set())
    mine = np.zeros(SHAPES["gray_2"], bool)
    mine[0, 5:9] = True
    connected.case.outlined("vessel", 0, mine[0])
    gate.open()
    connected.until(lambda: not connected.panel.images.busy)
    assert np.array_equal(connected.mask(), mine)


def test_an_image_that_a_colleague_has_just_finished_comes_with_their_outline(connected: Rig) -> None:
    mask = by_a_colleague(connected, "fundus_3")
    assert not any(image.done for image in connected.panel.images.listed if image.id == "fundus_3")
    connected.panel.images.open("fundus_3")
    connected.until(lambda: "as it was submitted" in connected.says)
    assert np.array_equal(connected.mask(), mask)


def by_a_colleague(rig: Rig, image: str) -> np.ndarray:
    """Submit an outline, of which this panel is not told."""
    mask = np.zeros(SHAPES[image], bool)
    mask[0, 20:30] = True
    heard: list[object] = []
    rig.panel.context.client.submit(image, mask_to_nrrd(mask), {"vessel": 1}, heard.append, heard.append)
    rig.until(lambda: heard)
    assert heard == [None]
    return mask


def test_an_image_is_let_go_while_the_outline_before_is_shown(outlined: Rig) -> None:
    outlined.case.outlined("vessel", 0, ~outlined.mask()[0])
    outlined.ui.previousBox.click()
    scene = slicer.mrmlScene
    tag = scene.AddObserver(scene.NodeRemovedEvent, lambda *_: outlined.panel.images.let_go())
    scene.RemoveNode(outlined.case.volume)
    scene.RemoveObserver(tag)
    outlined.check()
    assert outlined.case is None


def test_an_outline_that_was_changed_while_it_waited_is_not_sent(
    outlined: Rig, server: SaltServer, faulty: Faulty
) -> None:
    drawn = np.eye(*SHAPES["gray"][1:], dtype=bool)
    outlined.case.outlined("vessel", 0, drawn)
    outlined.line.down = True
    outlined.ui.submitButton.click()
    outlined.until(lambda: outlined.panel.teach.waiting)
    outlined.ui.undoButton.click()
    outlined.line.down = False
    outlined.until(lambda: "it waits until you submit it again" in outlined.says)
    assert submitted(faulty) == 0
    assert outlined.panel.teach.waiting == ["gray"]
    outlined.ui.redoButton.click()
    outlined.ui.sendWaitingButton.click()
    outlined.until(lambda: not outlined.panel.teach.waiting)
    assert np.array_equal(stored(outlined, server, "gray")[0], drawn)
