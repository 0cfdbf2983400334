"""The way along a vessel that was measured, and its narrowest place."""

from __future__ import annotations

from collections.abc import Sequence

import slicer
import vtk

from . import colours, markups, nodes, volumes

# Each point of a line is drawn for itself, which takes long for thousands; an eye follows a vessel with far fewer.
MOST = 200

Place = tuple[float, float, float]


class Way:
    """A line through these places of an image, and a cross at the narrowest.

    Parameters
    ----------
    image : vtkMRMLVolumeNode
    places : sequence of (i, j, k)
        All along the vessel, in pixels.
    narrowest : int
        Which of them it is.
    """

    def __init__(self, image: slicer.vtkMRMLVolumeNode, places: Sequence[Place], narrowest: int) -> None:
        step = -(-len(places) // MOST)
        kept = [place for number, place in enumerate(places[:-1]) if number % step == 0 or number == narrowest]
        line = vtk.vtkPoints()
        for place in (*kept, places[-1]):
            line.InsertNextPoint(volumes.point(image, place))
        self._line = markups.line("Measured vessel", colours.BETWEEN, image)
        self._line.SetControlPointPositionsWorld(line)
        self._cross = markups.crosses("Narrowest place", colours.BETWEEN, image)
        self._cross.AddControlPointWorld(volumes.point(image, places[narrowest]))

    def show(self, on: bool) -> None:
        """Show it or hide it."""
        for node in (self._line, self._cross):
            node.SetDisplayVisibility(on)

    def close(self) -> None:
        """Take it out of the scene."""
        nodes.remove(self._line)
        nodes.remove(self._cross)
