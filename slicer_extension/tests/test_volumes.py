"""Images come and go unchanged, and a point in the world is the right pixel."""

from __future__ import annotations

import numpy as np
import pytest
import scenes
import slicer
import vtk
from hypothesis import given, settings
from hypothesis import strategies as st
from SALTVesselsLib.scene import names, runs, volumes
from scenes import geometries, go_to, moved, new_scene, noise, picture

pytest_plugins = ("scenes",)
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.mark.parametrize("shape", [(1, 5, 7), (4, 5, 7), (1, 5, 7, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_picture_comes_back_as_it_was_sent(scene: slicer.vtkMRMLScene, shape: tuple[int, ...], dtype: type) -> None:
    place = np.array([[0, 0.4, 0, 5], [-0.3, 0, 0, 6], [0, 0, 2, 7], [0, 0, 0, 1.0]])
    sent = picture(noise(*shape, dtype=dtype), place, modality="OP", spacing_known=1)
    node = volumes.add(sent, "patient_1")
    back = volumes.picture_of(node)
    assert np.array_equal(back.pixels, sent.pixels)
    assert back.pixels.dtype == dtype
    assert np.allclose(back.ijk_to_lps, place, atol=1e-12)
    assert (back.name, back.facts) == ("drawn", {"modality": "OP", "spacing_known": "1"})
    assert names.image_of(node, "") == "patient_1"
    assert node.IsA("vtkMRMLVectorVolumeNode") == (len(shape) == 4)
    assert volumes.is_flat(node) == (shape[0] == 1)
    assert volumes.shape(node) == shape[:3]


def test_a_transform_in_slicer_does_not_change_what_is_sent(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7)))
    before = volumes.picture_of(node).ijk_to_lps
    moved(node, np.diag([2.0, -1.0, 1.0, 1.0]))
    assert np.array_equal(volumes.picture_of(node).ijk_to_lps, before)


def test_transparency_is_not_sent(scene: slicer.vtkMRMLScene) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
    slicer.util.updateVolumeFromArray(node, noise(1, 5, 7, 4))
    assert np.array_equal(volumes.picture_of(node).pixels, noise(1, 5, 7, 4)[..., :3])


def test_what_is_sent_is_a_copy(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7)))
    volumes.picture_of(node).pixels[:] = 0
    assert np.array_equal(slicer.util.arrayFromVolume(node), noise(1, 5, 7))


@given(geometries(), geometries(), st.data())
@settings(deadline=None, max_examples=60)
def test_a_point_in_a_voxel_is_that_voxel(own: np.ndarray, parent: np.ndarray, data: st.DataObject) -> None:
    new_scene()
    node = volumes.add(picture(np.zeros((3, 5, 7), np.uint8), own))
    moved(node, parent)
    i, j, k = (data.draw(st.integers(0, size - 1)) for size in (7, 5, 3))
    inside = [data.draw(st.floats(-0.49, 0.49)) for _ in range(3)]
    local = FLIP @ own @ (i + inside[0], j + inside[1], k + inside[2], 1)
    assert volumes.pixel(node, (parent @ local)[:3]) == (i, j, k)
    assert np.allclose(volumes.point(node, (i, j, k)), (parent @ FLIP @ own @ (i, j, k, 1))[:3], atol=1e-6)


@pytest.mark.parametrize("ijk", [(-0.6, 0, 0), (7.6, 0, 0), (0, -0.6, 0), (0, 5.6, 0), (0, 0, -0.6), (0, 0, 0.6)])
def test_a_point_outside_is_no_pixel(scene: slicer.vtkMRMLScene, ijk: tuple[float, float, float]) -> None:
    node = volumes.add(picture(noise(1, 6, 8)))
    assert volumes.pixel(node, volumes.point(node, ijk)) is None


def test_the_first_pixel_of_the_first_slice_is_one(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 6, 8)))
    assert volumes.pixel(node, volumes.point(node, (0, 0, 0))) == (0, 0, 0)


