"""Runs that Slicer itself loaded from DICOM, of one plane or two, work like those from the server."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from SALTVesselsLib.scene import names, runs, volumes
from SALTVesselsLib.scene.browsing import place
from SALTVesselsLib.scene.segmentation import Outlines
from scenes import Editor, go_to, noise, stripe

pytest_plugins = ("scenes",)


def loaded_by_slicer(
    *planes: np.ndarray, unit: str = "s", step: float = 0.067
) -> tuple[slicer.vtkMRMLSequenceBrowserNode, list[slicer.vtkMRMLVolumeNode]]:
    """Make sequences with one browser, as Slicer's import of an angiogram from DICOM does."""
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    item = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    item.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.diag([-1.0, -1.0, 1.0, 1.0])))
    item.SetSpacing(0.3, 0.3, 1)
    sequences = []
    for pixels in planes:
        sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4: XA run")
        sequence.SetIndexName("time" if unit else "frame")
        sequence.SetIndexUnit(unit)
        for number, frame in enumerate(pixels):
            slicer.util.updateVolumeFromArray(item, frame[None])
            sequence.SetDataNodeAtValue(item, f"{number * step:.3f}" if unit else str(number))
        sequences.append(sequence)
    slicer.mrmlScene.RemoveNode(item)
    for sequence in sequences:
        browser.AddSynchronizedSequenceNode(sequence)
    return browser, [browser.GetProxyNode(sequence) for sequence in sequences]


@pytest.mark.parametrize(("unit", "times"), [("s", "0 67 134 201 268"), ("", None)])
def test_a_run_that_slicer_loaded_works_the_same(scene: slicer.vtkMRMLScene, unit: str, times: str | None) -> None:
    pixels = noise(5, 20, 30, dtype=np.uint16)
    _, (volume,) = loaded_by_slicer(pixels, unit=unit)
    sent = volumes.picture_of(volume)
    assert np.array_equal(sent.pixels, pixels)
    assert sent.facts.get("frame_times_ms") == times
    assert sent.facts["spacing_known"] == "1"
    assert sent.name == "4: XA run"
    names.remember(volume, "upload_1", "a")
    outlines = Outlines(volume, ("vessel",))
    masks, frames = (place(node).sequence for node in (outlines.node, volume))
    assert (masks.GetIndexName(), masks.GetIndexUnit()) == (frames.GetIndexName(), frames.GetIndexUnit())
    assert masks.GetNthIndexValue(3) == frames.GetNthIndexValue(3)
    outlines.put("vessel", np.stack([stripe(number) for number in range(5)]))
    for number in (4, 1):
        go_to(volume, number)
        assert runs.frame(volume) == number
        assert np.array_equal(slicer.util.arrayFromVolume(volume)[0], pixels[number])
        seen = slicer.util.arrayFromSegmentBinaryLabelmap(outlines.node, "vessel", volume)[0]
        assert np.array_equal(seen.astype(bool), stripe(number))
    assert names.image_of(volume, "a") == "upload_1"


def test_the_planes_of_a_biplane_run_are_never_mixed_up(scene: slicer.vtkMRMLScene) -> None:
    planes = noise(4, 20, 30), noise(4, 20, 30, seed=1)
    browser, (frontal, lateral) = loaded_by_slicer(*planes)
    outlines = Outlines(frontal, ("vessel",)), Outlines(lateral, ("vessel",))
    masks = [np.stack([stripe(number + 8 * plane) for number in range(4)]) for plane in range(2)]
    for drawn, mask in zip(outlines, masks, strict=True):
        drawn.put("vessel", mask)
    keys = set()
    for number in range(4):
        browser.SetSelectedItemNumber(number)
        for volume, pixels, drawn, mask in zip((frontal, lateral), planes, outlines, masks, strict=True):
            assert np.array_equal(slicer.util.arrayFromVolume(volume)[0], pixels[number])
            seen = slicer.util.arrayFromSegmentBinaryLabelmap(drawn.node, "vessel", volume)[0]
            assert np.array_equal(seen.astype(bool), mask[number])
            assert np.array_equal(drawn.frame_mask("vessel", number), mask[number])
            keys.add(runs.key(volume))
    assert len(keys) == 8
    assert {frame for _, frame in keys} == {0, 1, 2, 3}
    told = [], []
    for drawn, list_ in zip(outlines, told, strict=True):
        drawn.on_change(list_.append)
    Editor(outlines[1]).paint("vessel", stripe(2)[None])
    assert (told[0], set(told[1])) == ([], {"vessel"})
    assert np.array_equal(outlines[0].mask("vessel"), masks[0])
    assert all(np.array_equal(volumes.picture_of(v).pixels, p) for v, p in zip((frontal, lateral), planes, strict=True))


def test_a_plane_with_fewer_frames_is_matched_by_time(scene: slicer.vtkMRMLScene) -> None:
    planes = noise(6, 20, 30), noise(3, 20, 30, seed=1)
    browser, (frontal, lateral) = loaded_by_slicer(*planes)
    sequence = place(lateral).sequence
    for number in (2, 1):
        sequence.UpdateIndexValue(f"{number * 0.067:.3f}", f"{number * 0.134:.3f}")
    shown = []
    for number in range(6):
        browser.SetSelectedItemNumber(number)
        shown.append(runs.frame(lateral))
        assert np.array_equal(slicer.util.arrayFromVolume(lateral)[0], planes[1][shown[-1]])
    assert (shown[0], shown[2], shown[4]) == (0, 1, 2)
    go_to(lateral, 1)
    assert (runs.frame(frontal), runs.frame(lateral)) == (2, 1)


def test_one_plane_is_removed_without_the_other(scene: slicer.vtkMRMLScene) -> None:
    planes = noise(4, 20, 30), noise(4, 20, 30, seed=1)
    browser, (frontal, lateral) = loaded_by_slicer(*planes)
    outlines = Outlines(frontal, ("vessel",)), Outlines(lateral, ("vessel",))
    outlines[1].put_frame("vessel", 3, stripe(3))
    outlines[0].close()
    runs.remove(frontal)
    assert frontal.GetScene() is None
    assert outlines[0].node.GetScene() is None
    go_to(lateral, 3)
    assert np.array_equal(slicer.util.arrayFromVolume(lateral)[0], planes[1][3])
    assert np.array_equal(outlines[1].frame_mask("vessel", 3), stripe(3))
    assert browser.GetScene() is scene
