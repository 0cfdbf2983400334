"""A gap in a vessel, closed along the way on which the model sees most of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.graph import route_through_array

# Probabilities below count as this: a way through what the model sees as no vessel is long, but there is one.
FLOOR = 0.02
# By how much longer the way is along the wall of a vessel than in its middle.
WALL = 3.0
# How far from a vessel, in pixels, a place may lie and still be meant to be on it.
REACH = 6
# A way is looked for in the rectangle of both places and so many pixels, or this share of its longer side, around it.
MARGIN, AROUND = 32, 0.5
# In pixels: how far apart the points of a way lie, and the standard deviation by which its corners are rounded.
STEP, ROUNDING = 0.5, 2.0
# Half of the width of a bridge that is as narrow as can be.
NARROWEST = 0.5
_EIGHT = np.ones((3, 3))
Pixel = tuple[int, int]


class _Side(NamedTuple):
    """The vessel on one side of a gap: half of its width, and whether it ends there or passes by."""

    half_width: float
    ends: bool


def bridge(
    mask: np.ndarray, probability: np.ndarray, start: tuple[float, float], end: tuple[float, float]
) -> np.ndarray:
    """Return a mask in which the gap between two places is closed.

    The bridge is the least-cost path on the probabilities. It is as wide as the vessels that end on its two sides, and
    changes its width evenly in between. A vessel that does not end there but passes by, as a trunk does where a branch
    begins, says nothing of its width.

    Parameters
    ----------
    mask : ndarray of bool, (H, W)
    probability : ndarray of float, (H, W)
        Of the mask's label.
    start, end : tuple of float
        x and y in pixels, in the image. The vessels on or near these places are joined; where there is none, the bridge
        begins or ends at the place itself.

    Returns
    -------
    ndarray of bool, (H, W)
        The mask and the bridge.
    """
    places = [_nearest_pixel(place, mask.shape) for place in (start, end)]
    window = _window(places, mask.shape)
    vessel, corner = mask[window], (window[0].start, window[1].start)
    half_widths = _half_widths(vessel)
    first, last = _on_vessels(half_widths, [(row - corner[0], column - corner[1]) for row, column in places])
    # Blurred, so that a wide vessel that is seen dimly has a middle too.
    blur = (half_widths[first] + half_widths[last]) / 4
    seen = ndimage.gaussian_filter(np.where(vessel, 1, probability[window]), blur)
    way = _way(_costs(vessel, seen, half_widths), _centre(half_widths, first), _centre(half_widths, last))
    missing = ~vessel[_pixels(way)]
    closed = mask.copy()
    if missing.any():
        widths = _widths(half_widths, way, np.flatnonzero(missing))
        closed[window] |= _drawn(vessel.shape, way[missing], widths)
    return closed


def _nearest_pixel(place: tuple[float, float], shape: tuple[int, ...]) -> Pixel:
    x, y = place
    return min(round(y), shape[0] - 1), min(round(x), shape[1] - 1)


def _window(places: Sequence[Pixel], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the part of an image in which a way is looked for."""
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    margin = max(MARGIN, round(AROUND * float((high - low).max())))
    top, left = np.maximum(low - margin, 0).tolist()
    bottom, right = np.minimum(high + margin + 1, shape).tolist()
    return slice(top, bottom), slice(left, right)


def _half_widths(vessel: np.ndarray) -> np.ndarray:
    """Return how far the wall is from each pixel of vessels, which is half of their width in the middle: (H, W)."""
    # Of halves of pixels, so that vessels of an even number of pixels have a middle too.
    rows, columns = vessel.shape
    depth = ndimage.distance_transform_edt(vessel.repeat(2, axis=0).repeat(2, axis=1))
    return depth.reshape(rows, 2, columns, 2).max(axis=(1, 3)) / 2


def _on_vessels(half_widths: np.ndarray, places: Sequence[Pixel]) -> Sequence[Pixel]:
    """Return places moved into the middle of the vessels they are meant to be on."""
    vessel = half_widths > 0
    if not vessel.any():
        return places
    away, nearest = ndimage.distance_transform_edt(~vessel, return_indices=True)
    moved: list[Pixel] = []
    for row, column in places:
        near = away[row, column] <= REACH
        moved.append(_middle(half_widths, tuple(nearest[:, row, column].tolist())) if near else (row, column))
    # Both may be meant for the tip of one vessel, to make it longer.
    return places if moved[0] == moved[1] else moved


def _middle(half_widths: np.ndarray, pixel: Pixel) -> Pixel:
    """Return the middle of a vessel at one of its pixels: from there it is not farther to the wall anywhere near."""
    steps = 0
    while steps <= half_widths[pixel] + 1:
        around = _around(half_widths, pixel)
        deepest = np.unravel_index(half_widths[around].argmax(), half_widths[around].shape)
        higher = around[0].start + int(deepest[0]), around[1].start + int(deepest[1])
        if half_widths[higher] <= half_widths[pixel]:
            break
        pixel, steps = higher, steps + 1
    return pixel


