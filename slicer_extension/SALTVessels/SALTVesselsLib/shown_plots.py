"""Which plot the panel shows: that of learning, or the diameter along a vessel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from .workflow.panel import Panel

LEARNING, PROFILE = "learnPlot", "profilePlot"


class Plot(Protocol):
    """Shows one chart at a time in `widget`, a QWidget."""

    widget: Any

    def show(self, chart: Any) -> None:
        """Show a chart node, which may be the one that is shown."""

    def close(self) -> None:
        """Take it out of the panel and of the scene."""


class Plots:
    """The plots of the panel, of which one at most is shown: with both, it would be too high for a laptop.

    The newer one is shown, and with another image none, unless the model is learning.

    Parameters
    ----------
    ui : object
        Has the places of the plots as attributes.
    panel : Panel
    make : callable
        Makes a `Plot`, when it is first needed.
    """

    def __init__(self, ui: Any, panel: Panel, make: Callable[[], Plot]) -> None:
        self._ui = ui
        self._panel = panel
        self._make = make
        self._made: dict[str, Plot] = {}
        self._visible: dict[str, bool] = {}
        self._newer = ""
        self._seen: tuple[Any, bool, Any] = (None, False, None)

    def update(self) -> None:
        """Show what is the newer one now."""
        learn, measure = self._panel.learn, self._panel.measure
        self._choose(self._panel.context.case, learn.learning, measure.curve)
        learned = self._newer == LEARNING and (learn.learning or learn.result)
        self._show(LEARNING, learn.curve if learned else None)
        self._show(PROFILE, measure.curve if self._newer == PROFILE else None)

    def forget(self) -> None:
        """Let go of the plots of a scene that is being closed."""
        for plot in self._made.values():
            plot.close()
        self._made.clear()

    def _choose(self, case: Any, learning: bool, curve: Any) -> None:
        case_before, learning_before, curve_before = self._seen
        self._seen = case, learning, curve
        if case is not case_before and not learning:
            self._newer = ""
        if learning and not learning_before:
            self._newer = LEARNING
        if curve is not None and curve is not curve_before:
            self._newer = PROFILE

    def _show(self, place: str, curve: Any) -> None:
        box = getattr(self._ui, place)
        if curve is not None:
            if place not in self._made:
                self._made[place] = self._make()
                box.layout().addWidget(self._made[place].widget)
            self._made[place].show(curve.chart)
        if self._visible.get(place) != (curve is not None):
            self._visible[place] = box.visible = curve is not None
