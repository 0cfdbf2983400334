"""The diameter of a vessel from one place to another, and how much it is narrowed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra

from .centre_lines import arc
from .measurements import Measurements

# How far from a centre line a click may lie, in pixels: half of the widest vessels.
REACH = 20.0


class ProfileError(ValueError):
    """Two places between which no profile can be measured; the message says why, and the remedy."""


@dataclass(frozen=True)
class Profile:
    """A vessel from one place to another. Lengths and diameters are in `unit`.

    Attributes
    ----------
    points : ndarray of float, (N, 2)
        Its centre line: row and column in pixels.
    positions : ndarray of float, (N,)
        How far along it each point lies.
    diameters : ndarray of float, (N,)
        NaN where a cross section has no meaning.
    narrowest : int
        Number of the point of the smallest diameter, the minimal lumen diameter.
    reference : float
        The diameter it is held against: the mean of one on either side of the narrowest point, each the mean of the
        widest third of the diameters on that side. Where one side has none, that of the other.
    unit : str
        mm or px.
    """

    points: np.ndarray
    positions: np.ndarray
    diameters: np.ndarray
    narrowest: int
    reference: float
    unit: str

    @property
    def min_diameter(self) -> float:
        """The smallest diameter."""
        return float(self.diameters[self.narrowest])

    @property
    def stenosis(self) -> float:
        """Percent diameter stenosis, 100 (1 - smallest / reference), as in Reiber et al., Circulation 71 (1985) 280."""
        return max(0.0, 100 * (1 - self.min_diameter / self.reference))


def profile(measured: Measurements, start: tuple[float, float], end: tuple[float, float]) -> Profile:
    """Follow the vessels the shortest way from one place to another.

    Parameters
    ----------
    measured : Measurements
    start, end : tuple of float
        x and y in pixels; the nearest points of centre lines are taken.

    Returns
    -------
    Profile

    Raises
    ------
    ProfileError
        If there is no vessel within `REACH` of a place, if no vessel joins them, if both are the same point of a
        vessel, or if there is no cross section between them.
    """
    segments = measured.segments
    points = np.concatenate([np.zeros((0, 2)), *(segment.points for segment in segments)])
    across = np.concatenate([np.zeros(0), *(segment.diameters for segment in segments)])
    first, last = _nearest(points, start), _nearest(points, end)
    if first == last:
        raise ProfileError(
            f"{_place(start)} and {_place(end)} are the same point of a vessel; choose them farther apart"
        )
    way = _shortest(measured, points, first, last)
    if way is None:
        raise ProfileError(f"no vessel joins {_place(start)} and {_place(end)}; choose both on one, or close its gap")
    on_way = across[way]
    if np.isnan(on_way).all():
        raise ProfileError(
            f"there is no cross section between {_place(start)} and {_place(end)}, only a branching point or a tip; "
            "choose them farther apart"
        )
    narrowest = int(np.nanargmin(on_way))
    sides = [_widest(on_way[:narrowest]), _widest(on_way[narrowest + 1 :])]
    known = [side for side in sides if side is not None] or [float(on_way[narrowest])]
    return Profile(
        points[way], arc(points[way], measured.spacing), on_way, narrowest, float(np.mean(known)), measured.unit
    )


def _nearest(points: np.ndarray, place: tuple[float, float]) -> int:
    distances = np.hypot(*(points - place[::-1]).T)
    if not (distances <= REACH).any():
        raise ProfileError(f"there is no vessel within {REACH:g} pixels of {_place(place)}; choose a place on one")
    return int(distances.argmin())


def _shortest(measured: Measurements, points: np.ndarray, first: int, last: int) -> list[int] | None:
    """Return the numbers of the points on the shortest way along centre lines, or None if there is none."""
    size = len(points) + len(measured.vertices)
    edges: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    begin = 0
    for segment in measured.segments:
        numbers = np.arange(begin, begin + len(segment.points))
        begin += len(numbers)
        edges.append((numbers[:-1], numbers[1:], np.diff(arc(segment.points, measured.spacing))))
        joints = len(points) + np.array([segment.begins, segment.ends])
        edges.append((numbers[[0, -1]], joints, np.zeros(2)))
    rows, columns, lengths = (np.concatenate(parts) for parts in zip(*edges, strict=True))
    # Of no length, an edge would be none in a sparse matrix.
    graph = coo_array((np.maximum(lengths, 1e-9), (rows, columns)), shape=(size, size)).tocsr()
    _, before = dijkstra(graph, directed=False, indices=first, return_predecessors=True)
    way = [last]
    while way[-1] != first:
        if before[way[-1]] < 0:
            return None
        way.append(int(before[way[-1]]))
    return [number for number in reversed(way) if number < len(points)]


def _widest(across: np.ndarray) -> float | None:
    """Return the mean of the widest third, or None if nothing is known."""
    known = np.sort(across[~np.isnan(across)])
    return float(known[-max(1, len(known) // 3) :].mean()) if known.size else None


def _place(place: tuple[float, float]) -> str:
    return f"({place[0]:g}, {place[1]:g})"
