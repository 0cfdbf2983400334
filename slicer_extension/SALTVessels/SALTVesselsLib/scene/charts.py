"""Curves as a table and a chart of the scene: a plot view shows the one, and the other can be saved as a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer

from . import colours

Values = Sequence[float] | np.ndarray

# Points.
FONT = 9

_CURVE = "SALT.curve"


class Curve:
    """One or several lines over the same x; what the scene has of it by its title is used again.

    Parameters
    ----------
    title : str
    x : str
        The name of the first column and of the axis, with its unit.
    *y : str
        The names of the lines.

    Attributes
    ----------
    table : vtkMRMLTableNode
    chart : vtkMRMLPlotChartNode
        What a plot view is given.
    """

    def __init__(self, title: str, x: str, *y: str) -> None:
        self._columns = (x, *y)
        self.table = _node("vtkMRMLTableNode", title)
        self.chart = _node("vtkMRMLPlotChartNode", title)
        if [self.table.GetColumnName(n) for n in range(self.table.GetNumberOfColumns())] != [*self._columns]:
            self.reset()
        self.chart.SetTitle(title)
        # Of a small plot, usual fonts would leave a third, and lay the names of the lines over them.
        self.chart.SetTitleVisibility(False)
        self.chart.SetAxisTitleFontSize(FONT)
        self.chart.SetAxisLabelFontSize(FONT)
        self.chart.SetLegendFontSize(FONT)
        self.chart.SetXAxisTitle(x)
        self.chart.SetLegendVisibility(len(y) > 1)
        self.chart.RemoveAllPlotSeriesNodeIDs()
        for number, name in enumerate(y):
            self.chart.AddAndObservePlotSeriesNodeID(self._series(title, name, number).GetID())

    def add(self, x: float, *y: float) -> None:
        """Go on to another point; one y for each line, NaN where it has none."""
        shown = (slicer.util.arrayFromTableColumn(self.table, name) for name in self._columns)
        self.put(*(np.append(values, value) for values, value in zip(shown, (x, *y), strict=True)))

    def put(self, x: Values, *y: Values) -> None:
        """Show these points and no others."""
        arrays = [np.asarray(values, float) for values in (x, *y)]
        if len(arrays) != len(self._columns) or len({array.shape for array in arrays}) != 1:
            raise ValueError(f"{[array.shape for array in arrays]} values do not fit the columns {self._columns}")
        with slicer.util.NodeModify(self.table):
            slicer.util.updateTableFromArray(self.table, arrays, list(self._columns))

    def reset(self) -> None:
        """Show nothing."""
        self.put(*([] for _ in self._columns))

    def _series(self, title: str, name: str, number: int) -> slicer.vtkMRMLPlotSeriesNode:
        series = _node("vtkMRMLPlotSeriesNode", f"{title}: {name}")
        series.SetName(name)
        series.SetAndObserveTableNodeID(self.table.GetID())
        series.SetXColumnName(self._columns[0])
        series.SetYColumnName(name)
        series.SetPlotType(series.PlotTypeScatter)
        series.SetLineStyle(series.LineStyleSolid)
        series.SetMarkerStyle(series.MarkerStyleCircle)
        series.SetMarkerSize(5)
        series.SetColor(colours.LINES[number % len(colours.LINES)])
        return series


def _node(class_name: str, title: str) -> slicer.vtkMRMLNode:
    for node in slicer.util.getNodesByClass(class_name):
        if node.GetAttribute(_CURVE) == title:
            return node
    node = slicer.mrmlScene.AddNewNodeByClass(class_name, title)
    node.SetAttribute(_CURVE, title)
    return node
