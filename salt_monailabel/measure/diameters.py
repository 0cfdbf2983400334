"""Diameters of vessels along their centre lines, finer than a pixel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from .centre_lines import CentreLines, arc, is_closed

# In pixels: of the mask before it is cut across, and of the diameters along the line. Twice as much along the line
# would make diameters a quarter more even, and hide a fifth of a narrowing of vessels of three pixels.
BLUR, SMOOTHING = 1.0, 1.0
# From sample to sample of a cross section, in pixels.
STEP = 0.25
# A wall farther from the centre line than so many times the nearest one is another vessel's.
LOPSIDED = 1.5
# A wall so near to the middle of a pixel that is not seen, in pixels, may be where the view ends: at 0.5, or a little
# more where its edge is a stair; with one pixel of background between, a wall is at 1.5.
UNSEEN = 1.25


def diameters(mask: np.ndarray, seen: np.ndarray, lines: CentreLines, spacing: tuple[float, float]) -> list[np.ndarray]:
    """Measure the diameter at every point of the centre lines.

    The mask, smoothed, is sampled along the normal of the line; the diameter is the integral of these samples, as far
    as they fall on either side. For a straight vessel that is its width whatever the smoothing. Half-crossings would
    be too far apart where a vessel is as narrow as the smoothing, and missing where it is narrower.

    Diameters are NaN, rather than interpolated, where a cross section has no meaning: in the largest disc around a
    branching point, within a radius of the tip of a vessel, where a wall is within a pixel of what is not seen, and
    where the section runs into another vessel. What is not seen is not made up; averages leave it out.

    Parameters
    ----------
    mask : ndarray of bool, (H, W)
        Of what is seen.
    seen : ndarray of bool, (H, W)
        The field of view.
    lines : CentreLines
        Of this mask.
    spacing : tuple of float
        From row to row and from column to column, in the unit of the diameters.

    Returns
    -------
    list of ndarray of float, (N,) each
        For each line.
    """
    soft = ndimage.spline_filter(ndimage.gaussian_filter(mask.astype(np.float32), BLUR, mode="nearest"))
    depth = ndimage.distance_transform_edt(mask, sampling=spacing)
    from_unseen = ndimage.distance_transform_edt(np.pad(seen, 1))
    radii = ndimage.map_coordinates(depth, lines.vertices.T, order=1, mode="nearest")
    degrees = lines.degrees
    blur = BLUR * max(spacing)
    measured = []
    for points, ends in zip(lines.lines, lines.joined, strict=True):
        closed = is_closed(ends, degrees[ends])
        nearest = ndimage.map_coordinates(depth, points.T, order=1, mode="nearest")
        across = _across(points, soft, from_unseen, nearest, spacing, closed)
        for end in () if closed else ends:
            from_end = np.hypot(*((points - lines.vertices[end]) * spacing).T)
            # A free end lies its own depth from the tip of the vessel; the blur reaches farther than a thin vessel.
            tip = max(float(np.median(nearest)), 2 * blur) - radii[end]
            margin = radii[end] + blur if degrees[end] > 2 else tip
            across[from_end < margin] = np.nan
        measured.append(_smoothed(across, closed))
    return measured


def mean_along(lines: Sequence[np.ndarray], values: Sequence[np.ndarray], spacing: tuple[float, float]) -> float:
    """Return the mean of what is known at the points (N, 2) of lines, weighted by length; NaN if nothing is."""
    weights = np.concatenate([np.zeros(0), *(np.gradient(arc(points, spacing)) for points in lines)])
    known = np.concatenate([np.zeros(0), *values])
    weights *= ~np.isnan(known)
    return float(np.nansum(known * weights) / weights.sum()) if weights.any() else float("nan")


def _across(
    points: np.ndarray,
    soft: np.ndarray,
    from_unseen: np.ndarray,
    nearest: np.ndarray,
    spacing: tuple[float, float],
    closed: bool,
) -> np.ndarray:
    """Return the width of the vessel across each point of a line: (N,), NaN where no wall is seen on both sides.

    Parameters
    ----------
    points : ndarray, (N, 2)
        Row and column.
    soft : ndarray, (H, W)
        Spline coefficients of the smoothed mask.
    from_unseen : ndarray, (H + 2, W + 2)
        Distance to the nearest pixel that is not seen, in pixels; those around the image are not.
    nearest : ndarray, (N,)
        Distance to the nearest background.
    spacing : tuple of float
    closed : bool
        Whether the first point is the last.
    """
    unit = np.array(spacing)
    padded = np.concatenate([points[-2:-1], points, points[1:2]]) if closed else points
    along = np.gradient(padded * unit, axis=0)[1:-1] if closed else np.gradient(padded * unit, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.hypot(*along.T), 1e-9)[:, None] / unit
    step = STEP * float(unit.min())
    farthest = LOPSIDED * nearest + 0.5 * float(unit.max())
    # Beyond the wall the smoothed mask falls to nothing.
    distances = np.arange(0, farthest.max() + 4 * BLUR * unit.max() + step, step)
    halves = [_half(points, side * normal, distances, soft) for side in (-1, 1)]
    walls = [points + side * np.nan_to_num(half)[:, None] * normal for side, half in zip((-1, 1), halves, strict=True)]
    visible = [ndimage.map_coordinates(from_unseen, wall.T + 1, order=1) > UNSEEN for wall in walls]
    known = np.logical_and(*visible) & (np.maximum(*halves) <= farthest)
    return np.where(known, np.add(*halves), np.nan)


def _half(points: np.ndarray, heading: np.ndarray, distances: np.ndarray, soft: np.ndarray) -> np.ndarray:
    """Integrate the smoothed mask from each point in its heading, in pixels per unit: (N,), NaN if it never falls."""
    places = points[:, None] + distances[None, :, None] * heading[:, None]
    values = ndimage.map_coordinates(soft, np.moveaxis(places, -1, 0), order=3, mode="nearest", prefilter=False)
    fallen = values < values[:, :1].clip(max=1) / 2
    rising = np.diff(values, axis=1, append=np.inf) >= 0
    over = fallen & (rising | (values < 0.01))
    over[:, -1] = False
    last = over.argmax(axis=1)
    total = np.cumsum(values, axis=1)[np.arange(len(points)), last]
    end = values[np.arange(len(points)), last]
    return np.where(over.any(axis=1), (total - (values[:, 0] + end) / 2) * distances[1], np.nan)


def _smoothed(values: np.ndarray, closed: bool) -> np.ndarray:
    """Average with neighbours that are known; what is not known stays so."""
    known = ~np.isnan(values)
    mode = "wrap" if closed else "constant"
    total = ndimage.gaussian_filter1d(np.where(known, values, 0.0), SMOOTHING, mode=mode)
    weight = ndimage.gaussian_filter1d(known.astype(float), SMOOTHING, mode=mode)
    return np.where(known, total / np.where(known, weight, 1), np.nan)
