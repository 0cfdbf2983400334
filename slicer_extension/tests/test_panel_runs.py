"""Runs, single frames of them, two planes, and several labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import slicer
from drawn_runs import draw_run
from panels import Rig, iou, reopened
from salt_server import SALT, SaltServer, salt_server
from SALTVesselsLib.answers import EditRequest
from SALTVesselsLib.scene import volumes
from SALTVesselsLib.scene.browsing import place
from SALTVesselsLib.transport import Ticket
from SALTVesselsLib.workflow import segment
from scenes import go_to

pytest_plugins = ("scenes", "panels")

FRAMES, ROWS, COLUMNS = 16, 144, 160


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs are short."""
    monkeypatch.setattr(segment, "PULSE", 0.05)


@pytest.fixture(scope="module")
def angiography(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SaltServer]:
    """Return a server with two planes of a run, which knows arteries and veins."""
    if not SALT.exists():
        pytest.skip(f"there is no server to test against: {SALT} does not exist; set SALT to the `salt` command")
    folder = tmp_path_factory.mktemp("angiography")
    with salt_server(folder, "labels=artery,vein") as running:
        for seed, name in ((20, "plane_a"), (22, "plane_b")):
            draw_run(running, name, seed, FRAMES, ROWS, COLUMNS)
        yield running


@pytest.fixture
def opened(rig: Rig, angiography: SaltServer) -> Rig:
    """Return a panel with one plane in view."""
    rig.connect(angiography.address)
    rig.await_image("plane_b")
    rig.open(angiography.address, "plane_a")
    return rig


def test_a_run_is_opened_frame_by_frame_and_outlined_as_a_whole(opened: Rig, angiography: SaltServer) -> None:
    assert opened.case.shape == (FRAMES, ROWS, COLUMNS)
    assert opened.ui.runOptions.visible
    assert slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode")
    opened.ui.framesBox.currentIndex = 1
    seen: list[tuple[int, int]] = []
    opened.panel.context.on_change(lambda: seen.append((opened.ui.progressBar.value, opened.ui.progressBar.maximum)))
    opened.ui.segmentButton.click()
    opened.until(lambda: not opened.panel.segment.running)
    truth = np.load(angiography.truth / "plane_a.npy")
    found = opened.mask("artery") | opened.mask("vein")
    assert [bool(frame.any()) for frame in found][8:11] == [True] * 3
    assert (found[9] & truth).sum() > 0.3 * truth.sum()
    assert any(maximum == FRAMES and value > 0 for value, maximum in seen), "its progress was not shown"
    assert opened.ui.progressBar.value == 0

    # Each frame has its own, and the one that is shown is that of the segmentation node.
    for frame in (4, 9):
        go_to(opened.case.volume, frame)
        node, segment = opened.case.outlines.node, opened.case.outlines.segment_id("artery")
        shown = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment, opened.case.volume)[0] > 0
        assert np.array_equal(shown, opened.mask("artery")[frame])
    assert opened.case.outlines.node.GetDisplayNode().GetVisibility3D() == 0


def test_whichever_run_is_in_view_its_frames_can_be_gone_through(opened: Rig) -> None:
    first = opened.case.volume
    opened.panel.images.open("plane_b")
    opened.until(lambda: opened.case.image == "plane_b" and not opened.panel.images.busy)
    assert opened.browsed[-1] is place(opened.case.volume).browser
    opened.panel.images.choose(first)
    assert opened.browsed[-1] is place(first).browser


def test_one_frame_alone_is_outlined_and_corrected(opened: Rig) -> None:
    go_to(opened.case.volume, 9)
    opened.choose("framesBox", "This frame")
    opened.ui.segmentButton.click()
    opened.until(lambda: not opened.panel.segment.running)
    outlined = opened.mask("artery")
    assert outlined[9].any()
    assert not outlined[[*range(9), *range(10, FRAMES)]].any()
    opened.ui.addTool.click()
    opened.press(30, 40)
    opened.idle()
    corrected = opened.mask("artery")
    assert not np.array_equal(corrected[9], outlined[9])
    assert not corrected[[*range(9), *range(10, FRAMES)]].any()
    assert opened.points() == (1, 0)

    # On another frame there is nothing to take back, and no click.
    go_to(opened.case.volume, 3)
    opened.until(lambda: opened.points() == (0, 0))
    assert not opened.ui.undoButton.enabled
    go_to(opened.case.volume, 9)
    opened.until(lambda: opened.points() == (1, 0))
    opened.ui.undoButton.click()
    assert np.array_equal(opened.mask("artery"), outlined)


