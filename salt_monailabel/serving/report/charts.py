"""Charts as inline SVG, coloured by the page's style for the day, the night and paper.

What became of a version is told by the shape of its mark, and by colour only besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape
from itertools import pairwise

from .cards import Score, Version

WIDTH, LEFT, RIGHT = 760, 48, 12
TOP, PANEL, GAP = 26, 110, 34
# More numbers than this in a row would run into each other; and what a name needs below its mark.
FEW, NAME_WIDTH = 14, 40
# What a mark needs so as not to touch its neighbour.
ROOM = 14

SHAPES = {
    "base": "M-5-5H5V5H-5Z",
    "promoted": "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0-10 0Z",
    "refused": "M-5-5L5 5M-5 5L5-5",
    "imported": "M0-7L7 0L0 7L-7 0Z",
    "unjudged": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "damaged": "M0-6L6 5H-6Z",
}
MEANINGS = {
    "base": "the base, which has learned nothing here",
    "promoted": "promoted: no worse on what was held back",
    "refused": "refused: worse",
    "imported": "imported from elsewhere",
    "unjudged": "not judged",
    "damaged": "damaged",
}
STYLE = """
 svg { display: block; width: 100%; break-inside: avoid }
 svg text { font: 11px system-ui, sans-serif; fill: var(--soft); text-anchor: middle }
 svg text.head { font-size: 12px; font-weight: 600; text-anchor: start } svg text.tick { text-anchor: end }
 svg text.number, svg text.using { fill: var(--ink) } svg text.using { font-weight: 600 }
 .grid { stroke: var(--line) } .before, .rule, .edge { fill: none; stroke: var(--soft) }
 circle.before { fill: var(--paper) } .rule { stroke-dasharray: 2 4 }
 .edge { stroke-width: 1.5 } .unmeasured { fill: var(--line); opacity: .5 }
 .line { fill: none; stroke: var(--good); stroke-width: 2; opacity: .6 } .bar { fill: var(--bar) }
 .mark { fill: var(--paper); stroke: var(--soft); stroke-width: 2 } .ring { fill: none; stroke: var(--ink) }
 .mark.promoted { fill: var(--good); stroke: var(--good) } .mark.imported { stroke: var(--other) }
 .mark.refused { stroke: var(--bad); stroke-width: 3.5 }
 .legend span { display: inline-block; margin-right: 1.4rem }
 .legend svg { display: inline; width: 1.1rem; vertical-align: -.2rem }
"""


class Columns:
    """Evenly spaced places from left to right, at most as far apart as looks well."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.step = min((WIDTH - LEFT - RIGHT) / count, 90)
        self.few = count <= FEW
        self.scale = min(1, self.step / ROOM)

    def x(self, i: int) -> float:
        """Return the middle of a column."""
        return round(LEFT + (i + 0.5) * self.step, 1)

    def names(self, names: Sequence[str], y: float) -> list[str]:
        """Write names below their columns, leaving out those for which there is no room."""
        parts, free = [], -math.inf
        for i, name in enumerate(names):
            if name and self.x(i) >= free:
                parts.append(text("name", self.x(i), y, name))
                free = self.x(i) + NAME_WIDTH
        return parts


def history(versions: Sequence[Version]) -> str:
    """Draw Dice, clDice and seconds of all versions, one below the other; at least one must have been measured."""
    columns = Columns(len(versions))
    scores = [score for v in versions for score in (v.before, v.after) if score]
    ticks = _ticks([value for score in scores for value in (score.dice, score.cl_dice)], span=0.04)
    panels: list[tuple[_Panel, Callable[[Score], float]]] = [
        (_Panel("Dice", TOP, ticks), lambda score: score.dice),
        (_Panel("clDice", TOP + PANEL + GAP, ticks), lambda score: score.cl_dice),
    ]
    clock = _Panel("seconds", TOP + 2 * (PANEL + GAP), _ticks([0, *(v.seconds or 0 for v in versions)], span=4))
    parts = [panel.frame() for panel in (panels[0][0], panels[1][0], clock)]
    for panel, value in panels:
        parts += _lines(versions, columns, panel, value)
    for i, version in enumerate(versions):
        drawn = [_point(version, columns, i, panel, value) for panel, value in panels]
        number = f"{version.seconds:.0f}" if version.seconds is not None and columns.few else ""
        drawn.append(clock.bar(columns, i, version.seconds, number))
        parts.append(f'<g class="version"><title>{escape(words(version))}</title>{"".join(drawn)}</g>')
    parts += columns.names([v.name for v in versions], clock.bottom + 16)
    return svg("history", clock.bottom + 24, "Dice, clDice and seconds of each version", parts)


def bars(shares: Sequence[float | None], groups: Sequence[str], titles: Sequence[str]) -> str:
    """Draw at least one share as a bar in per cent; what is above 100 % is cut off, and says so.

    Parameters
    ----------
    shares : sequence of float
        1 is 100 %; None for what was not measured.
    groups : sequence of str
        Written below the first bar of each run of the same.
    titles : sequence of str
        What each bar says of itself when it is pointed at.
    """
    columns = Columns(len(shares))
    percent = [None if share is None else 100 * share for share in shares]
    panel = _Panel("% changed", TOP, _ticks([0, *(min(p, 100) for p in percent if p is not None)], span=4))
    parts = [panel.frame()]
    for i, (value, title) in enumerate(zip(percent, titles, strict=True)):
        number = f"{value:.0f}" if value is not None and (value > 100 or columns.count <= 2 * FEW) else ""
        bar = panel.bar(columns, i, value, number)
        parts.append(f'<g class="image"><title>{escape(title)}</title>{bar}</g>')
    firsts = [name if i == 0 or groups[i - 1] != name else "" for i, name in enumerate(groups)]
    parts += columns.names(firsts, panel.bottom + 16)
    return svg("effort", panel.bottom + 24, "Share of the vessel pixels changed in each corrected image", parts)