def test_a_transform_that_bends_is_followed(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(np.zeros((1, 40, 50), np.uint8), np.eye(4)))
    corners = [(0, 0, 0), (-50, 0, 0), (0, -40, 0), (-50, -40, 0), (-25, -20, 0), (-25, -20, 9)]
    bend = vtk.vtkThinPlateSplineTransform()
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    for x, y, z in corners:
        source.InsertNextPoint(x, y, z)
        target.InsertNextPoint(x + (6 if (x, y) == (-25, -20) else 0), y, z)
    bend.SetSourceLandmarks(source)
    bend.SetTargetLandmarks(target)
    bend.SetBasisToR()
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    transform.SetAndObserveTransformToParent(bend)
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert volumes.pixel(node, (-25 + 6, -20, 0)) == (25, 20, 0)
    for ijk in [(10, 10, 0), (30, 25, 0), (49, 39, 0)]:
        assert volumes.pixel(node, volumes.point(node, ijk)) == ijk


def test_the_green_companion_is_kept_in_step(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7, 3)))
    green = volumes.green(node)
    assert volumes.green(node) is green
    assert green.GetHideFromEditors()
    assert not green.GetSaveWithScene()
    assert np.array_equal(slicer.util.arrayFromVolume(green), noise(1, 5, 7, 3)[..., 1])
    assert np.array_equal(volumes.ijk_to_ras(green), volumes.ijk_to_ras(node))
    slicer.util.updateVolumeFromArray(node, noise(1, 6, 8, 3, seed=1))
    assert np.array_equal(slicer.util.arrayFromVolume(green), noise(1, 6, 8, 3, seed=1)[..., 1])
    node.SetSpacing(0.5, 0.6, 1)
    assert green.GetSpacing() == (0.5, 0.6, 1)
    transform = moved(node, np.diag([2.0, 1.0, 1.0, 1.0]))
    assert green.GetTransformNodeID() == transform.GetID()
    node.SetAndObserveTransformNodeID(None)
    assert green.GetTransformNodeID() is None


def test_pixels_changed_in_place_reach_the_green_companion(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7, 3)))
    green = volumes.green(node)
    slicer.util.arrayFromVolume(node)[...] = 9
    slicer.util.arrayFromVolumeModified(node)
    assert (slicer.util.arrayFromVolume(green) == 9).all()


def test_a_green_companion_that_was_deleted_is_made_again(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7, 3)))
    scene.RemoveNode(volumes.green(node))
    slicer.util.updateVolumeFromArray(node, noise(1, 5, 7, 3, seed=1))
    again = volumes.green(node)
    assert again.GetScene() is scene
    assert np.array_equal(slicer.util.arrayFromVolume(again), noise(1, 5, 7, 3, seed=1)[..., 1])


def test_a_copied_image_has_its_own_green_companion(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7, 3)))
    green = volumes.green(node)
    copy = scene.CopyNode(node)
    assert volumes.green(copy) is not green
    assert volumes.green(node) is green


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_is_no_green(scene: slicer.vtkMRMLScene, channels: int) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
    slicer.util.updateVolumeFromArray(node, noise(1, 5, 7, channels))
    shown = noise(1, 5, 7, channels)[..., 0 if channels == 2 else 1]
    assert np.array_equal(slicer.util.arrayFromVolume(volumes.green(node)), shown)


def test_a_gray_image_is_its_own_companion(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7)))
    assert volumes.green(node) is node


def test_the_green_companion_of_a_run_follows_its_frames(scene: slicer.vtkMRMLScene) -> None:
    frames = noise(3, 5, 7, 3)
    run = runs.add(picture(frames))
    green = volumes.green(run.volume)
    for number in (2, 1, 0):
        go_to(run.volume, number)
        assert np.array_equal(slicer.util.arrayFromVolume(green)[0], frames[number, ..., 1])


@pytest.mark.parametrize(
    ("name", "spacing", "known"),
    [
        ("a.png", (0.35, 0.35, 1), False),
        ("a.JPEG", (0.35, 0.35, 1), False),
        ("a.nrrd", (0.35, 0.35, 1), True),
        ("a.nrrd", (1, 1, 3), False),
        ("", (0.35, 0.35, 1), True),
    ],
)
def test_an_image_opened_in_slicer_has_millimetres_only_from_its_file(
    scene: slicer.vtkMRMLScene, name: str, spacing: tuple[float, float, float], known: bool
) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    slicer.util.updateVolumeFromArray(node, noise(1, 5, 7))
    node.SetSpacing(spacing)
    if name:
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(name)
    assert volumes.spacing_known(node) == known
    assert volumes.picture_of(node).facts == {"spacing_known": "1" if known else "0"}


