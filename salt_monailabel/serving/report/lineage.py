"""Which version was trained on from which, as a drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from .cards import Version
from .charts import TOP, Columns, mark, svg, text, words

LANE = 36
RING = "M-10 0a10 10 0 1 0 20 0a10 10 0 1 0-20 0Z"


def tree(versions: Sequence[Version]) -> str:
    """Draw the base and all versions in the order of their making, each joined to the one it was trained on from."""
    shown = [Version("base", "base", in_use=not any(version.in_use for version in versions)), *versions]
    columns = Columns(len(shown))
    parents: list[int | None] = [None]
    at = {"base": 0}
    for i, version in enumerate(versions, start=1):
        # Only what was there before: a card could name any version as its parent, itself too.
        known = version.state not in ("imported", "damaged")
        parents.append(at.get(version.parent or "base") if known else None)
        at[version.name] = i
    y = [TOP + LANE * lane for lane in _lanes(parents, [version.state == "refused" for version in shown])]
    parts = []
    for i, parent in enumerate(parents):
        if parent is not None:
            x, turn = columns.x(parent), columns.x(parent) + columns.step / 2
            bend = f"M{x} {y[parent]}C{turn:.1f} {y[parent]} {x} {y[i]} {turn:.1f} {y[i]}H{columns.x(i)}"
            parts.append(f'<path class="edge" d="{bend}"/>')
    for i, version in enumerate(shown):
        drawn = f"<title>{escape(words(version))}</title>" + mark(version.state, columns.x(i), y[i], columns.scale)
        if version.in_use:
            place = f"translate({columns.x(i)} {y[i]}) scale({columns.scale:.2f})"
            drawn += f'<path class="ring" transform="{place}" d="{RING}"/>'
            drawn += text("using", columns.x(i), y[i] - 14, "in use")
        parts.append(f'<g class="version">{drawn}</g>')
    bottom = max(y) + 30
    parts += columns.names([version.name for version in shown], bottom)
    return svg("tree", bottom + 8, "Which version was trained on from which", parts)


def _lanes(parents: Sequence[int | None], aside: Sequence[bool]) -> list[int]:
    """Return each version's lane: its parent's, unless another goes on there or it is set aside; else a free one."""
    branches: list[list[int]] = []
    branch_of: dict[int, int] = {}
    for i, parent in enumerate(parents):
        if parent is not None and not aside[i] and branches[branch_of[parent]][-1] == parent:
            branch_of[i] = branch_of[parent]
            branches[branch_of[i]].append(i)
        else:
            # The first entry is where the line to it begins, from which on no other may lie in its way.
            branch_of[i] = len(branches)
            branches.append([i if parent is None else parent, i])
    # Nothing shares the lane of the base, lest it seem to come from it.
    ends, lanes = [math.inf], [0]
    for branch in branches[1:]:
        free = (lane for lane, end in enumerate(ends) if end < branch[0])
        lane = next(free, len(ends))
        ends[lane : lane + 1] = [branch[-1]]
        lanes.append(lane)
    return [lanes[branch_of[i]] for i in range(len(parents))]
