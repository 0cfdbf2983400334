"""Frames follow each other, and every frame keeps its own mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from SALTVesselsLib.scene import names, runs, volumes
from SALTVesselsLib.scene.clicks import Clicks
from SALTVesselsLib.scene.segmentation import Outlines
from scenes import Editor, geometries, go_to, moved, new_scene, noise, picture, stripe, view

pytest_plugins = ("scenes",)

TIMES = "0 66 133 200 266"


@pytest.fixture
def run(scene: slicer.vtkMRMLScene) -> runs.Run:
    return runs.add(picture(noise(5, 20, 30), modality="XA", frame_times_ms=TIMES, spacing_known=1), "patient_1")


@pytest.mark.parametrize("pixels", [noise(5, 20, 30), noise(5, 20, 30, dtype=np.uint16), noise(5, 20, 30, 3)])
def test_every_frame_is_shown_and_the_run_comes_back_as_it_was_sent(
    scene: slicer.vtkMRMLScene, pixels: np.ndarray
) -> None:
    place = np.array([[0, 0.4, 0, 5], [-0.3, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    sent = picture(pixels, place, modality="XA", frame_times_ms=TIMES, spacing_known=1)
    run = runs.add(sent, "patient_1")
    for number in (0, 4, 2, 3, 1):
        go_to(run.volume, number)
        assert runs.frame(run.volume) == number
        assert np.array_equal(slicer.util.arrayFromVolume(run.volume)[0], pixels[number])
        assert names.image_of(run.volume, "") == "patient_1"
        assert volumes.spacing_known(run.volume)
    back = volumes.picture_of(run.volume)
    assert np.array_equal(back.pixels, pixels)
    assert back.pixels.dtype == pixels.dtype
    assert np.allclose(back.ijk_to_lps, place)
    assert (back.name, back.facts) == (sent.name, sent.facts)
    assert volumes.shape(run.volume) == (5, 20, 30)
    assert volumes.is_flat(run.volume)


def test_frames_are_added_step_by_step(scene: slicer.vtkMRMLScene) -> None:
    steps = runs.add_by_steps(picture(noise(5, 20, 30)))
    assert [next(steps) for _ in range(5)] == [1, 2, 3, 4, 5]
    with pytest.raises(StopIteration) as end:
        next(steps)
    assert volumes.shape(end.value.value.volume) == (5, 20, 30)


@pytest.mark.parametrize(
    ("times", "rate"), [(TIMES, 1000 / 66.5), ("0 500 1000 1500 9000", 2.0), ("", 10.0), ("0 0 0 0 0", 10.0)]
)
def test_a_run_plays_as_fast_as_it_was_taken(scene: slicer.vtkMRMLScene, times: str | None, rate: float) -> None:
    run = runs.add(picture(noise(5, 20, 30), **({"frame_times_ms": times} if times else {})))
    assert run.browser.GetPlaybackRateFps() == pytest.approx(rate)


def test_all_frames_are_equally_bright(scene: slicer.vtkMRMLScene) -> None:
    pixels = noise(5, 20, 30, dtype=np.uint16)
    pixels[3] += 4000
    run = runs.add(picture(pixels))
    display = run.volume.GetDisplayNode()
    for number in range(5):
        go_to(run.volume, number)
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == (pixels.min(), pixels.max())


def test_every_frame_has_its_own_mask(run: runs.Run) -> None:
    outlines = Outlines(run.volume, ("vessel", "catheter"))
    whole = np.stack([stripe(number) for number in range(5)])
    outlines.put("vessel", whole)
    assert np.array_equal(outlines.mask("vessel"), whole)
    for number in (3, 0, 4, 1, 2):
        go_to(run.volume, number)
        seen = slicer.util.arrayFromSegmentBinaryLabelmap(outlines.node, "vessel", run.volume)[0]
        assert np.array_equal(seen.astype(bool), stripe(number))
    assert not outlines.mask("catheter").any()


def test_a_mask_for_a_frame_that_is_not_shown_goes_there_and_not_on_the_screen(run: runs.Run) -> None:
    outlines = Outlines(run.volume, ("vessel",))
    outlines.put_frame("vessel", 0, stripe(0))
    outlines.put_frame("vessel", 3, stripe(9))
    seen = slicer.util.arrayFromSegmentBinaryLabelmap(outlines.node, "vessel", run.volume)[0]
    assert np.array_equal(seen.astype(bool), stripe(0))
    assert np.array_equal(outlines.frame_mask("vessel", 3), stripe(9))
    assert [mask.any() for mask in outlines.mask("vessel")] == [True, False, False, True, False]
    go_to(run.volume, 3)
    seen = slicer.util.arrayFromSegmentBinaryLabelmap(outlines.node, "vessel", run.volume)[0]
    assert np.array_equal(seen.astype(bool), stripe(9))


def test_frames_read_one_by_one_are_right_whichever_is_shown_meanwhile(run: runs.Run) -> None:
    outlines = Outlines(run.volume, ("vessel",))
    whole = np.stack([stripe(number) for number in range(5)])
    outlines.put("vessel", whole)
    go_to(run.volume, 4)
    read = []
    for number, part in enumerate(outlines.parts("vessel")):
        read.append(part)
        go_to(run.volume, number)
    assert np.array_equal(np.concatenate(read), whole)


def test_a_mask_for_another_frame_makes_the_scene_worth_saving(run: runs.Run, tmp_path: Path) -> None:
    outlines = Outlines(run.volume, ("vessel",))
    sequence = run.browser.GetSequenceNode(outlines.node)
    sequence.AddDefaultStorageNode()
    storage = sequence.GetStorageNode()
    storage.SetFileName(str(tmp_path / "outlines.seq.mrb"))
    assert storage.WriteData(sequence)
    assert not sequence.GetModifiedSinceRead()
    outlines.put_frame("vessel", 3, stripe(9))
    assert sequence.GetModifiedSinceRead()


def test_going_from_frame_to_frame_is_no_edit(run: runs.Run) -> None:
    outlines = Outlines(run.volume, ("vessel",))
    outlines.put("vessel", np.stack([stripe(number) for number in range(5)]))
    told = []
    outlines.on_change(told.append)
    for number in (1, 2, 0, 4, 4, 3):
        go_to(run.volume, number)
    run.browser.SetPlaybackActive(True)
    for _ in range(7):
        run.browser.SelectNextItem()
    assert told == []


def test_an_answer_for_the_frame_shown_is_no_edit_later_either(run: runs.Run) -> None:
    outlines = Outlines(run.volume, ("vessel",))
    go_to(run.volume, 2)
    outlines.put_frame("vessel", 2, stripe(4))
    told = []
    outlines.on_change(told.append)
    outlines.node.GetSegmentation().GetSegment("vessel").SetName("another name")
    assert told == []


def test_what_the_user_draws_is_told_and_stays_with_the_frame(run: runs.Run) -> None:
    outlines = Outlines(run.volume, ("vessel", "catheter"))
    outlines.put("vessel", np.stack([stripe(number) for number in range(5)]))
    told = []
    outlines.on_change(told.append)
    go_to(run.volume, 2)
    Editor(outlines).paint("vessel", stripe(12)[None])
    assert set(told) == {"vessel"}
    go_to(run.volume, 4)
    go_to(run.volume, 2)
    expected = np.stack([stripe(number) for number in range(5)])
    expected[2] |= stripe(12)
    assert np.array_equal(outlines.mask("vessel"), expected)
    assert not outlines.mask("catheter").any()


@given(st.data())
@settings(deadline=None, max_examples=25)
def test_masks_of_frames_survive_any_order_of_looking_drawing_and_answering(data: st.DataObject) -> None:
    new_scene()
    run = runs.add(picture(noise(3, 4, 5), data.draw(geometries())))
    if data.draw(st.booleans()):
        moved(run.volume, data.draw(geometries()))
    outlines = Outlines(run.volume, ("vessel", "catheter"))
    expected = {label: np.zeros((3, 4, 5), bool) for label in outlines.labels}
    for _ in range(data.draw(st.integers(1, 8))):
        action = data.draw(st.sampled_from(["look", "put", "put all", "draw"]))
        label, number = data.draw(st.sampled_from(outlines.labels)), data.draw(st.integers(0, 2))
        if action == "look":
            go_to(run.volume, number)
        elif action == "put":
            expected[label][number] = data.draw(arrays(bool, (4, 5)))
            outlines.put_frame(label, number, expected[label][number])
        elif action == "put all":
            expected[label] = data.draw(arrays(bool, (3, 4, 5)))
            outlines.put(label, expected[label])
        else:
            stroke = data.draw(arrays(bool, (4, 5)))
            expected[label][runs.frame(run.volume)] |= stroke
            Editor(outlines).paint(label, stroke[None])
        for name, mask in expected.items():
            assert np.array_equal(outlines.mask(name), mask)


def test_the_previous_outline_goes_with_its_frame(run: runs.Run) -> None:
    outlines = Outlines(run.volume, ("vessel",))
    go_to(run.volume, 2)
    outlines.show_previous(stripe(3))
    (before,) = (node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if node is not outlines.node)
    assert before.GetDisplayVisibility()
    go_to(run.volume, 3)
    assert not before.GetDisplayVisibility()


def test_a_stack_of_frames_knows_which_is_shown(scene: slicer.vtkMRMLScene) -> None:
    pixels = noise(6, 20, 30)
    node = volumes.add(picture(pixels))
    assert np.array_equal(volumes.picture_of(node).pixels, pixels)
    assert runs.frame(node) == 0
    moved(node, np.array([[0, 1, 0, 4], [0, 0, 1, 5], [1, 0, 0, 6], [0, 0, 0, 1.0]]))
    volumes.show(node)
    for number in (0, 5, 2):
        go_to(node, number)
        assert runs.frame(node) == number
    told = []
    stop = runs.on_frame(node, told.append)
    go_to(node, 4)
    assert told == [4]
    stop()
    go_to(node, 1)
    assert told == [4]


def test_another_frame_is_told_when_it_is_in_the_scene(run: runs.Run) -> None:
    told = []
    stop = runs.on_frame(
        run.volume, lambda number: told.append((number, slicer.util.arrayFromVolume(run.volume)[0, 0, 0]))
    )
    go_to(run.volume, 3)
    run.browser.SetPlaybackRateFps(5)
    go_to(run.volume, 1)
    assert told == [(number, noise(5, 20, 30)[number, 0, 0]) for number in (3, 1)]
    stop()
    go_to(run.volume, 0)
    assert len(told) == 2


def test_a_single_image_has_one_frame(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 20, 30)))
    volumes.show(node)
    view("Red").JumpSlice(0, 0, 50)
    assert runs.frame(node) == 0
    assert runs.key(node) == (node.GetID(), 0)


def test_two_planes_of_as_many_frames_are_gone_through_together(run: runs.Run, scene: slicer.vtkMRMLScene) -> None:
    outlines = Outlines(run.volume, ("vessel",))
    go_to(run.volume, 3)
    pixels = noise(5, 20, 30, seed=1)
    lateral = runs.add(picture(pixels), beside=run.volume)
    Outlines(lateral.volume, ("vessel",)).put_frame("vessel", 1, stripe(2))
    assert lateral.browser is run.browser
    for number in (3, 1, 4):
        go_to(run.volume, number)
        assert runs.frame(lateral.volume) == runs.frame(run.volume) == number
        assert np.array_equal(slicer.util.arrayFromVolume(lateral.volume)[0], pixels[number])
    assert not outlines.mask("vessel").any()
    runs.remove(lateral.volume)
    assert slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode") == [run.browser]
    go_to(run.volume, 2)
    assert runs.frame(run.volume) == 2
    # All frames of one that has more could not be reached.
    longer = runs.add(picture(noise(6, 20, 30)), beside=run.volume)
    assert longer.browser is not run.browser


def test_a_removed_image_leaves_nothing_behind(scene: slicer.vtkMRMLScene) -> None:
    volumes.show(kept := volumes.add(picture(noise(1, 20, 30))))
    Outlines(kept, ("vessel",))
    before = {node.GetID() for node in nodes_of(scene)}
    run = runs.add(picture(noise(5, 20, 30, 3)))
    volumes.green(run.volume)
    outlines, clicks = Outlines(run.volume, ("vessel",)), Clicks(run.volume)
    outlines.put("vessel", np.stack([stripe(number) for number in range(5)]))
    outlines.show_previous(stripe(3))
    clicks.show([volumes.point(run.volume, (1, 2, 0))], [])
    outlines.close()
    clicks.close()
    runs.remove(run.volume)
    assert {node.GetID() for node in nodes_of(scene)} == before


def nodes_of(scene: slicer.vtkMRMLScene) -> list[slicer.vtkMRMLNode]:
    return [scene.GetNthNode(number) for number in range(scene.GetNumberOfNodes())]


@pytest.mark.parametrize("frames", [1, 4])
def test_a_closed_scene_disturbs_nobody(
    scene: slicer.vtkMRMLScene, capfd: pytest.CaptureFixture[str], frames: int
) -> None:
    run = runs.add(picture(noise(4, 20, 30, 3)))
    stack = volumes.add(picture(noise(frames, 20, 30, 3)))
    volumes.show(run.volume, stack)
    alive = []
    for volume in (run.volume, stack):
        outlines = Outlines(volume, ("vessel",))
        outlines.put_frame("vessel", 0, stripe(1))
        outlines.show_previous(stripe(3))
        outlines.on_change(lambda label: alive.append(label))
        volumes.green(volume)
        alive.append(outlines)
        runs.on_frame(volume, lambda number: None)
        alive.append(Clicks(volume))
        alive[-1].show([volumes.point(volume, (1, 2, 0))], [])
    capfd.readouterr()
    scene.Clear(0)
    for one in alive:
        one.close()
    said = capfd.readouterr()
    assert "Traceback" not in said.err
    assert "ERR|" not in said.err
