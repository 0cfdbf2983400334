"""Whether an outline lies on the vessels it outlines, or was moved, as by a viewer that mixed up coordinates.

What a few of these do to a model is less than what chance does, so that no score tells it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.signal import correlate

# How far an outline is looked for, in pixels; the Dice it must have there, and how many times the one it has.
FARTHEST, SURE, TIMES = 48, 0.5, 2.0


def displacement(answers: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[int, int] | None:
    """Return how far an outline would have to be moved to lie on the vessels; None if it lies well, or nowhere better.

    Parameters
    ----------
    answers : sequence of (H, W) bool and (H, W) bool
        What was found in windows of an image, and what was drawn there.

    Returns
    -------
    (int, int) or None
        Rows and columns.
    """
    reach = min([FARTHEST, *(side // 3 for found, _ in answers for side in found.shape)])
    both, either = np.zeros((2, 2 * reach + 1, 2 * reach + 1))
    for found, drawn in answers:
        whole = np.ones(found.shape)
        both += _at_all_shifts(found, drawn, reach)
        # Of what has no counterpart in the window when it is moved, nothing is known.
        either += _at_all_shifts(found, whole, reach) + _at_all_shifts(whole, drawn, reach)
    dice = 2 * both / np.maximum(either, 1)
    row, column = np.unravel_index(int(np.argmax(dice)), dice.shape)
    if dice[row, column] < max(SURE, TIMES * dice[reach, reach]):
        return None
    return int(row) - reach, int(column) - reach


def _at_all_shifts(still: np.ndarray, moved: np.ndarray, reach: int) -> np.ndarray:
    """Return the sums of products of two images, one of them moved by up to `reach` pixels in both directions."""
    products = correlate(still.astype(np.float64), moved.astype(np.float64), method="fft")
    y, x = (side - 1 for side in still.shape)
    return products[y - reach : y + reach + 1, x - reach : x + reach + 1].round()