def test_the_darkest_over_time_is_one_outline_for_all_frames(opened: Rig) -> None:
    opened.choose("projectionBox", "Darkest over time")
    opened.choose("framesBox", "All frames")
    opened.ui.segmentButton.click()
    opened.until(lambda: not opened.panel.segment.running)
    found = opened.mask("artery")
    assert found[0].any()
    assert (found == found[0]).all()
    assert opened.panel.parameters.projection == "minimum"


def test_the_darkest_over_time_for_one_frame_leaves_the_others(opened: Rig) -> None:
    go_to(opened.case.volume, 9)
    opened.choose("projectionBox", "Darkest over time")
    opened.choose("framesBox", "This frame")
    opened.ui.segmentButton.click()
    go_to(opened.case.volume, 4)
    opened.until(lambda: not opened.panel.segment.running)
    assert list(np.flatnonzero(opened.mask("artery").any(axis=(1, 2)))) == [9]


def test_the_server_is_told_how_the_run_is_looked_at(
    opened: Rig, angiography: SaltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits: list[EditRequest] = []
    client = opened.panel.context.client
    correct = client.correct

    def noted(image: str, edit: EditRequest, *heard: Any, **options: Any) -> Ticket:
        edits.append(edit)
        return correct(image, edit, *heard, **options)

    monkeypatch.setattr(client, "correct", noted)
    go_to(opened.case.volume, 9)
    opened.ui.subtractBox.click()
    opened.ui.addTool.click()
    opened.press(30, 40)
    opened.idle()
    assert [edit.view["subtract"] for edit in edits] == [True]
    # What is chosen for the next outline changes nothing of this one.
    opened.ui.subtractBox.click()
    opened.press(34, 40)
    opened.idle()
    assert [edit.view["subtract"] for edit in edits] == [True, True]
    opened.ui.submitButton.click()
    opened.until(lambda: "was submitted" in opened.says)
    label = {"label": "plane_a", "tag": "final"}
    try:
        info = requests.get(f"{angiography.address}/datastore/label/info", label, timeout=10).json()
        assert info["view"]["subtract"]
    finally:
        gone = {"id": "plane_a", "tag": "final"}
        requests.delete(f"{angiography.address}/datastore/label", params=gone, timeout=10).raise_for_status()


def test_a_long_run_can_be_stopped(opened: Rig) -> None:
    opened.ui.framesBox.currentIndex = 1
    # Nobody has looked at these frames yet, so that each takes its time.
    opened.ui.subtractBox.click()
    opened.ui.segmentButton.click()
    assert opened.ui.cancelButton.enabled
    opened.until(lambda: opened.panel.segment.done > 0)
    opened.ui.cancelButton.click()
    opened.until(lambda: not opened.panel.segment.running)
    assert "Stopped" in opened.says
    outlined = opened.mask("artery").any(axis=(1, 2)) | opened.mask("vein").any(axis=(1, 2))
    assert 0 < outlined.sum() < FRAMES
    assert not opened.ui.cancelButton.enabled


def test_a_run_that_is_stopped_at_once_stops_all_the_same(opened: Rig) -> None:
    opened.ui.framesBox.currentIndex = 1
    opened.ui.segmentButton.click()
    opened.ui.cancelButton.click()
    opened.until(lambda: not opened.panel.segment.running)
    assert not opened.ui.cancelButton.enabled
    assert opened.ui.segmentButton.enabled


def test_one_label_is_corrected_and_the_other_stays(opened: Rig) -> None:
    assert opened.ui.labelBox.visible
    go_to(opened.case.volume, 9)
    opened.ui.segmentButton.click()
    opened.until(lambda: not opened.panel.segment.running)
    artery = opened.mask("artery")
    opened.choose("labelBox", "vein")
    opened.ui.paintTool.click()
    touched = opened.brush.stroke((20, 20), (24, 22))
    assert opened.mask("vein")[9][touched].all()
    assert np.array_equal(opened.mask("artery"), artery)
    opened.ui.addTool.click()
    opened.press(100, 100)
    opened.idle()
    assert opened.mask("vein")[9][touched].all()
    assert np.array_equal(opened.mask("artery"), artery)


def two_frames_painted(rig: Rig) -> tuple[np.ndarray, np.ndarray]:
    """Paint on the frames 4 and 9, and return where, each bool (rows, columns)."""
    rig.ui.paintTool.click()
    go_to(rig.case.volume, 4)
    begun = rig.brush.stroke((20, 20), (60, 24))
    go_to(rig.case.volume, 9)
    return begun, rig.brush.stroke(*((i, 70 + i // 8) for i in range(20, 120)))


def test_the_second_of_two_labels_is_measured_under_its_own_name(opened: Rig) -> None:
    case, panel = opened.case, opened.panel
    for label, rows in (("artery", slice(40, 44)), ("vein", slice(90, 98))):
        drawn = np.zeros((ROWS, COLUMNS), bool)
        drawn[rows, 10:150] = True
        case.outlined(label, case.frame, drawn)
    panel.segment.choose("vein")
    panel.measure.between((30, 94, case.frame), (120, 94, case.frame))
    opened.until(lambda: panel.measure.curve is not None)
    (row,) = panel.measure.rows
    assert row["label"] == "vein"
    assert row["min_diameter"] == pytest.approx(8 * 0.3, abs=0.1)


def test_all_frames_follow_those_that_were_corrected(opened: Rig) -> None:
    opened.choose("framesBox", "Follow corrected")
    opened.ui.segmentButton.click()
    assert "outline this frame" in opened.says
    assert not opened.panel.segment.running
    begun, vessel = two_frames_painted(opened)
    seen: list[int] = []
    opened.panel.context.on_change(lambda: seen.append(opened.ui.progressBar.value))
    opened.ui.segmentButton.click()
    opened.until(lambda: not opened.panel.segment.running)
    found = opened.mask("artery")
    assert np.array_equal(found[4], begun)
    assert np.array_equal(found[9], vessel)
    assert found[[3, 5, 8, 10]].any(axis=(1, 2)).all()
    assert iou(found[10], vessel) > iou(found[10], begun)
    assert max(seen) > 0, "its progress was not shown"
    assert "follow those you corrected" in opened.says
    assert not opened.mask("vein").any()
    # Each frame that followed can be taken back; those that were corrected keep their own way back.
    go_to(opened.case.volume, 10)
    opened.ui.undoButton.click()
    assert not opened.mask("artery")[10].any()
    go_to(opened.case.volume, 9)
    opened.ui.undoButton.click()
    assert not opened.mask("artery")[9].any()


def test_frames_drawn_on_before_the_scene_was_saved_lead_others_too(
    opened: Rig, angiography: SaltServer, tmp_path: Path
) -> None:
    begun, vessel = two_frames_painted(opened)
    with reopened(opened, tmp_path) as again:
        again.choose("framesBox", "Follow corrected")
        again.ui.segmentButton.click()
        again.until(lambda: not again.panel.segment.running)
        found = again.mask("artery")
        assert np.array_equal(found[4], begun)
        assert np.array_equal(found[9], vessel)
        assert found[[3, 5, 8, 10]].any(axis=(1, 2)).all()


def test_the_planes_of_a_run_lie_side_by_side_and_keep_apart(opened: Rig, angiography: SaltServer) -> None:
    first = opened.case
    opened.ui.planesBox.click()
    opened.open(angiography.address, "plane_b")
    second = opened.case
    backgrounds = {
        name: slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode").GetBackgroundVolumeID()
        for name in ("Red", "Yellow")
    }
    assert backgrounds == {"Red": first.volume.GetID(), "Yellow": second.volume.GetID()}
    go_to(second.volume, 9)
    opened.ui.addTool.click()
    # A click on the first plane is about the first.
    opened.panel.tools.click(first.volume, volumes.point(first.volume, (30, 40, 0)))
    opened.idle()
    assert opened.case is first
    assert first.outlines.mask("artery")[9].any(), "the planes are not gone through together"
    assert not second.outlines.mask("artery").any()
    opened.panel.tools.click(second.volume, volumes.point(second.volume, (50, 60, 0)))
    opened.idle()
    assert opened.case is second
    assert second.outlines.mask("artery")[9].any()
    assert not second.outlines.mask("artery")[0].any()
