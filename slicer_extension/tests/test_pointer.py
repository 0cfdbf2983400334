"""The mouse in a slice view: clicks and drags are told, and the view does not see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import vtk
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from SALTVesselsLib.pointer import Pointer
from SALTVesselsLib.scene import volumes
from scenes import geometries, moved, new_scene, picture, view

pytest_plugins = ("scenes",)


@dataclass
class Ear:
    clicks: list[tuple[Any, ...]] = field(default_factory=list)
    drags: list[tuple[Any, ...]] = field(default_factory=list)
    under_way: list[Any] = field(default_factory=list)

    def click(self, volume: Any, ras: Any, other: bool) -> None:
        self.clicks.append((volume, ras, other))

    def dragging(self, volume: Any, begin: Any, now: Any) -> None:
        self.under_way.append(now)

    def drag(self, volume: Any, begin: Any, end: Any) -> None:
        self.drags.append((volume, begin, end))


class Hand:
    """A mouse over a view, the view's own observer, and a pointer that listens."""

    def __init__(self) -> None:
        self.interactor = vtk.vtkGenericRenderWindowInteractor()
        self.seen: list[str] = []
        for event in ("LeftButtonPressEvent", "LeftButtonReleaseEvent", "RightButtonPressEvent", "MouseMoveEvent"):
            self.interactor.AddObserver(event, lambda _, name: self.seen.append(name))
        self.ear = Ear()
        self.pointer = Pointer(lambda: [(self.interactor, view("Red"))])
        self.pointer.watch(self.ear)

    def place(self, image: Any, ijk: tuple[int, int, int]) -> np.ndarray:
        """Return where on the screen a pixel of the image is."""
        to_xy = np.linalg.inv(_matrix(view("Red").GetXYToRAS()))
        return (to_xy @ (*volumes.point(image, ijk), 1.0))[:2]

    def at(self, x: int, y: int, control: int = 0, shift: int = 0) -> None:
        self.interactor.SetEventInformation(x, y, control, shift)

    def do(self, *events: str) -> None:
        for event in events:
            self.interactor.InvokeEvent(f"{event}Event")


def _matrix(matrix: vtk.vtkMatrix4x4) -> np.ndarray:
    return np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])


CLICK = ("LeftButtonPress", "LeftButtonRelease")


@pytest.fixture
def hand(scene: Any) -> Hand:
    volumes.show(volumes.add(picture(np.zeros((1, 40, 50), np.uint8))))
    return Hand()


@settings(max_examples=40, deadline=None)
@given(geometries(), geometries(), st.integers(0, 14), st.integers(0, 10))
def test_a_click_anywhere_is_the_pixel_under_the_mouse(lps: np.ndarray, parent: np.ndarray, i: int, j: int) -> None:
    new_scene()
    image = volumes.add(picture(np.zeros((1, 11, 15), np.uint8), lps))
    moved(image, parent)
    volumes.show(image)
    hand = Hand()
    # The mouse points at whole pixels of the screen: those of the image must not be smaller.
    here, right, below = (hand.place(image, ijk) for ijk in ((i, j, 0), (i + 1, j, 0), (i, j + 1, 0)))
    assume(np.linalg.svd([right - here, below - here], compute_uv=False).min() > 1.5)
    hand.at(*np.rint(here).astype(int).tolist())
    hand.do(*CLICK)
    ((heard, ras, other),) = hand.ear.clicks
    assert heard is image
    assert not other
    assert volumes.pixel(image, ras) == (i, j, 0)


def test_shift_and_the_right_button_are_the_other_click(hand: Hand) -> None:
    hand.at(100, 100, shift=1)
    hand.do(*CLICK)
    hand.at(100, 100)
    hand.do("RightButtonPress", "RightButtonRelease")
    hand.do(*CLICK)
    assert [other for *_, other in hand.ear.clicks] == [True, True, False]


def test_a_double_click_is_two_clicks(hand: Hand) -> None:
    hand.at(100, 100)
    hand.do(*CLICK, "LeftButtonDoubleClick", "LeftButtonRelease")
    assert len(hand.ear.clicks) == 2


def test_what_is_heard_is_not_for_the_view(hand: Hand) -> None:
    hand.at(100, 100)
    hand.do("MouseMove", *CLICK, "MouseMove", "RightButtonPress", "MouseMove", "RightButtonRelease")
    assert hand.seen == ["MouseMoveEvent", "MouseMoveEvent"]


def test_with_control_the_mouse_looks_around_as_ever(hand: Hand) -> None:
    hand.at(100, 100, control=1)
    hand.do(*CLICK)
    assert hand.seen == ["LeftButtonPressEvent", "LeftButtonReleaseEvent"]
    assert not hand.ear.clicks


def test_a_drag_tells_both_ends(hand: Hand) -> None:
    hand.at(100, 100)
    hand.do("LeftButtonPress")
    hand.at(150, 130)
    hand.do("MouseMove", "LeftButtonRelease")
    ((_, begin, end),) = hand.ear.drags
    assert not hand.ear.clicks
    to_ras = _matrix(view("Red").GetXYToRAS())
    np.testing.assert_allclose(np.subtract(end, begin), (to_ras @ (50, 30, 0, 0))[:3], atol=1e-9)
    assert hand.ear.under_way == [end]


def test_a_hand_that_trembles_clicks(hand: Hand) -> None:
    hand.at(100, 100)
    hand.do("LeftButtonPress")
    hand.at(102, 99)
    hand.do("MouseMove", "LeftButtonRelease")
    assert len(hand.ear.clicks) == 1


def test_a_click_on_a_gray_companion_is_one_on_its_image(scene: Any) -> None:
    colour = volumes.add(picture(np.zeros((1, 40, 50, 3), np.uint8)))
    volumes.show(colour)
    hand = Hand()
    volumes.show(volumes.green(colour))
    hand.at(100, 100)
    hand.do(*CLICK)
    ((heard, ras, _),) = hand.ear.clicks
    assert heard is colour
    assert volumes.pixel(colour, ras) == volumes.pixel(volumes.green(colour), ras)


def test_a_click_on_what_another_module_hides_is_for_nobody(hand: Hand) -> None:
    hidden = volumes.add(picture(np.zeros((1, 40, 50), np.uint8)))
    hidden.SetHideFromEditors(True)
    volumes.show(hidden)
    hand.at(100, 100)
    hand.do(*CLICK)
    assert not hand.ear.clicks


def test_the_mouse_is_given_back(hand: Hand) -> None:
    hand.pointer.leave()
    hand.at(100, 100)
    hand.do(*CLICK)
    assert hand.seen == ["LeftButtonPressEvent", "LeftButtonReleaseEvent"]
    assert not hand.ear.clicks
