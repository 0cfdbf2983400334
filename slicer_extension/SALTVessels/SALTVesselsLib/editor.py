"""Painting and erasing with Slicer's own Segment Editor effects; only inside Slicer."""

from __future__ import annotations

import slicer

from .scene import volumes
from .scene.segmentation import Outlines

SINGLETON = "SALTVessels"


class SegmentEditor:
    """The effects *Paint* and *Erase*, in a Segment Editor that is not shown: the panel has its buttons.

    It remembers no steps of its own, for the panel does, and it shows no 3D.
    """

    def __init__(self) -> None:
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

    def end(self) -> None:
        """Give the mouse back to the views."""
        if self._widget.mrmlSegmentEditorNode() is not None:
            self._widget.setActiveEffectByName("")
            # It would keep what is shown no more, and look at another on its own.
            self._widget.setSegmentationNode(None)

    def close(self) -> None:
        """End it for good."""
        self.end()
        self._widget.setMRMLScene(None)


def _parameters() -> slicer.vtkMRMLSegmentEditorNode:
    """Return a node of our own, so that the settings of the Segment Editor module stay as they are."""
    node = slicer.mrmlScene.GetSingletonNode(SINGLETON, "vtkMRMLSegmentEditorNode")
    if node is None:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentEditorNode")
        node.UnRegister(None)
        node.SetSingletonTag(SINGLETON)
        node = slicer.mrmlScene.AddNode(node)
    return node