def _centre(half_widths: np.ndarray, pixel: Pixel) -> np.ndarray:
    """Return where the middle of a vessel lies between pixels; what is no vessel is its own."""
    if not half_widths[pixel]:
        return np.array(pixel, float)
    around = _around(half_widths, pixel)
    equal = np.argwhere(half_widths[around] == half_widths[pixel])
    return np.add(equal.mean(axis=0), (around[0].start, around[1].start))


def _around(plane: np.ndarray, pixel: Pixel) -> tuple[slice, slice]:
    row, column = pixel
    return slice(max(0, row - 1), row + 2), slice(max(0, column - 1), column + 2)


def _costs(vessel: np.ndarray, probability: np.ndarray, half_widths: np.ndarray) -> np.ndarray:
    """Return how much longer than it is the way through each pixel counts: 1 in the middle of a vessel."""
    reach = 2 * int(np.ceil(half_widths.max())) + 1
    widest = np.maximum(ndimage.maximum_filter(half_widths, reach), NARROWEST)
    likely = np.where(vessel, 1, np.clip(probability, FLOOR, 1))
    return 1 - np.log(likely) + WALL * vessel * (1 - half_widths / widest)


def _way(costs: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the points (N, 2) of the way that costs least, `STEP` apart."""
    path, _ = route_through_array(costs, *(tuple(np.round(place).astype(int)) for place in (first, last)))
    straight = _straightened(np.array([first, *path[1:-1], last]), costs)
    rounded = ndimage.gaussian_filter1d(straight, ROUNDING / STEP, axis=0, mode="nearest")
    return np.concatenate([straight[:1], rounded, straight[-1:]])


def _straightened(path: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """Return a path of pixels as a line of points, straight wherever that costs no more.

    Of all paths from pixel to pixel between two places, many cost the same, however far from the straight line.
    """
    line = _line(path[0], path[-1])
    if len(path) < 3 or _cost(line, costs) <= _cost(path, costs):
        return line
    half = len(path) // 2
    return np.concatenate([_straightened(path[: half + 1], costs), _straightened(path[half:], costs)[1:]])


def _line(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    return np.linspace(first, last, 1 + int(np.ceil(np.hypot(*(last - first)) / STEP)))


def _cost(points: np.ndarray, costs: np.ndarray) -> float:
    at = ndimage.map_coordinates(costs, points.T, order=1, mode="nearest")
    return float(np.hypot(*np.diff(points, axis=0).T) @ (at[1:] + at[:-1])) / 2


def _pixels(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.round(points).astype(int).T
    return rows, columns


def _widths(half_widths: np.ndarray, way: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Return half of the width of the bridge at those points of a way that are missing, given by their numbers."""
    first, last = int(missing[0]), int(missing[-1])
    begin = _side(half_widths, way[first - 1]) if first > 0 else None
    end = _side(half_widths, way[last + 1]) if last + 1 < len(way) else None
    sides = [side for side in (begin, end) if side is not None]
    telling = [side.half_width for side in sides if side.ends]
    other = telling[0] if telling else min((side.half_width for side in sides), default=NARROWEST)
    widths = [side.half_width if side is not None and side.ends else other for side in (begin, end)]
    return np.interp(missing, [first, last + 1], widths)


def _side(half_widths: np.ndarray, point: np.ndarray) -> _Side:
    """Return what the vessel is like in which a point lies."""
    row, column = _middle(half_widths, tuple(np.round(point).astype(int).tolist()))
    half_width = float(half_widths[row, column])
    reach = 2 * half_width + 2
    rows, columns = np.ogrid[: half_widths.shape[0], : half_widths.shape[1]]
    away = np.hypot(rows - row, columns - column)
    near, _ = ndimage.label((half_widths > 0) & (away <= reach), _EIGHT)
    # What comes out of the surroundings: one vessel, or its other half too.
    _, leaving = ndimage.label((near == near[row, column]) & (away > reach - 1.5), _EIGHT)
    return _Side(half_width, leaving < 2)


def _drawn(shape: tuple[int, ...], points: np.ndarray, half_widths: np.ndarray) -> np.ndarray:
    """Return the pixels (H, W) that points lie in, and those no farther from a point than half of the width there."""
    pixels = np.argwhere(np.ones(shape, bool))
    away, nearest = cKDTree(points).query(pixels, distance_upper_bound=half_widths.max() + 1)
    # Those beyond have the number of no point.
    drawn = (away <= np.append(half_widths, 0)[nearest]).reshape(shape)
    drawn[_pixels(points)] = True
    return drawn
