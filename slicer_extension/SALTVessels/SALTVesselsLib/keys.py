"""Keys that press the panel's buttons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

# One key for each, none of which a slice view has another use for while a tool is in hand.
KEYS = {
    "1": "addTool",
    "2": "removeTool",
    "3": "boxTool",
    "4": "bridgeTool",
    "5": "paintTool",
    "6": "eraseTool",
    "7": "profileButton",
    "N": "nextButton",
    "V": "segmentButton",
    "L": "learnButton",
    "Z": "undoButton",
    "Ctrl+Z": "undoButton",
    "Y": "redoButton",
    "Ctrl+Y": "redoButton",
    "O": "previousBox",
}


class Keys:
    """The keys of a window; they are the panel's as long as its module is in view.

    Parameters
    ----------
    ui : object
        Has the widgets of `SALTVessels.ui` as attributes.
    lay_down : callable
        Lays down the tool in hand.
    """

    def __init__(self, ui: Any, lay_down: Callable[[], None]) -> None:
        self._ui = ui
        self._lay_down = lay_down
        self._shortcuts: list[qt.QShortcut] = []

    def install(self, window: qt.QWidget) -> None:
        """Let keys press buttons."""
        self.remove()
        for key, name in KEYS.items():
            self._add(window, key, getattr(self._ui, name).click)
        self._add(window, "Esc", self._lay_down)
        self._add(window, "+", lambda: self.widen(1))
        self._add(window, "-", lambda: self.widen(-1))

    def remove(self) -> None:
        """Give the keys back."""
        for shortcut in self._shortcuts:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self._shortcuts.clear()

    def widen(self, by: int) -> None:
        """Make the brush wider by so many pixels."""
        self._ui.brushBox.value = self._ui.brushBox.value + by

    def _add(self, window: qt.QWidget, key: str, act: Callable[[], None]) -> None:
        shortcut = qt.QShortcut(qt.QKeySequence(key), window)
        shortcut.connect("activated()", act)
        self._shortcuts.append(shortcut)
