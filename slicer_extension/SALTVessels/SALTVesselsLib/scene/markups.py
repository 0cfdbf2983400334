"""Crosses and lines that are drawn on an image: they are neither listed nor saved, and no hand moves them."""

from __future__ import annotations

import slicer

from . import colours, nodes

# Per cent of a view's diagonal: small enough to see the vessel that was meant.
SIZE = 1.8
# A line has a cross at each of its points; of that size it is not seen. The line is so many times as wide.
THIN, WIDE = 0.1, 2.0


def crosses(name: str, colour: colours.Colour, image: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLMarkupsNode:
    """Add a node that shows a cross at each of its points."""
    node = _new("vtkMRMLMarkupsFiducialNode", name, colour, image)
    display = node.GetDisplayNode()
    display.SetGlyphType(display.ThickCross2D)
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(SIZE)
    return node


def line(
    name: str, colour: colours.Colour, image: slicer.vtkMRMLVolumeNode, closed: bool = False
) -> slicer.vtkMRMLMarkupsNode:
    """Add a node that shows a straight line from each of its points to the next."""
    node = _new(f"vtkMRMLMarkups{'Closed' if closed else ''}CurveNode", name, colour, image)
    node.SetCurveTypeToLinear()
    node.GetDisplayNode().SetGlyphScale(THIN)
    node.GetDisplayNode().SetLineThickness(WIDE)
    return node


def _new(
    class_name: str, name: str, colour: colours.Colour, image: slicer.vtkMRMLVolumeNode
) -> slicer.vtkMRMLMarkupsNode:
    node = nodes.hidden(class_name, name)
    node.CreateDefaultDisplayNodes()
    node.SetLocked(True)
    display = node.GetDisplayNode()
    display.SetColor(colour)
    display.SetSelectedColor(colour)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetVisibility3D(False)
    nodes.unsaved(node)
    nodes.belong(node, image)
    return node