def legend(states: Iterable[str]) -> str:
    """Say what the marks of some states mean, as HTML."""
    shown = set(states)
    entries = [
        f'<span><svg viewBox="-9 -9 18 18" aria-hidden="true">{mark(state, 0, 0)}</svg> {meaning}</span>'
        for state, meaning in MEANINGS.items()
        if state in shown
    ]
    return f'<p class="note legend">{"".join(entries)}</p>'


def words(version: Version) -> str:
    """Say in a line what the charts show of a version."""
    parts = [f"{version.name}: {version.state}" + (", in use" if version.in_use else "")]
    if version.before and version.after:
        parts.append(f"Dice {version.before.dice:.3f} → {version.after.dice:.3f}")
        parts.append(f"clDice {version.before.cl_dice:.3f} → {version.after.cl_dice:.3f}")
    if version.seconds is not None:
        parts.append(f"{version.seconds:.0f} s")
    return "; ".join(parts)


def svg(name: str, height: float, label: str, parts: Iterable[str]) -> str:
    """Return a whole drawing."""
    attributes = f'id="{name}" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}"'
    return f"<svg {attributes}>\n" + "\n".join(parts) + "\n</svg>"


def mark(state: str, x: float, y: float, scale: float = 1) -> str:
    """Draw the mark of a state."""
    return f'<path class="mark {state}" transform="translate({x:g} {y:.1f}) scale({scale:.2f})" d="{SHAPES[state]}"/>'


def text(kind: str, x: float, y: float, content: str) -> str:
    """Write plain text in a drawing."""
    return f'<text class="{kind}" x="{x:g}" y="{y:.1f}">{escape(content)}</text>'


class _Panel:
    """One pair of axes: its name, its upper edge, and the ticks of its values, which also bound it."""

    def __init__(self, name: str, top: float, ticks: Sequence[float]) -> None:
        self.name = name
        self.top, self.bottom = top, top + PANEL
        self.ticks = ticks

    def y(self, value: float) -> float:
        low, high = self.ticks[0], self.ticks[-1]
        return self.bottom - PANEL * (min(max(value, low), high) - low) / (high - low)

    def frame(self) -> str:
        parts = [text("head", LEFT, self.top - 10, self.name)]
        digits = max(0, math.ceil(-math.log10(self.ticks[1] - self.ticks[0]) - 1e-9))
        for tick in self.ticks:
            parts.append(f'<path class="grid" d="M{LEFT} {self.y(tick):.1f}H{WIDTH - RIGHT}"/>')
            parts.append(text("tick", LEFT - 8, self.y(tick) + 4, f"{tick:.{digits}f}"))
        return "".join(parts)

    def bar(self, columns: Columns, i: int, value: float | None, number: str) -> str:
        """Draw a bar with its number; grey over the whole height if it was not measured."""
        width = min(0.6 * columns.step, 32)
        top = self.top if value is None else self.y(value)
        outline = f"M{columns.x(i) - width / 2:.1f} {self.bottom}V{top:.1f}h{width:.1f}V{self.bottom}Z"
        kind = "unmeasured" if value is None else "bar"
        return f'<path class="{kind}" d="{outline}"/>' + text("number", columns.x(i), top - 4, number)


def _point(version: Version, columns: Columns, i: int, panel: _Panel, value: Callable[[Score], float]) -> str:
    """Draw the mark of a version, joined to a small ring where the version before it stood on the same labels."""
    if not version.before or not version.after:
        return panel.bar(columns, i, None, "")
    x, before, after = columns.x(i), panel.y(value(version.before)), panel.y(value(version.after))
    # No dash across the end: it would look like an error bar.
    ring = f'<circle class="before" cx="{x:g}" cy="{before:.1f}" r="{2.5 * columns.scale:.2f}"/>'
    stem = f'<path class="before" d="M{x:g} {before:.1f}V{after:.1f}"/>'
    number = f"{value(version.after):.3f}" if columns.few else ""
    below = after > before
    return (
        stem
        + ring
        + mark(version.state, x, after, columns.scale)
        + text("number", x, after + (18 if below else -10), number)
    )


def _lines(versions: Sequence[Version], columns: Columns, panel: _Panel, value: Callable[[Score], float]) -> list[str]:
    """Join the versions that were put in use; where labels were held back by another rule, begin anew."""
    parts = []
    measured = [(i, version, version.after) for i, version in enumerate(versions) if version.after]
    for (_, last, _), (i, this, _) in pairwise(measured):
        if last.rule != this.rule:
            x = columns.x(i) - columns.step / 2
            parts.append(f'<path class="rule" d="M{x:.1f} {panel.top}V{panel.bottom}"/>')
    promoted = [(i, version, score) for i, version, score in measured if version.state == "promoted"]
    for (i, last, start), (j, this, end) in pairwise(promoted):
        if last.rule == this.rule:
            line = f"M{columns.x(i)} {panel.y(value(start)):.1f}L{columns.x(j)} {panel.y(value(end)):.1f}"
            parts.append(f'<path class="line" d="{line}"/>')
    return parts


def _ticks(values: Sequence[float], span: float) -> list[float]:
    """Return three to seven round numbers around all values, which are taken to be at least `span` apart."""
    low, high = min(values), max(values)
    high = max(high, low + span)
    rough = (high - low) / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 6) for i in range(first, last + 1)]