def test_the_servers_word_about_millimetres_counts(scene: slicer.vtkMRMLScene) -> None:
    assert volumes.spacing_known(volumes.add(picture(noise(1, 5, 7), np.eye(4), spacing_known=1)))
    assert not volumes.spacing_known(volumes.add(picture(noise(1, 5, 7), spacing_known=0)))


@given(geometries())
@settings(deadline=None, max_examples=40)
def test_an_image_is_shown_whole_upright_and_straight(own: np.ndarray) -> None:
    new_scene()
    node = volumes.add(picture(noise(1, 50, 70), own))
    volumes.show(node)
    red = scenes.view("Red")
    xy_to_ras = slicer.util.arrayFromVTKMatrix(red.GetXYToRAS())
    width, height, _ = red.GetDimensions()
    to_ijk = np.linalg.inv(volumes.ijk_to_ras(node))
    upper_left, lower_right = ((to_ijk @ xy_to_ras @ (x, y, 0, 1))[:3] for x, y in [(0, height - 1), (width - 1, 0)])
    assert np.abs([upper_left[2], lower_right[2]]).max() < 0.01
    assert (upper_left[:2] < 1).all()
    assert lower_right[0] > 68
    assert lower_right[1] > 48
    one_pixel_of_the_view = (lower_right - upper_left)[:2] / (width - 1, height - 1)
    assert (np.abs((upper_left + lower_right)[:2] / 2 - (34.5, 24.5)) < one_pixel_of_the_view).all()
    assert red.GetFieldOfView()[0] / red.GetFieldOfView()[1] == pytest.approx(width / height)


def test_an_image_is_whole_in_a_view_that_gets_its_size_late(scene: slicer.vtkMRMLScene) -> None:
    red = scenes.view("Red")
    node = volumes.add(picture(noise(1, 50, 50)))
    volumes.show(node)
    # As Slicer does when a layout gives a view half of the width: the height that is seen stays.
    width, height, _ = red.GetDimensions()
    seen = red.GetFieldOfView()
    red.SetDimensions(width // 2, height, 1)
    red.SetFieldOfView(seen[1] * (width // 2) / height, seen[1], seen[2])
    volumes.face(node)
    needed = 50 * np.array(node.GetSpacing()[:2])
    assert (np.array(red.GetFieldOfView()[:2]) >= needed - 1e-6).all()
    scene.RemoveNode(node)
    volumes.face(node)


def test_an_image_is_alone_in_all_views_and_two_planes_lie_side_by_side(scene: slicer.vtkMRMLScene) -> None:
    def backgrounds() -> list[str]:
        return [
            scene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode").GetBackgroundVolumeID()
            for name in ("Red", "Yellow", "Green")
        ]

    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    one, other = (volumes.add(picture(noise(1, 5, 7))) for _ in range(2))
    volumes.show(one)
    assert backgrounds() == [one.GetID()] * 3
    assert layout.GetViewArrangement() == layout.SlicerLayoutOneUpRedSliceView
    volumes.show(one, other)
    assert backgrounds() == [one.GetID(), other.GetID(), one.GetID()]
    assert layout.GetViewArrangement() == layout.SlicerLayoutSideBySideView


def test_a_layout_that_the_user_chose_stays(scene: slicer.vtkMRMLScene) -> None:
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpPlotView)
    volumes.show(volumes.add(picture(noise(1, 5, 7))))
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpPlotView


@pytest.mark.parametrize(("dtype", "shown"), [(np.uint8, (0, 255)), (np.uint16, (3, 3000)), (np.float32, (3, 3000))])
def test_an_image_is_shown_over_its_whole_range(
    scene: slicer.vtkMRMLScene, dtype: type, shown: tuple[float, float]
) -> None:
    pixels = np.full((1, 5, 7), 3, dtype)
    pixels[0, 0, 0] = 100 if dtype is np.uint8 else 3000
    for image in (pixels, np.stack([pixels] * 3, axis=-1)):
        display = volumes.add(picture(image)).GetDisplayNode()
        assert (display.GetWindowLevelMin(), display.GetWindowLevelMax()) == shown
        assert not display.GetAutoWindowLevel()
