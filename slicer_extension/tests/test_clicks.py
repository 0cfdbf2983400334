"""A point that the mouse sets is heard once, with its image, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import slicer
from SALTVesselsLib.scene import volumes
from SALTVesselsLib.scene.clicks import Clicks
from scenes import moved, noise, picture, view
from slice_view import SliceView

pytest_plugins = ("scenes",)


@pytest.fixture
def red(scene: slicer.vtkMRMLScene) -> SliceView:
    return SliceView()


@pytest.fixture
def image(red: SliceView) -> slicer.vtkMRMLVolumeNode:
    node = volumes.add(picture(noise(1, 30, 40)))
    volumes.show(node)
    return node


@pytest.fixture
def heard() -> list[Any]:
    return []


@pytest.fixture
def clicks(image: slicer.vtkMRMLVolumeNode, heard: list[Any]) -> Iterator[Clicks]:
    made = Clicks([image])
    made.on_click(lambda ras, adds, node: heard.append((volumes.pixel(node, ras), adds, node)))
    yield made
    made.close()


def points() -> dict[str, list[tuple[float, float, float]]]:
    """Return all points that can be seen, by the name of their node."""
    seen = {}
    for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode"):
        for number in range(node.GetNumberOfControlPoints()):
            placed = node.GetNthControlPointPositionStatus(number) == node.PositionDefined
            if placed and node.GetNthControlPointVisibility(number):
                seen.setdefault(node.GetName(), []).append(node.GetNthControlPointPositionWorld(number))
    return seen


def named(name: str) -> list[slicer.vtkMRMLMarkupsFiducialNode]:
    return [node for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") if node.GetName() == name]


def test_presses_are_heard_with_their_pixel_and_their_meaning(
    red: SliceView, image: slicer.vtkMRMLVolumeNode, clicks: Clicks, heard: list[Any]
) -> None:
    clicks.place(adds=True)
    red.press(image, (12, 7, 0))
    red.press(image, (30, 20, 0))
    clicks.place(adds=False)
    red.press(image, (0, 0, 0))
    assert heard == [((12, 7, 0), True, image), ((30, 20, 0), True, image), ((0, 0, 0), False, image)]
    assert {name: len(seen) for name, seen in points().items()} == {"Add vessel": 2, "Remove vessel": 1}


def test_a_press_on_a_moved_image_is_the_pixel_under_it(
    red: SliceView, image: slicer.vtkMRMLVolumeNode, clicks: Clicks, heard: list[Any]
) -> None:
    moved(image, np.array([[0.6, 0.8, 0, 9], [-0.8, 0.6, 0, 9], [0, 0, 1, 9], [0, 0, 0, 1.0]]))
    volumes.show(image)
    clicks.place(adds=True)
    red.press(image, (33, 5, 0))
    assert heard == [((33, 5, 0), True, image)]


def test_a_press_beside_the_image_is_dropped(
    red: SliceView, image: slicer.vtkMRMLVolumeNode, clicks: Clicks, heard: list[Any]
) -> None:
    clicks.place(adds=True)
    red.press(image, (-3, 10, 0))
    assert heard == []
    assert points() == {}
    assert not clicks.undo()
    red.press(image, (3, 10, 0))
    assert heard == [((3, 10, 0), True, image)]


def test_a_click_once_set_is_not_dragged(red: SliceView, image: slicer.vtkMRMLVolumeNode, clicks: Clicks) -> None:
    clicks.place(adds=True)
    red.press(image, (12, 7, 0))
    assert named("Add vessel")[0].GetNthControlPointLocked(0)


def test_undo_takes_back_the_last_point_whatever_it_was(
    red: SliceView, image: slicer.vtkMRMLVolumeNode, clicks: Clicks
) -> None:
    clicks.place(adds=True)
    red.press(image, (12, 7, 0))
    clicks.place(adds=False)
    red.press(image, (20, 7, 0))
    assert clicks.undo()
    assert list(points()) == ["Add vessel"]
    assert clicks.undo()
    assert points() == {}
    assert not clicks.undo()


def test_what_is_shown_takes_the_place_of_all_that_was_set(
    red: SliceView, image: slicer.vtkMRMLVolumeNode, clicks: Clicks, heard: list[Any]
) -> None:
    clicks.place(adds=True)
    red.press(image, (12, 7, 0))
    heard.clear()
    kept = [volumes.point(image, ijk) for ijk in [(1, 2, 0), (3, 4, 0), (5, 6, 0)]]
    clicks.show(image, kept[:2], kept[2:])
    assert heard == []
    assert np.allclose(points()["Added vessel"], kept[:2])
    assert np.allclose(points()["Removed vessel"], kept[2:])
    assert len(points()) == 2
    assert not clicks.undo()
    red.press(image, (20, 9, 0))
    assert heard == [((20, 9, 0), True, image)]
    clicks.clear()
    assert points() == {}


def test_two_points_are_asked_for_once(
    red: SliceView, image: slicer.vtkMRMLVolumeNode, clicks: Clicks, heard: list[Any]
) -> None:
    pairs = []
    clicks.place_two(lambda first, second, node: pairs.append((first, second, node)))
    red.press(image, (-3, 10, 0))
    red.press(image, (4, 5, 0))
    assert pairs == []
    assert clicks.placing
    red.press(image, (30, 25, 0))
    ((first, second, node),) = pairs
    assert (volumes.pixel(image, first), volumes.pixel(image, second)) == ((4, 5, 0), (30, 25, 0))
    assert node is image
    assert not clicks.placing
    assert heard == []
    red.press(image, (8, 8, 0))
    assert len(pairs) == 1


def test_the_right_button_gives_the_mouse_back(
    red: SliceView, image: slicer.vtkMRMLVolumeNode, clicks: Clicks, heard: list[Any]
) -> None:
    clicks.place(adds=True)
    assert clicks.placing
    red.press(image, (8, 8, 0), button="Right")
    assert not clicks.placing
    red.press(image, (8, 8, 0))
    assert heard == []


def test_stop_and_close_give_the_mouse_back(
    image: slicer.vtkMRMLVolumeNode, clicks: Clicks, scene: slicer.vtkMRMLScene
) -> None:
    clicks.place(adds=True)
    clicks.stop()
    assert not clicks.placing
    clicks.place(adds=False)
    clicks.close()
    assert not clicks.placing
    assert scene.GetNumberOfNodesByClass("vtkMRMLMarkupsFiducialNode") == 0


def test_a_press_in_the_view_of_a_plane_is_on_that_plane(scene: slicer.vtkMRMLScene) -> None:
    red, yellow = SliceView("Red"), SliceView("Yellow")
    frontal, lateral = (volumes.add(picture(noise(1, 30, 40))) for _ in range(2))
    clicks, heard = Clicks([frontal, lateral]), []
    clicks.on_click(lambda ras, adds, node: heard.append((volumes.pixel(node, ras), node)))
    volumes.show(frontal, lateral)
    clicks.place(adds=True)
    yellow.press(lateral, (9, 8, 0))
    red.press(frontal, (9, 8, 0))
    assert heard == [((9, 8, 0), lateral), ((9, 8, 0), frontal)]
    clicks.show(lateral, [volumes.point(lateral, (9, 8, 0))], [])
    shown = {node.GetNumberOfControlPoints(): node.GetDisplayNode() for node in named("Added vessel")}
    assert list(shown[1].GetViewNodeIDs()) == [view("Yellow").GetID()]


def test_points_are_small_without_names_and_not_saved(image: slicer.vtkMRMLVolumeNode, clicks: Clicks) -> None:
    assert len(named("Added vessel")) == 1
    for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode"):
        display = node.GetDisplayNode()
        assert not display.GetPointLabelsVisibility()
        assert not display.GetPropertiesLabelVisibility()
        assert display.GetGlyphScale() < 3
        assert display.GetColor() == display.GetSelectedColor()
        assert not node.GetSaveWithScene()
        assert not display.GetSaveWithScene()
        assert node.GetHideFromEditors()
