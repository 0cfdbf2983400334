"""Colours of outlines, that can be told apart from each other, from any gray and from the red of a retina."""

from __future__ import annotations

import slicer

Colour = tuple[float, float, float]

LABELS: tuple[Colour, ...] = (
    (0.00, 0.90, 1.00),
    (1.00, 0.92, 0.00),
    (0.20, 1.00, 0.25),
    (1.00, 0.35, 1.00),
    (0.35, 0.50, 1.00),
)
PREVIOUS: Colour = (1.0, 1.0, 1.0)
ADDING: Colour = (0.20, 1.00, 0.25)
REMOVING: Colour = (0.90, 0.00, 0.20)
BETWEEN: Colour = (1.00, 0.92, 0.00)

# Of charts, on white.
LINES: tuple[Colour, ...] = ((0.00, 0.35, 0.70), (0.85, 0.37, 0.00), (0.00, 0.50, 0.30), (0.60, 0.20, 0.60))


def of_label(number: int) -> Colour:
    """Return the colour of a label by its place in the server's list."""
    return LABELS[number % len(LABELS)]


def outline(display: slicer.vtkMRMLSegmentationDisplayNode, flat: bool) -> None:
    """Show outlines one pixel thin over a faint fill: a vessel of two pixels must stay visible beneath."""
    display.SetSliceIntersectionThickness(1)
    display.SetOpacity2DOutline(1.0)
    display.SetOpacity2DFill(0.25)
    display.SetVisibility3D(not flat)


def faint(display: slicer.vtkMRMLSegmentationDisplayNode) -> None:
    """Show what was there before: a hint of an outline and nothing else."""
    display.SetSliceIntersectionThickness(1)
    display.SetOpacity2DOutline(0.5)
    display.SetVisibility2DFill(False)
    display.SetVisibility3D(False)
