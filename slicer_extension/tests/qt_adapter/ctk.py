"""Stand-ins for the widgets of CTK and Slicer that the panel uses; they look alike, and do no more than it needs."""

from __future__ import annotations

from PySide6.QtCore import Property, QPointF, QRect, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPolygonF
from PySide6.QtWidgets import QStyle, QStyleOptionButton, QWidget

_HEADER = 23


class ctkCollapsibleButton(QWidget):
    """A section under a header, which opens and closes it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text, self._collapsed = "", False
        self.setContentsMargins(0, _HEADER, 0, 0)

    def _set_text(self, text: str) -> None:
        self._text = text
        self.update()

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        for child in self.findChildren(QWidget, options=Qt.FindDirectChildrenOnly):
            child.setVisible(not collapsed)
        self.setMaximumHeight(_HEADER if collapsed else 16777215)
        self.contentsCollapsed.emit(collapsed)

    text = Property(str, lambda self: self._text, _set_text)
    collapsed = Property(bool, lambda self: self._collapsed, _set_collapsed)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.position().y() < _HEADER:
            self._set_collapsed(not self._collapsed)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, option = QPainter(self), QStyleOptionButton()
        option.initFrom(self)
        option.rect = QRect(0, 0, self.width(), _HEADER - 2)
        self.style().drawControl(QStyle.CE_PushButtonBevel, option, painter, self)
        painter.setRenderHint(QPainter.Antialiasing)
        painter.setPen(Qt.NoPen)
        painter.setBrush(self.palette().buttonText())
        arrow = [(8, 7), (14, 11), (8, 15)] if self._collapsed else [(7, 8), (15, 8), (11, 14)]
        painter.drawPolygon(QPolygonF([QPointF(x, y) for x, y in arrow]))
        painter.setPen(self.palette().buttonText().color())
        painter.drawText(option.rect.adjusted(22, 0, 0, 0), Qt.AlignVCenter, self._text)


WIDGETS: dict[str, type[QWidget]] = {"ctkCollapsibleButton": ctkCollapsibleButton}
