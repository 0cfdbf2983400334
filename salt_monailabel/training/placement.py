"""Whether an outline lies on the vessels it outlines, or was moved, inverted or garbled by what wrote or read it.

What a few that were moved do to a model is less than what chance does, so that no score tells it afterwards; and of the
first ones there is no other label that would tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import numpy as np
from scipy.signal import correlate

from salt_monailabel.inference import Predictor

from .exam import answers, questions_of
from .samples import LabelledFrame

# How far an outline is looked for, in pixels; the Dice it must have there, and how many times the one it has; how much
# of what was found and of what was drawn must agree there, and the least that may be found, in pixels.
FARTHEST, SURE, TIMES, SHARE, LEAST = 48, 0.5, 2.0, 0.25, 200
# The share of what is seen above which an outline is of what is between vessels.
INVERTED = 0.6
# The correlation of neighbouring pixels, in the direction where it is highest, below which they are marked by chance;
# in outlines as thin as a pixel it is about 0.3.
CHANCE = 0.1
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))


def is_inverted(frame: LabelledFrame) -> bool:
    """Say whether the outline of a frame marks what its vessels leave: they never fill most of a view."""
    return bool((frame.labels > 0)[_seen(frame)].mean() > INVERTED)


def is_noise(frame: LabelledFrame) -> bool:
    """Say whether the outline of a frame marks pixels by chance: of a vessel's pixels, the next one mostly is, too."""
    return all(_correlation(frame.labels > 0, _seen(frame), *step) <= CHANCE for step in DIRECTIONS)


def _seen(frame: LabelledFrame) -> np.ndarray:
    return np.ones(frame.labels.shape, bool) if frame.weight is None else frame.weight > 0


def _correlation(marked: np.ndarray, seen: np.ndarray, rows: int, columns: int) -> float:
    """Return how pixels correlate with those a step down and right of them; no number if all are alike."""
    height, width = marked.shape
    here = np.s_[: height - rows, max(0, -columns) : width - max(0, columns)]
    there = np.s_[rows:, max(0, columns) : width + min(0, columns)]
    both = seen[here] & seen[there]
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.corrcoef(marked[here][both], marked[there][both])[0, 1])


def misplaced(predictor: Predictor, frame: LabelledFrame) -> tuple[int, int] | None:
    """Return how far the outline of a frame would have to be moved; None if it should stay.

    Returns
    -------
    (int, int) or None
        Rows and columns, in pixels of the image; down and to the right are positive.
    """
    windows = questions_of([frame], None, predictor.model.input_size)
    if displacement([*chain(*answers(predictor, windows[:1]))]) is None:
        return None
    # A catheter beside a vessel looks so in one place, but not in several.
    moved = displacement([*chain(*answers(predictor, windows))])
    return None if moved is None else (round(moved[0] * frame.pixel), round(moved[1] * frame.pixel))


def displacement(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[int, int] | None:
    """Return how far an outline would have to be moved to lie on the vessels; None if it lies well, or nowhere better.

    Parameters
    ----------
    pairs : sequence of (H, W) bool and (H, W) bool
        What was found in windows of an image, and what was drawn there.

    Returns
    -------
    (int, int) or None
        Rows and columns, in pixels of the windows; down and to the right are positive.
    """
    reach = min([FARTHEST, *(side // 3 for found, _ in pairs for side in found.shape)])
    both, either = np.zeros((2, 2 * reach + 1, 2 * reach + 1))
    for found, drawn in pairs:
        whole = np.ones(found.shape)
        both += _at_all_shifts(found, drawn, reach)
        # Of what has no counterpart in the window when it is moved, nothing is known.
        either += _at_all_shifts(found, whole, reach) + _at_all_shifts(whole, drawn, reach)
    dice = 2 * both / np.maximum(either, 1)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    # Of places that are as good, the nearest.
    best = np.unravel_index(int(np.argmax(dice - 1e-6 * np.hypot(rows, columns))), dice.shape)
    sizes = [sum(int(pixels.sum()) for pixels in side) for side in zip(*pairs, strict=True)] or [0]
    if min(sizes) < LEAST or both[best] < SHARE * max(sizes):
        return None
    if dice[best] < max(SURE, TIMES * dice[reach, reach]):
        return None
    return int(rows[best]), int(columns[best])


def _at_all_shifts(still: np.ndarray, moved: np.ndarray, reach: int) -> np.ndarray:
    """Return the sums of products of two images, one of them moved by up to `reach` pixels in both directions."""
    products = correlate(still.astype(np.float64), moved.astype(np.float64), method="fft")
    y, x = (side - 1 for side in still.shape)
    return products[y - reach : y + reach + 1, x - reach : x + reach + 1].round()
