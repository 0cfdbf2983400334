"""Crosses where the radiologist clicked: on missed vessels, on what is too much, and on the first of two places."""

from __future__ import annotations

from collections.abc import Sequence

import slicer

from . import colours, markups, nodes

Ras = tuple[float, float, float]


class Clicks:
    """The clicks on an image, shown where the image is; they are neither listed nor saved.

    Parameters
    ----------
    image : vtkMRMLVolumeNode
    """

    def __init__(self, image: slicer.vtkMRMLVolumeNode) -> None:
        self.image = image
        self._added = markups.crosses("Added vessel", colours.ADDING, image)
        self._removed = markups.crosses("Removed vessel", colours.REMOVING, image)
        self._begun = markups.crosses("First place", colours.BETWEEN, image)

    def show(self, added: Sequence[Ras], removed: Sequence[Ras], begun: Sequence[Ras] = ()) -> None:
        """Show clicks at these points of the world, and no others; `begun` is the first of two, if there is one."""
        for node, points in ((self._added, added), (self._removed, removed), (self._begun, begun)):
            with slicer.util.NodeModify(node):
                node.RemoveAllControlPoints()
                for point in points:
                    node.AddControlPointWorld(point)

    def close(self) -> None:
        """Take them out of the scene."""
        for node in (self._added, self._removed, self._begun):
            nodes.remove(node)
