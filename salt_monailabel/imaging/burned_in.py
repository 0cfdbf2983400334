"""Text in the pixels of an image: what the file says of it, or else what a look at the pixels suspects.

Letters are small parts of one height, side by side on a line, as bright or dark as anything in the image and apart from
what is around them. Vessels and noise are parts as small and as bright, but hardly ever four of a height in a row.
`benchmarks/burned_in.py` measures it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydicom import dcmread
from scipy import ndimage

from .study import Study

BurnedIn = Literal["no", "suspected", "yes"]
# Of larger images, with a shorter side of twice this many pixels and more, every second pixel is looked at, and so on.
SIDE = 768
# Pixels: a letter's height, and the thickest line it is drawn with. Letters that make a text.
HEIGHTS, STROKE, LETTERS = (6, 64), 9, 4
# Shares of the image's range of values: how much letters may stand out, where they are told apart by their value alone,
# and which value some pixel of each must reach.
CONTRASTS, EXTREME, BRIGHT = (0.3, 0.45, 0.6, 0.75), 0.97, 0.9
# A letter's width and the gap to the next by its height, and the share of its box that it fills.
WIDEST, GAP, FILLED = 1.6, 1.0, 0.15


def burned_in(study: Study, path: Path) -> BurnedIn:
    """Say whether there is text in the pixels of an image.

    Parameters
    ----------
    study : Study
    path : Path
        The file it was read from.

    Returns
    -------
    {"no", "suspected", "yes"}
        "yes" and "no" where a DICOM file says so (PS3.3 C.7.6.1.1.10); where it does not, what the first frame and one
        in the middle look like.

    Raises
    ------
    ImageError
        If a frame is damaged.
    """
    if study.presentation is not None:
        said = dcmread(path, stop_before_pixels=True, specific_tags=["BurnedInAnnotation"]).get("BurnedInAnnotation")
        if said in ("YES", "NO"):
            return "yes" if said == "YES" else "no"
    looked = {0, len(study.pixels) // 2}
    return "suspected" if any(has_text(study.pixels[index]) for index in looked) else "no"


def has_text(image: np.ndarray) -> bool:
    """Say whether an image, (rows, columns, channels), seems to have text drawn into it."""
    step = max(1, min(image.shape[:2]) // SIDE)
    values = image[::step, ::step].max(axis=-1).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low == high:
        return False
    values = (values - low) / (high - low)
    return _bright_text(values) or _bright_text(1 - values)


def _bright_text(values: np.ndarray) -> bool:
    standing_out = values - ndimage.grey_opening(values, (STROKE, STROKE))
    masks = (*(standing_out > contrast for contrast in CONTRASTS), values >= EXTREME)
    return any(_longest_line(_letters(mask, values >= BRIGHT)) >= LETTERS for mask in masks)


def _letters(mask: np.ndarray, bright: np.ndarray) -> np.ndarray:
    """Return the boxes (top, bottom, left, right) of what may be letters, from left to right."""
    numbers, count = ndimage.label(mask, np.ones((3, 3)))
    if not count:
        return np.zeros((0, 4), int)
    boxes = np.array([(r.start, r.stop, c.start, c.stop) for r, c in ndimage.find_objects(numbers)])
    area = np.bincount(numbers.ravel())[1:]
    height, width = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    kept = (height >= HEIGHTS[0]) & (height <= HEIGHTS[1]) & (width <= WIDEST * height)
    kept &= area >= np.maximum(FILLED * height * width, height)
    kept &= np.bincount(numbers[bright], minlength=count + 1)[1:] > 0
    return boxes[kept][np.argsort(boxes[kept, 2], kind="stable")]


def _longest_line(boxes: np.ndarray) -> int:
    """Return how many boxes follow each other at most, of one height, on a line, each near the one before."""
    longest = np.ones(len(boxes), int)
    # No neighbour begins further to the left.
    firsts = np.searchsorted(boxes[:, 2], boxes[:, 2] - (WIDEST + GAP) * 1.25 * (boxes[:, 1] - boxes[:, 0]))
    for index, ((top, bottom, left, _), first) in enumerate(zip(boxes, firsts, strict=True)):
        height, before = bottom - top, boxes[first:index]
        tolerance = max(1, round(0.1 * height))
        gap = left - before[:, 3]
        near = (abs(before[:, 0] - top) <= tolerance) & (abs(before[:, 1] - bottom) <= tolerance)
        near &= (gap >= 0) & (gap <= GAP * height)
        if near.any():
            longest[index] += longest[first:index][near].max()
    return int(longest.max(initial=0))
