"""A user's clicks, simulated: where the prediction is wrong, in the middle of a wrong region."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

FOREGROUND, BACKGROUND, PADDING = 1, 0, -1
_EIGHT_NEIGHBOURS = np.ones((3, 3))


@dataclass(frozen=True)
class Clicks:
    """Points (N, 2) as x, y, their labels (N,), and the wrong regions they fall in, (H, W)."""

    points: np.ndarray
    labels: np.ndarray
    regions: np.ndarray


def simulate_clicks(prediction: np.ndarray, truth: np.ndarray, count: int) -> Clicks:
    """Click on the `count` largest wrong regions, each at its deepest point.

    Parameters
    ----------
    prediction, truth : ndarray of bool, (H, W)
    count : int

    Returns
    -------
    Clicks
        Always `count` of them; where fewer regions are wrong, the rest is padding (label -1).
    """
    points = np.zeros((count, 2), np.float32)
    labels = np.full(count, PADDING, np.int64)
    touched = np.zeros(truth.shape, bool)
    missed, missed_count = ndimage.label(truth & ~prediction, _EIGHT_NEIGHBOURS)
    excess, excess_count = ndimage.label(prediction & ~truth, _EIGHT_NEIGHBOURS)
    regions = np.where(excess > 0, excess + missed_count, missed)
    sizes = np.bincount(regions.ravel(), minlength=missed_count + excess_count + 1)[1:]
    boxes = ndimage.find_objects(regions)
    for i, largest in enumerate(np.argsort(-sizes, kind="stable")[:count]):
        region = regions[boxes[largest]] == largest + 1
        depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
        top, left = boxes[largest][0].start, boxes[largest][1].start
        points[i] = left + column, top + row
        labels[i] = FOREGROUND if largest < missed_count else BACKGROUND
        touched[boxes[largest]] |= region
    return Clicks(points, labels, touched)
