"""The fractal dimension of vessels: how their detail grows with the magnification."""

from __future__ import annotations

import numpy as np

# The smallest box, in pixels, where a line is not yet the stairs of its pixels; and as many offsets each way.
SMALLEST, OFFSETS = 4.0, 4


def fractal_dimension(places: np.ndarray) -> float:
    """Return the box-counting (Minkowski-Bouligand) dimension of a set of pixels.

    Minus the slope of log N(s) over log s, by least squares; the sides s are a quarter, an eighth, ... of the longer
    side of what is covered, down to 4 pixels. N(s) is the smallest number of boxes of side s that cover the set, out of
    16 offsets of their grid (Falconer, Fractal Geometry, 3rd ed., section 2.1).

    Parameters
    ----------
    places : ndarray, (N, 2)
        Row and column of each pixel.

    Returns
    -------
    float
        1 for a straight line, 2 for an area; NaN if what is covered is shorter than 64 pixels, where there is no range
        of sizes to speak of.
    """
    if len(places) == 0:
        return float("nan")
    corner = places.min(axis=0)
    extent = float((places - corner).max()) + 1
    sides = extent / 2.0 ** np.arange(2, np.log2(extent / SMALLEST) + 1e-9)
    if len(sides) < 3:
        return float("nan")
    counts = [_boxes(places - corner, side) for side in sides]
    return float(-np.polyfit(np.log(sides), np.log(counts), 1)[0])


def _boxes(places: np.ndarray, side: float) -> int:
    shifts = np.arange(OFFSETS) / OFFSETS
    grids = (np.floor(places / side + (down, right)) for down in shifts for right in shifts)
    return min(len(np.unique(boxes[:, 0] + 1j * boxes[:, 1])) for boxes in grids)
