"""What was painted and erased by hand: no model changes it."""

from __future__ import annotations

import numpy as np

# The values of a mask with strokes; 0 is no vessel. What is vessel otherwise is for the model to correct.
VESSEL, PAINTED, ERASED = 1, 2, 3


def drawn(strokes: np.ndarray) -> np.ndarray:
    """Return the mask that a mask with strokes stands for: boolean, of any shape."""
    return (strokes == VESSEL) | (strokes == PAINTED)


def by_hand(mask: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """Return a mask with what was painted, and without what was erased.

    Parameters
    ----------
    mask : ndarray of bool
    strokes : ndarray of uint8
        Of the same shape.

    Returns
    -------
    ndarray of bool
    """
    return (mask | (strokes == PAINTED)) & (strokes != ERASED)
