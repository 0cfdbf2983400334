"""One picture of a run: projections over time of frames, raw or subtracted, in which vessels are thin and dark."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import numpy as np
from scipy import ndimage

# Of the bright pixels. What is darker is shutter and noise, and its logarithm would drown the vessels.
SHADOW = 0.01
# A side of the pictures in which thin dark structure is looked for, the thickest of it in their pixels, and on how many
# tiles on a side it is added up.
SMALL_SIDE, THICKEST, TILES = 256, 9, 16
# Of these pixels; broader shades tell nothing of structure, and outweigh it.
SHADE = 32


def minimum_intensity(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Return the darkest value of each pixel over time: wherever contrast medium has been.

    Parameters
    ----------
    frames : iterable of ndarray, (H, W)
        At least one; they are looked at one after the other, and not kept.

    Returns
    -------
    ndarray, (H, W)
        Of the same type.
    """
    return reduce(np.minimum, frames)


def maximum_intensity(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Return the brightest value of each pixel over time: where contrast medium has been, if negatives are shown.

    Parameters and the result are those of `minimum_intensity`.
    """
    return reduce(np.maximum, frames)


def peak_opacification(frames: np.ndarray) -> int:
    """Return the index of the frame in which the most vessel is filled with contrast medium.

    It is the frame with the most thin dark structure. Catheters and ribs count in all frames alike, also while they
    move, and a frame that differs from both beside it does not count.

    Parameters
    ----------
    frames : ndarray, (F, H, W)
        Raw or subtracted.

    Returns
    -------
    int
        From 0; the first of several alike.
    """
    return int(thin_and_dark(frames).mean(axis=(1, 2)).argmax())


def thin_and_dark(frames: np.ndarray) -> np.ndarray:
    """Return how much thin dark structure there is, tile by tile: its black top-hat, on average.

    Moving structure counts as much as resting. Each tile has the median of itself and its neighbours in time.

    Parameters
    ----------
    frames : ndarray, (F, H, W)
        Raw, which have no negative values and are compared by their logarithms; or subtracted.

    Returns
    -------
    ndarray of float32, (F, rows, columns)
        Of tiles, `TILES` on the shorter side.
    """
    raw, darkest = frames.min() >= 0, shadow(frames)
    depths = []
    for frame in frames:
        small = block_means(frame, SMALL_SIDE)
        small = ndimage.gaussian_filter(logarithm(small, darkest) if raw else small, 1)
        depths.append(block_means(depth(small), TILES))
    return ndimage.median_filter(np.stack(depths), (3, 1, 1), mode="nearest")


def shadow(frames: np.ndarray) -> float:
    """Return the value up to which a pixel is in the shadow of a shutter, above zero even if all are black."""
    return max(SHADOW * float(np.percentile(frames[..., ::4, ::4], 99)), float(np.finfo(np.float32).tiny))


def logarithm(values: np.ndarray, darkest: float) -> np.ndarray:
    """Return the logarithms, as float32, of what is not darker than `darkest`, and of that for what is."""
    return np.log(np.maximum(values, darkest, dtype=np.float32))


def block_means(image: np.ndarray, side: int) -> np.ndarray:
    """Return means of squares of pixels, about `side` on the shorter side; a rest at right and bottom is left out."""
    step = max(1, min(image.shape) // side)
    rows, columns = (length // step for length in image.shape)
    squares = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    return squares.mean(axis=(1, 3), dtype=np.float32)


def depth(image: np.ndarray) -> np.ndarray:
    """Return how deep each pixel lies in dark structure of up to `THICKEST` pixels: a black top-hat."""
    return ndimage.grey_closing(image, (THICKEST, THICKEST)) - image


def without_shade(image: np.ndarray, lit: np.ndarray) -> np.ndarray:
    """Return by how much lit pixels differ from a Gaussian mean of the lit ones around them; 0 elsewhere."""
    around, weight = (ndimage.gaussian_filter(np.where(lit, values, 0), SHADE) for values in (image, np.float32(1)))
    return np.where(lit, image - around / np.maximum(weight, np.finfo(np.float32).tiny), 0)
