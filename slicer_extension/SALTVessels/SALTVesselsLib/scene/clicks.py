"""Crosses where the radiologist clicked: on missed vessels, and on what is too much."""

from __future__ import annotations

from collections.abc import Sequence

import slicer

from . import colours, nodes

Ras = tuple[float, float, float]

# Per cent of a view's diagonal: small enough to see the vessel that was meant.
SIZE = 1.8


class Clicks:
    """The clicks on an image, shown where the image is; they are neither listed nor saved.

    Parameters
    ----------
    image : vtkMRMLVolumeNode
    """

    def __init__(self, image: slicer.vtkMRMLVolumeNode) -> None:
        self.image = image
        self._added = _points("Added vessel", colours.ADDING, image)
        self._removed = _points("Removed vessel", colours.REMOVING, image)

    def show(self, added: Sequence[Ras], removed: Sequence[Ras]) -> None:
        """Show clicks at these points of the world, and no others."""
        for node, points in ((self._added, added), (self._removed, removed)):
            with slicer.util.NodeModify(node):
                node.RemoveAllControlPoints()
                for point in points:
                    node.AddControlPointWorld(point)

    def close(self) -> None:
        """Take them out of the scene."""
        nodes.remove(self._added)
        nodes.remove(self._removed)


def _points(name: str, colour: colours.Colour, image: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLNode:
    node = nodes.hidden("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetLocked(True)
    nodes.unsaved(node)
    nodes.belong(node, image)
    display = node.GetDisplayNode()
    display.SetColor(colour)
    display.SetSelectedColor(colour)
    display.SetGlyphType(display.ThickCross2D)
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(SIZE)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetVisibility3D(False)
    return node
