"""A mask becomes a segment and comes back to the pixel; who changed it is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import slicer
import vtk
from clocks import MORE_THAN_ONCE, Clock
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from SALTVesselsLib.scene import colours, nodes, runs, volumes
from SALTVesselsLib.scene.segmentation import Outlines
from scenes import Editor, geometries, masks, moved, new_scene, noise, picture, view

pytest_plugins = ("scenes", "clocks")


def rectangle(shape: tuple[int, int, int], rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[..., slice(*rows), slice(*columns)] = True
    return mask


@pytest.fixture
def image(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLVolumeNode:
    return volumes.add(picture(noise(1, 20, 30)))


@pytest.fixture
def outlines(image: slicer.vtkMRMLVolumeNode) -> Outlines:
    return Outlines(image, ("artery", "vein"))


FIRST = rectangle((1, 20, 30), (2, 9), (3, 12))
OTHER = rectangle((1, 20, 30), (5, 15), (8, 25))


@given(masks, geometries(), geometries(), st.data())
@settings(deadline=None, max_examples=60)
def test_a_mask_is_read_back_equal_and_lies_where_the_image_does(
    mask: np.ndarray, own: np.ndarray, parent: np.ndarray, data: st.DataObject
) -> None:
    new_scene()
    image = volumes.add(picture(np.zeros(mask.shape, np.uint8), own))
    moved(image, parent)
    outlines = Outlines(image, ("artery", "vein"))
    other = data.draw(arrays(bool, mask.shape))
    outlines.put("artery", mask)
    outlines.put("vein", other)
    assert np.array_equal(outlines.mask("artery"), mask)
    assert np.array_equal(outlines.mask("vein"), other)
    # As Slicer itself sees it, resampled onto the image.
    seen = slicer.util.arrayFromSegmentBinaryLabelmap(outlines.node, "artery", image)
    assert np.array_equal(seen.astype(bool), mask)
    # As the 2D view sees it: places of the labelmap's own voxels, through the segmentation's parent transform.
    found = sorted(_pixels_of(outlines, "artery", image))
    assert found == sorted((int(i), int(j), int(k)) for k, j, i in np.argwhere(mask))


def _pixels_of(
    outlines: Outlines, label: str, image: slicer.vtkMRMLVolumeNode
) -> Iterator[tuple[int, int, int] | None]:
    labelmap = slicer.vtkOrientedImageData()
    outlines.node.GetBinaryLabelmapRepresentation(label, labelmap)
    to_local, to_world = vtk.vtkMatrix4x4(), volumes.to_world(outlines.node)
    labelmap.GetImageToWorldMatrix(to_local)
    extent = labelmap.GetExtent()
    columns, rows, slices = (range(extent[axis], extent[axis + 1] + 1) for axis in (0, 2, 4))
    for k in slices:
        for j in rows:
            for i in columns:
                if labelmap.GetScalarComponentAsDouble(i, j, k, 0):
                    yield volumes.pixel(image, to_world.TransformPoint(to_local.MultiplyPoint((i, j, k, 1))[:3]))


def test_segments_overlap_without_erasing_each_other(outlines: Outlines) -> None:
    outlines.put("artery", FIRST)
    outlines.put("vein", OTHER)
    outlines.put("artery", FIRST | OTHER)
    assert np.array_equal(outlines.mask("artery"), FIRST | OTHER)
    assert np.array_equal(outlines.mask("vein"), OTHER)


def test_segments_in_one_layer_are_read_and_written_apart(outlines: Outlines) -> None:
    apart = rectangle((1, 20, 30), (16, 19), (3, 12))
    outlines.put("artery", FIRST)
    outlines.put("vein", apart)
    outlines.node.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert outlines.node.GetSegmentation().GetNumberOfLayers() == 1
    assert np.array_equal(outlines.mask("artery"), FIRST)
    assert np.array_equal(outlines.mask("vein"), apart)
    outlines.put("vein", OTHER)
    assert np.array_equal(outlines.mask("artery"), FIRST)
    assert np.array_equal(outlines.mask("vein"), OTHER)


def test_an_empty_mask_empties_the_segment(outlines: Outlines) -> None:
    outlines.put("artery", FIRST)
    outlines.put("artery", np.zeros_like(FIRST))
    assert not outlines.mask("artery").any()


def test_a_labelmap_of_any_extent_and_grid_is_read_on_the_images(
    outlines: Outlines, image: slicer.vtkMRMLVolumeNode
) -> None:
    segment = outlines.node.GetSegmentation().GetSegment("artery")
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent(-2, 3, 18, 25, 0, 0)
    labelmap.AllocateScalars(vtk.VTK_SHORT, 1)
    labelmap.GetPointData().GetScalars().Fill(segment.GetLabelValue())
    to_ras = volumes.ijk_to_ras(image)
    labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(to_ras))
    segment.AddRepresentation("Binary labelmap", labelmap)
    assert np.array_equal(outlines.mask("artery"), rectangle((1, 20, 30), (18, 20), (0, 4)))
    # The same pixels, counted from another corner.
    shifted = to_ras.copy()
    shifted[:3, 3] += to_ras[:3, :3] @ (10, -17, 0)
    labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(shifted))
    assert np.array_equal(outlines.mask("artery"), rectangle((1, 20, 30), (1, 9), (8, 14)))
    # Pixels twice as large: each is four of the image's.
    coarse = to_ras @ np.diag([2, 2, 1, 1])
    coarse[:3, 3] += to_ras[:3, :3] @ (4.5, -33.5, 0)
    labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(coarse))
    assert np.array_equal(outlines.mask("artery"), rectangle((1, 20, 30), (2, 18), (0, 12)))


def test_only_changes_from_elsewhere_are_told(outlines: Outlines, image: slicer.vtkMRMLVolumeNode) -> None:
    told = []
    outlines.on_change(told.append)
    editor = Editor(outlines)
    outlines.put("artery", FIRST)
    outlines.put("vein", OTHER)
    assert told == []
    editor.paint("artery", OTHER)
    assert set(told) == {"artery"}
    assert np.array_equal(outlines.mask("artery"), FIRST | OTHER)
    told.clear()
    editor.erase("vein", FIRST)
    assert set(told) == {"vein"}
    assert np.array_equal(outlines.mask("vein"), OTHER & ~FIRST)
    told.clear()
    outlines.put("vein", FIRST)
    assert told == []


def test_the_first_stroke_on_empty_outlines_is_of_one_label(outlines: Outlines) -> None:
    told = []
    outlines.on_change(told.append)
    Editor(outlines).paint("vein", FIRST)
    assert set(told) == {"vein"}


def test_the_segment_editors_undo_is_told_and_the_label_found_again(outlines: Outlines) -> None:
    told = []
    outlines.put("artery", FIRST)
    outlines.on_change(told.append)
    editor = Editor(outlines)
    editor.paint("artery", OTHER)
    told.clear()
    editor.logic.Undo()
    assert "artery" in told
    assert np.array_equal(outlines.mask("artery"), FIRST)


def test_pixels_changed_directly_are_told(outlines: Outlines) -> None:
    told = []
    outlines.put("artery", FIRST)
    outlines.on_change(told.append)
    slicer.util.arrayFromSegmentInternalBinaryLabelmap(outlines.node, "artery")[...] = 0
    outlines.node.GetBinaryLabelmapInternalRepresentation("artery").Modified()
    assert told == ["artery"]
    assert not outlines.mask("artery").any()


def test_a_new_name_is_no_change_and_the_segment_is_still_known(outlines: Outlines) -> None:
    told = []
    outlines.put("artery", FIRST)
    outlines.on_change(told.append)
    outlines.node.GetSegmentation().GetSegment("artery").SetName("vein")
    outlines.node.GetSegmentation().GetSegment("vein").SetName("artery")
    assert told == []
    assert np.array_equal(outlines.mask("artery"), FIRST)
    outlines.put("artery", OTHER)
    assert np.array_equal(outlines.mask("artery"), OTHER)
    assert outlines.node.GetSegmentation().GetNumberOfSegments() == 2


def test_a_deleted_segment_is_empty_until_something_is_put_there(outlines: Outlines) -> None:
    told = []
    outlines.put("artery", FIRST)
    outlines.put("vein", OTHER)
    outlines.on_change(told.append)
    outlines.node.GetSegmentation().GetSegment("vein").SetName("artery")
    outlines.node.GetSegmentation().RemoveSegment("artery")
    assert told == ["artery"]
    assert not outlines.mask("artery").any()
    outlines.put("artery", FIRST)
    assert told == ["artery"]
    assert np.array_equal(outlines.mask("artery"), FIRST)
    assert np.array_equal(outlines.mask("vein"), OTHER)


def test_an_editor_is_given_the_segment_of_a_label_even_if_it_was_deleted(outlines: Outlines) -> None:
    told = []
    outlines.node.GetSegmentation().RemoveSegment("vein")
    outlines.on_change(told.append)
    segment_id = outlines.segment_id("vein")
    assert told == []
    Editor(outlines).paint(segment_id, FIRST)
    assert set(told) == {"vein"}
    assert np.array_equal(outlines.mask("vein"), FIRST)


def test_what_a_user_drew_under_a_labels_name_is_that_label(outlines: Outlines) -> None:
    outlines.node.GetSegmentation().RemoveSegment("vein")
    outlines.node.GetSegmentation().AddEmptySegment("Segment_1", "vein")
    Editor(outlines).paint("Segment_1", OTHER)
    assert np.array_equal(outlines.mask("vein"), OTHER)


def test_a_mask_of_another_size_is_refused(outlines: Outlines) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        outlines.put("artery", np.zeros((1, 5, 5), bool))
    with pytest.raises(ValueError, match="does not fit"):
        outlines.put_frame("artery", 0, np.zeros((1, 20, 30), bool))


def test_outlines_of_an_image_are_found_again(outlines: Outlines, image: slicer.vtkMRMLVolumeNode) -> None:
    outlines.put("artery", FIRST)
    outlines.show_previous(OTHER[0])
    again = Outlines(image, ("artery", "vein"))
    assert again.node is outlines.node
    assert np.array_equal(again.mask("artery"), FIRST)
    other = volumes.add(picture(noise(1, 20, 30)))
    assert Outlines(other, ("artery", "vein")).node is not outlines.node


@pytest.mark.parametrize("change", ["origin", "spacing", "transform"])
def test_outlines_stay_on_the_pixels_when_the_image_is_moved(
    outlines: Outlines, image: slicer.vtkMRMLVolumeNode, change: str
) -> None:
    told = []
    outlines.put("artery", FIRST)
    outlines.on_change(told.append)
    if change == "origin":
        image.SetOrigin(50, -60, 70)
    elif change == "spacing":
        image.SetSpacing(2, 3, 1)
    else:
        moved(image, np.diag([2.0, -1.0, 1.0, 1.0]))
    assert told == []
    assert np.array_equal(outlines.mask("artery"), FIRST)
    seen = slicer.util.arrayFromSegmentBinaryLabelmap(outlines.node, "artery", image)
    assert np.array_equal(seen.astype(bool), FIRST)
    Editor(outlines).paint("artery", OTHER)
    assert np.array_equal(outlines.mask("artery"), FIRST | OTHER)


def test_a_slice_of_a_stack_is_read_and_written_alone(scene: slicer.vtkMRMLScene) -> None:
    outlines = Outlines(volumes.add(picture(noise(4, 20, 30))), ("vessel",))
    outlines.put("vessel", np.repeat(FIRST, 4, axis=0))
    outlines.put_frame("vessel", 2, OTHER[0])
    assert np.array_equal(outlines.mask("vessel"), np.concatenate([FIRST, FIRST, OTHER, FIRST]))
    assert np.array_equal(outlines.frame_mask("vessel", 2), OTHER[0])


@given(masks, st.data())
@settings(deadline=None, max_examples=40)
def test_slices_are_written_one_after_another(whole: np.ndarray, data: st.DataObject) -> None:
    new_scene()
    outlines = Outlines(volumes.add(picture(np.zeros(whole.shape, np.uint8))), ("artery", "vein"))
    expected = {label: whole.copy() for label in outlines.labels}
    for label in outlines.labels:
        outlines.put(label, whole)
    outlines.node.GetSegmentation().CollapseBinaryLabelmaps(False)
    for _ in range(data.draw(st.integers(1, 5))):
        label, number = data.draw(st.sampled_from(outlines.labels)), data.draw(st.integers(0, len(whole) - 1))
        expected[label][number] = data.draw(arrays(bool, whole.shape[1:]))
        outlines.put_frame(label, number, expected[label][number])
        for each in outlines.labels:
            assert np.array_equal(outlines.mask(each), expected[each])
        assert outlines.empty == (not any(mask.any() for mask in expected.values()))


def test_a_slice_is_written_on_another_grid(scene: slicer.vtkMRMLScene) -> None:
    stack = volumes.add(picture(noise(4, 20, 30)))
    outlines = Outlines(stack, ("vessel",))
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent(0, 4, 0, 4, 0, 3)
    labelmap.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    segment = outlines.node.GetSegmentation().GetSegment("vessel")
    labelmap.GetPointData().GetScalars().Fill(segment.GetLabelValue())
    coarse = volumes.ijk_to_ras(stack) @ np.diag([2, 2, 1, 1])
    coarse[:3, 3] += volumes.ijk_to_ras(stack)[:3, :3] @ (4.5, 2.5, 0)
    labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(coarse))
    segment.AddRepresentation("Binary labelmap", labelmap)
    before = outlines.mask("vessel")
    assert before.any()
    outlines.put_frame("vessel", 2, OTHER[0])
    assert np.array_equal(outlines.mask("vessel"), np.concatenate([before[:2], OTHER, before[3:]]))


def test_a_slice_that_was_written_is_seen_and_can_be_undone(scene: slicer.vtkMRMLScene) -> None:
    stack = volumes.add(picture(noise(3, 20, 30)))
    outlines = Outlines(stack, ("vessel",))
    editor = Editor(outlines)
    whole = np.repeat(FIRST, 3, axis=0)
    outlines.put("vessel", whole)
    editor.paint("vessel", np.repeat(OTHER, 3, axis=0))
    outlines.put_frame("vessel", 1, np.zeros((20, 30), bool))
    expected = (whole | OTHER) * np.array([1, 0, 1], bool)[:, None, None]
    seen = slicer.util.arrayFromSegmentBinaryLabelmap(outlines.node, "vessel", stack)
    assert np.array_equal(seen.astype(bool), expected)
    editor.logic.Undo()
    assert np.array_equal(outlines.mask("vessel"), whole)


@MORE_THAN_ONCE
def test_a_slice_of_a_large_stack_is_written_while_nobody_waits(scene: slicer.vtkMRMLScene, clock: Clock) -> None:
    outlines = Outlines(volumes.add(picture(np.zeros((96, 512, 512), np.uint8))), ("vessel",))
    for number in (0, 1, 95, 50):
        with clock.watching(f"slice {number}"):
            outlines.put_frame("vessel", number, noise(512, 512) > 200)


def test_surfaces_of_a_stack_follow_its_slices(scene: slicer.vtkMRMLScene) -> None:
    outlines = Outlines(volumes.add(picture(noise(4, 20, 30))), ("artery", "vein"))
    segmentation, name = outlines.node.GetSegmentation(), "Closed surface"
    for label in outlines.labels:
        outlines.put(label, np.repeat(FIRST, 4, axis=0))
    assert segmentation.CreateRepresentation(name)

    def points(label: str) -> int:
        return segmentation.GetSegment(label).GetRepresentation(name).GetNumberOfPoints()

    before = points("artery")
    outlines.put_frame("artery", 2, OTHER[0])
    assert points("artery") != before
    assert points("vein") == before


def test_what_lies_beside_the_image_is_no_outline(outlines: Outlines, image: slicer.vtkMRMLVolumeNode) -> None:
    assert outlines.empty
    segment = outlines.node.GetSegmentation().GetSegment("artery")
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent(-9, -3, -9, -3, 0, 0)
    labelmap.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    labelmap.GetPointData().GetScalars().Fill(segment.GetLabelValue())
    labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(volumes.ijk_to_ras(image)))
    segment.AddRepresentation("Binary labelmap", labelmap)
    assert outlines.empty
    labelmap.SetExtent(-2, 4, -2, 4, 0, 0)
    assert not outlines.empty


def test_there_is_nothing_in_3d_for_a_flat_image(outlines: Outlines, scene: slicer.vtkMRMLScene) -> None:
    assert not outlines.node.GetDisplayNode().GetVisibility3D()
    stack = Outlines(volumes.add(picture(noise(4, 20, 30))), ("vessel",))
    assert stack.node.GetDisplayNode().GetVisibility3D()


def test_the_previous_outline_is_seen_and_changes_nothing(
    outlines: Outlines, image: slicer.vtkMRMLVolumeNode, scene: slicer.vtkMRMLScene
) -> None:
    told = []
    outlines.on_change(told.append)
    outlines.put("artery", FIRST)
    outlines.show_previous(OTHER[0])
    (before,) = (node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if node is not outlines.node)
    seen = slicer.util.arrayFromSegmentBinaryLabelmap(before, before.GetSegmentation().GetNthSegmentID(0), image)
    assert np.array_equal(seen.astype(bool), OTHER)
    assert before.GetDisplayVisibility()
    assert before.GetHideFromEditors()
    assert not before.GetSaveWithScene()
    assert not before.GetDisplayNode().GetSaveWithScene()
    outlines.show_previous(None)
    assert not before.GetDisplayVisibility()
    assert told == []
    assert np.array_equal(outlines.mask("artery"), FIRST)
    outlines.close()
    assert before.GetScene() is None


def test_after_close_nothing_is_told(outlines: Outlines) -> None:
    told = []
    outlines.on_change(told.append)
    outlines.close()
    Editor(outlines).paint("artery", FIRST)
    assert told == []


def test_what_is_drawn_on_one_plane_is_not_shown_over_the_other(scene: slicer.vtkMRMLScene) -> None:
    one, other = (volumes.add(picture(noise(1, 20, 30))) for _ in range(2))
    first, second = Outlines(one, ("vessel",)), Outlines(other, ("vessel",))

    def views(outlines: Outlines) -> list[str]:
        return list(outlines.node.GetDisplayNode().GetViewNodeIDs())

    volumes.show(one)
    assert views(first) == []
    volumes.show(other, one)
    assert views(second) == [view("Red").GetID(), view("Green").GetID()]
    assert views(first) == [view("Yellow").GetID()]
    assert nodes.owner(first.node) is one
    volumes.show(one)
    assert views(first) == []


def test_segments_have_the_labels_names_and_colours(outlines: Outlines) -> None:
    segmentation = outlines.node.GetSegmentation()
    segments = [segmentation.GetNthSegment(number) for number in range(segmentation.GetNumberOfSegments())]
    assert [segment.GetName() for segment in segments] == ["artery", "vein"]
    assert [segment.GetColor() for segment in segments] == [colours.LABELS[0], colours.LABELS[1]]


def test_a_run_of_one_frame_is_a_run(scene: slicer.vtkMRMLScene) -> None:
    run = runs.add(picture(noise(1, 20, 30)))
    outlines = Outlines(run.volume, ("vessel",))
    outlines.put_frame("vessel", 0, FIRST[0])
    assert np.array_equal(outlines.mask("vessel"), FIRST)
