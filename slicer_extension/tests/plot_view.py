"""A stand-in for Slicer's plot view: it draws the lines of a chart node, and follows its table."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import qt
import slicer
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

Line = tuple[np.ndarray, QColor, str]


class Plot:
    """A plot in the panel."""

    def __init__(self) -> None:
        self._view = PlotView()
        self.widget = qt.wrapped(self._view)

    def show(self, chart: Any) -> None:
        self._view.show_chart(chart)

    def close(self) -> None:
        self.widget.deleteLater()


class PlotView(QWidget):
    """Draws a chart node."""

    def __init__(self) -> None:
        super().__init__()
        self._chart: Any = None
        self._series: list[Any] = []

    def show_chart(self, chart: Any) -> None:
        if chart is self._chart:
            return
        self._chart = chart
        self._series = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
        for table in {series.GetTableNode() for series in self._series}:
            table.AddObserver("ModifiedEvent", lambda *_: self.update())

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        # Slicer's plots are on white, whatever the palette.
        painter.fillRect(self.rect(), Qt.GlobalColor.white)
        area = QRectF(self.rect()).adjusted(34, 8, -10, -20)
        painter.setPen(QPen(QColor("#b0b0b0"), 1))
        painter.drawRect(area)
        lines = [_line(series) for series in self._series]
        if not lines:
            return
        font = painter.font()
        font.setPointSize(self._chart.GetAxisLabelFontSize())
        painter.setFont(font)
        points = np.concatenate([points[_known(points)] for points, *_ in lines])
        if not len(points):
            return
        low, high = points.min(axis=0), points.max(axis=0)
        high = np.where(high > low, high, low + 1)
        # The names of several lines stand above them.
        below_names = area.adjusted(0, 16 if len(lines) > 1 else 0, 0, 0)
        for number, (shown, colour, name) in enumerate(lines):
            painter.setPen(QPen(colour, 1.5))
            painter.setBrush(colour)
            _draw(painter, below_names, (shown - low) / (high - low))
            if len(lines) > 1:
                painter.drawText(QPointF(area.right() - 90 + 50 * number, area.top() + 12), name)
        painter.setPen(QColor("#404040"))
        painter.drawText(QPointF(2, area.bottom()), f"{low[1]:.2g}")
        painter.drawText(QPointF(2, below_names.top() + 8), f"{high[1]:.2g}")
        below, bottom = area.adjusted(0, 0, 0, 16), Qt.AlignmentFlag.AlignBottom
        painter.drawText(below, bottom | Qt.AlignmentFlag.AlignLeft, f"{low[0]:g}")
        painter.drawText(below, bottom | Qt.AlignmentFlag.AlignRight, f"{high[0]:.4g}")
        painter.drawText(below, bottom | Qt.AlignmentFlag.AlignHCenter, self._chart.GetXAxisTitle())


def _line(series: Any) -> Line:
    """Return the points (x, y) of a line, its colour and its name."""
    columns = (series.GetXColumnName(), series.GetYColumnName())
    points = np.column_stack([slicer.util.arrayFromTableColumn(series.GetTableNode(), column) for column in columns])
    return points, QColor.fromRgbF(*series.GetColor()), series.GetName()


def _known(points: np.ndarray) -> np.ndarray:
    """Return which points are numbers."""
    return ~np.isnan(points).any(axis=1)


def _draw(painter: QPainter, area: QRectF, shares: np.ndarray) -> None:
    """Draw a line, broken where it has no number, as VTK's charts break it."""
    known = _known(shares)
    places = [QPointF(area.left() + x * area.width(), area.bottom() - y * area.height()) for x, y in shares]
    for (one, begins), (other, ends) in pairwise(zip(places, known, strict=True)):
        if begins and ends:
            painter.drawLine(one, other)
    for place, there in zip(places, known, strict=True):
        if there and len(places) < 30:
            painter.drawEllipse(place, 1.5, 1.5)
