"""A box that is being drawn on an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from . import colours, markups, nodes, volumes

Ras = Sequence[float]


class Box:
    """A rectangle along the rows and columns of an image, from one corner to the opposite one.

    Parameters
    ----------
    volume : vtkMRMLVolumeNode
    """

    def __init__(self, volume: slicer.vtkMRMLVolumeNode) -> None:
        self.volume = volume
        self.node = markups.line("Box", colours.BETWEEN, volume, closed=True)

    def show(self, one: Ras, other: Ras) -> None:
        """Draw it between two opposite corners."""
        begin, end = (self._ijk(ras) for ras in (one, other))
        corners = vtk.vtkPoints()
        for i, j in ((begin[0], begin[1]), (end[0], begin[1]), (end[0], end[1]), (begin[0], end[1])):
            corners.InsertNextPoint(volumes.point(self.volume, (i, j, begin[2])))
        self.node.SetControlPointPositionsWorld(corners)

    def _ijk(self, ras: Ras) -> np.ndarray:
        local = volumes.to_world(self.volume).GetInverse().TransformPoint(ras)
        return (np.linalg.inv(volumes.ijk_to_ras(self.volume)) @ (*local, 1.0))[:3]

    def close(self) -> None:
        """Take it out of the scene."""
        nodes.remove(self.node)
