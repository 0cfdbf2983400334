"""A mask over its image, to be looked at."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

# How much of the colour is seen over what is labelled, and along its border.
TINT, BORDER = 0.55, 0.65
COLOURS = np.array([(0, 0.85, 0.35), (0.95, 0.3, 0.25), (0.25, 0.55, 1), (0.95, 0.8, 0.1)], np.float32)


def overlay(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tint the pixels of each label, and outline wide ones, over the image.

    Parameters
    ----------
    rgb : ndarray of float, (H, W, 3)
        0..1.
    mask : ndarray of integers, (H, W)
        Label values; 0 is left as it is.

    Returns
    -------
    ndarray of uint8, (H, W, 3)
    """
    painted = rgb.astype(np.float32).copy()
    for value in np.unique(mask[mask > 0]):
        colour, region = COLOURS[(value - 1) % len(COLOURS)], mask == value
        border = region & ~ndimage.binary_erosion(region)
        painted[region] = (1 - TINT) * painted[region] + TINT * colour
        painted[border] = (1 - BORDER) * painted[border] + BORDER * colour
    return (np.clip(painted, 0, 1) * 255 + 0.5).astype(np.uint8)


def difference(rgb: np.ndarray, prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Paint what is right green, what is missed red and what is too much blue: (H, W, 3) uint8."""
    judged = np.zeros(truth.shape, np.uint8)
    judged[prediction & truth], judged[truth & ~prediction], judged[prediction & ~truth] = 1, 2, 3
    return overlay(rgb, judged)
