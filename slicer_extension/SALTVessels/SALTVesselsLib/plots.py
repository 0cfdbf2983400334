"""Charts as Slicer draws them, in the panel."""

from __future__ import annotations

import slicer

from .scene import nodes


class Plot:
    """A plot in the panel, with a view node of its own for as long as it is there.

    Parameters
    ----------
    owner : vtkMRMLNode
        Has the view; one that nobody has is shown by the application's layout too.
    """

    def __init__(self, owner: slicer.vtkMRMLNode) -> None:
        self._node = slicer.vtkMRMLPlotViewNode()
        nodes.unsaved(self._node)
        self._node.SetAndObserveParentLayoutNodeID(owner.GetID())
        # What other modules show goes to all other views.
        self._node.SetDoPropagatePlotChartSelection(False)
        slicer.mrmlScene.AddNode(self._node)
        self.widget = slicer.qMRMLPlotView()
        self.widget.setMRMLScene(slicer.mrmlScene)
        self.widget.setMRMLPlotViewNode(self._node)

    def show(self, chart: slicer.vtkMRMLPlotChartNode) -> None:
        """Show a chart node."""
        self._node.SetPlotChartNodeID(chart.GetID())

    def close(self) -> None:
        """Take it out of the panel and of the scene."""
        self.widget.setMRMLScene(None)
        self.widget.deleteLater()
        nodes.remove(self._node)
