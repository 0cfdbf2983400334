"""Painting and erasing with Slicer's own Segment Editor effects; only inside Slicer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import slicer
import vtk

from .pointer import View, observe
from .scene import volumes
from .scene.segmentation import Outlines

SINGLETON = "SALTVessels"


class SegmentEditor:
    """The effects *Paint* and *Erase*, in a Segment Editor that is not shown: the panel has its buttons.

    It remembers no steps of its own, for the panel does, and it shows no 3D. Of two quick dabs the views would take the
    second for a double click, with which they change the layout: here it is a dab. Of the wheel with shift they would
    change the brush themselves; the panel does.

    Parameters
    ----------
    views : callable
        Returns each view's interactor and slice node, when they are needed.
    widen : callable
        Makes the brush wider by so many pixels.
    """

    def __init__(self, views: Callable[[], Iterable[View]], widen: Callable[[int], None]) -> None:
        self._views = views
        self._widen = widen
        self._tags: list[tuple[vtk.vtkRenderWindowInteractor, int]] = []
        self._widget = slicer.qMRMLSegmentEditorWidget()
        self._widget.undoEnabled = False
        # It would put the gray companion of a colour image into all views.
        self._widget.autoShowSourceVolumeNode = False
        self._widget.setMRMLScene(slicer.mrmlScene)

    def begin(self, erases: bool, outlines: Outlines, label: str, brush: int) -> None:
        """Let the mouse paint or erase a label with a brush of so many pixels."""
        node = _parameters()
        self._widget.setMRMLSegmentEditorNode(node)
        self._widget.setSegmentationNode(outlines.node)
        self._widget.setSourceVolumeNode(volumes.green(outlines.volume))
        # Labels may overlap, and painting one must not wipe another.
        node.SetOverwriteMode(node.OverwriteNone)
        self._widget.setCurrentSegmentID(outlines.segment_id(label))
        self._widget.setActiveEffectByName("Erase" if erases else "Paint")
        effect = self._widget.activeEffect()
        effect.setCommonParameter("BrushDiameterIsRelative", 0)
        effect.setCommonParameter("BrushSphere", 0)
        effect.setCommonParameter("BrushAbsoluteDiameter", brush * min(outlines.volume.GetSpacing()[:2]))
        self.watch()

    def watch(self) -> None:
        """Guard the brush in the views there are, if one is in hand; again when there are others."""
        self._leave()
        if self._widget.activeEffect() is not None:
            for interactor, _ in self._views():
                self._guard(interactor)

    def end(self) -> None:
        """Give the mouse back to the views."""
        self._leave()
        if self._widget.mrmlSegmentEditorNode() is not None:
            self._widget.setActiveEffectByName("")
            # It would keep what is shown no more, and look at another on its own.
            self._widget.setSegmentationNode(None)

    def close(self) -> None:
        """End it for good."""
        self.end()
        self._widget.setMRMLScene(None)

    def _leave(self) -> None:
        for interactor, tag in self._tags:
            interactor.RemoveObserver(tag)
        self._tags.clear()

    def _guard(self, interactor: vtk.vtkRenderWindowInteractor) -> None:
        def press() -> bool:
            interactor.InvokeEvent("LeftButtonPressEvent")
            return True

        def turn(by: int) -> bool:
            if interactor.GetShiftKey():
                self._widen(by)
            return bool(interactor.GetShiftKey())

        acts: dict[str, Callable[[], bool]] = {
            "LeftButtonDoubleClickEvent": press,
            "MouseWheelForwardEvent": partial(turn, 1),
            "MouseWheelBackwardEvent": partial(turn, -1),
        }
        self._tags += [(interactor, observe(interactor, event, act)) for event, act in acts.items()]


def _parameters() -> slicer.vtkMRMLSegmentEditorNode:
    """Return a node of our own, so that the settings of the Segment Editor module stay as they are."""
    node = slicer.mrmlScene.GetSingletonNode(SINGLETON, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(SINGLETON)
        node = slicer.mrmlScene.AddNode(node)
    return node
