"""Where the radiologist clicked is seen on the image that was clicked on, and is nobody else's business."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from SALTVesselsLib.scene import volumes
from SALTVesselsLib.scene.box import Box
from SALTVesselsLib.scene.clicks import Clicks
from scenes import noise, picture, view

pytest_plugins = ("scenes",)

NAMES = ("Added vessel", "Removed vessel", "First place")


@pytest.fixture
def image(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLVolumeNode:
    node = volumes.add(picture(noise(1, 30, 40)))
    volumes.show(node)
    return node


def points(name: str) -> list[tuple[float, float, float]]:
    (node,) = named(name)
    return [node.GetNthControlPointPositionWorld(number) for number in range(node.GetNumberOfControlPoints())]


def named(name: str) -> list[slicer.vtkMRMLMarkupsFiducialNode]:
    return [node for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") if node.GetName() == name]


def test_what_is_shown_takes_the_place_of_all_that_was(image: slicer.vtkMRMLVolumeNode) -> None:
    clicks = Clicks(image)
    places = [volumes.point(image, ijk) for ijk in [(1, 2, 0), (3, 4, 0), (5, 6, 0)]]
    clicks.show(places[:2], places[2:])
    assert np.allclose(points("Added vessel"), places[:2])
    assert np.allclose(points("Removed vessel"), places[2:])
    clicks.show([], places[:1])
    assert points("Added vessel") == []
    assert points("First place") == []
    clicks.show([], places[:1], places[1:2])
    assert np.allclose(points("First place"), places[1:2])
    assert np.allclose(points("Removed vessel"), places[:1])


def test_after_the_last_click_nothing_is_left(image: slicer.vtkMRMLVolumeNode, scene: slicer.vtkMRMLScene) -> None:
    before = scene.GetNumberOfNodes()
    clicks = Clicks(image)
    clicks.show([volumes.point(image, (1, 2, 0))], [])
    clicks.close()
    assert scene.GetNumberOfNodes() == before


def test_after_a_box_nothing_is_left(image: slicer.vtkMRMLVolumeNode, scene: slicer.vtkMRMLScene) -> None:
    before = scene.GetNumberOfNodes()
    box = Box(image)
    box.show(volumes.point(image, (1, 2, 0)), volumes.point(image, (8, 9, 0)))
    box.close()
    assert scene.GetNumberOfNodes() == before


def test_a_click_on_a_plane_is_seen_on_that_plane_alone(scene: slicer.vtkMRMLScene) -> None:
    frontal, lateral = (volumes.add(picture(noise(1, 30, 40))) for _ in range(2))
    volumes.show(frontal, lateral)
    Clicks(lateral).show([volumes.point(lateral, (9, 8, 0))], [])
    for name in NAMES:
        assert list(named(name)[0].GetDisplayNode().GetViewNodeIDs()) == [view("Yellow").GetID()]


def test_clicks_are_small_without_names_and_not_saved(image: slicer.vtkMRMLVolumeNode) -> None:
    Clicks(image)
    for name in NAMES:
        (node,) = named(name)
        display = node.GetDisplayNode()
        assert node.GetLocked()
        assert not display.GetPointLabelsVisibility()
        assert not display.GetPropertiesLabelVisibility()
        assert display.GetGlyphScale() < 3
        assert display.GetColor() == display.GetSelectedColor()
        assert not node.GetSaveWithScene()
        assert not display.GetSaveWithScene()
        assert node.GetHideFromEditors()
