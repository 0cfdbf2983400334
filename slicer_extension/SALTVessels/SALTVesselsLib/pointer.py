"""The mouse in Slicer's slice views: what is clicked or dragged is told, and nothing else is done with it.

Slicer's own way to place points takes no click with shift and none of the right button, and a double click ends it.
Here all of them count, as fast as they come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import slicer
import vtk

from .scene import nodes

Ras = tuple[float, float, float]
View = tuple[vtk.vtkRenderWindowInteractor, slicer.vtkMRMLSliceNode]

# Before the views' own observers, which have 0, and Segment Editor's, which have 1.
PRIORITY = 10.0
# A hand that clicks moves so many pixels of the screen at most.
STILL = 4
PRESSES = {
    "LeftButtonPressEvent": False,
    "LeftButtonDoubleClickEvent": False,
    "RightButtonPressEvent": True,
    "RightButtonDoubleClickEvent": True,
}
RELEASES = ("LeftButtonReleaseEvent", "RightButtonReleaseEvent")


class Heard(Protocol):
    """Who is told."""

    def click(self, volume: slicer.vtkMRMLVolumeNode, ras: Ras, other: bool) -> None:
        """Take a click; `other` is one with shift, or of the right button."""

    def dragging(self, volume: slicer.vtkMRMLVolumeNode, begin: Ras, now: Ras) -> None:
        """Take note of a drag that has not ended."""

    def drag(self, volume: slicer.vtkMRMLVolumeNode, begin: Ras, end: Ras) -> None:
        """Take a drag from one point to another."""


class Pointer:
    """The mouse in the slice views.

    Parameters
    ----------
    views : callable
        Returns each view's interactor and slice node, when they are needed.
    """

    def __init__(self, views: Callable[[], Iterable[View]]) -> None:
        self._views = views
        self._heard: Heard | None = None
        self._tags: list[tuple[vtk.vtkRenderWindowInteractor, int]] = []
        self._pressed: tuple[int, int] | None = None
        self._other = False

    def watch(self, heard: Heard) -> None:
        """Tell of clicks and drags from now on, instead of what the views do with them."""
        self.leave()
        self._heard = heard
        for interactor, node in self._views():
            for event, other in PRESSES.items():
                self._observe(interactor, event, partial(self._press, other))
            self._observe(interactor, "MouseMoveEvent", partial(self._move, node))
            for event in RELEASES:
                self._observe(interactor, event, partial(self._release, node))

    def watch_again(self) -> None:
        """Tell of what is done in the views there are now, if anybody is told."""
        if self._heard is not None:
            self.watch(self._heard)

    def leave(self) -> None:
        """Give the mouse back to the views."""
        for interactor, tag in self._tags:
            interactor.RemoveObserver(tag)
        self._tags.clear()
        self._heard = self._pressed = None

    def _observe(
        self,
        interactor: vtk.vtkRenderWindowInteractor,
        event: str,
        act: Callable[[vtk.vtkRenderWindowInteractor], bool],
    ) -> None:
        self._tags.append((interactor, observe(interactor, event, partial(act, interactor))))

    def _press(self, other: bool, interactor: vtk.vtkRenderWindowInteractor) -> bool:
        # With these, Slicer's own ways to look around still work.
        if interactor.GetControlKey() or interactor.GetAltKey():
            return False
        self._pressed = interactor.GetEventPosition()
        self._other = other or bool(interactor.GetShiftKey())
        return True

    def _move(self, node: slicer.vtkMRMLSliceNode, interactor: vtk.vtkRenderWindowInteractor) -> bool:
        if self._pressed is None or self._heard is None:
            return False
        now, volume = interactor.GetEventPosition(), _shown(node)
        if volume is not None and _moved(self._pressed, now):
            self._heard.dragging(volume, _ras(node, self._pressed), _ras(node, now))
        return True

    def _release(self, node: slicer.vtkMRMLSliceNode, interactor: vtk.vtkRenderWindowInteractor) -> bool:
        if self._pressed is None or self._heard is None:
            return False
        begin, end, self._pressed = self._pressed, interactor.GetEventPosition(), None
        volume = _shown(node)
        if volume is None:
            return True
        if _moved(begin, end):
            self._heard.drag(volume, _ras(node, begin), _ras(node, end))
        else:
            self._heard.click(volume, _ras(node, end), self._other)
        return True


def observe(interactor: vtk.vtkRenderWindowInteractor, event: str, act: Callable[[], bool]) -> int:
    """Hear of an event of a view before the view does; what `act` says it has taken is not for the view.

    Returns
    -------
    int
        The observer's tag.
    """

    def hear(*_: object) -> None:
        interactor.GetCommand(tag).SetAbortFlag(act())

    tag: int = interactor.AddObserver(event, hear, PRIORITY)
    return tag


def _moved(begin: tuple[int, int], end: tuple[int, int]) -> bool:
    return max(abs(one - other) for one, other in zip(begin, end, strict=True)) >= STILL


def _shown(node: slicer.vtkMRMLSliceNode) -> slicer.vtkMRMLVolumeNode | None:
    composite = slicer.mrmlScene.GetSingletonNode(node.GetLayoutName(), "vtkMRMLSliceCompositeNode")
    volume = slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
    # A hidden volume is nothing to work on: its clicks are for the image that it is the gray companion of, if any.
    return nodes.owner(volume) if volume is not None and volume.GetHideFromEditors() else volume


def _ras(node: slicer.vtkMRMLSliceNode, position: tuple[int, int]) -> Ras:
    x, y, z, _ = node.GetXYToRAS().MultiplyPoint((*position, 0.0, 1.0))
    return x, y, z


def views_of_application() -> list[View]:
    """Return the slice views that Slicer shows."""
    layout = slicer.app.layoutManager()
    widgets = [layout.sliceWidget(name) for name in layout.sliceViewNames()]
    return [(widget.sliceView().interactorStyle().GetInteractor(), widget.mrmlSliceNode()) for widget in widgets]
