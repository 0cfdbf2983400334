"""At what size the model looks at an image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

# Measured by benchmarks/resolution.py: the finest vessels of a small image, two pixels wide, are found better at 1.5
# times their size, and no better at twice; in a large one, vessels are found best where its shorter side has this many
# pixels, as if it were a small one that was magnified.
LARGEST, SIDE = 1.5, 850
# Share of a pixel from which on it is vessel in a label that is reduced. At half the size, a vessel one pixel wide has
# 0.375 of a pixel at most: if one half were asked for, the finest would be gone.
ENOUGH = 0.35


def magnification(shape: tuple[int, int]) -> float:
    """Return by how much an image of `shape` (rows, columns) is magnified: 1 to `LARGEST`."""
    return min(LARGEST, max(1.0, SIDE / min(shape)))


def reduced(pixels: np.ndarray) -> np.ndarray:
    """Return an image (H, W, C) averaged to a shorter side of `SIDE`; the same one if it is no larger."""
    shape = _at_most(pixels.shape[:2])
    if shape == pixels.shape[:2]:
        return pixels
    planes = torch.from_numpy(pixels.astype(np.result_type(pixels, np.float32)).transpose(2, 0, 1))
    return resized(planes, shape).numpy().transpose(1, 2, 0)


def reduced_labels(labels: np.ndarray) -> np.ndarray:
    """Return a label map (H, W) as `reduced` does an image: what most of a pixel's vessel is, where there is enough."""
    shape, values = _at_most(labels.shape), np.unique(labels[labels > 0])
    if shape == labels.shape:
        return labels
    if not values.size:
        return np.zeros(shape, labels.dtype)
    shares = resized(torch.from_numpy(labels == values[:, None, None]).float(), shape)
    # Of a label of nothing but the finest vessels, no pixel has as much.
    drawn = (shares.sum(0) >= ENOUGH) | (shares >= shares.amax((1, 2), keepdim=True) / 2).any(0)
    return np.where(drawn, values[shares.argmax(0)], 0).astype(labels.dtype)


def resized(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resample an image (C, H, W) to other rows and columns, bilinearly; the same one if it has them already.

    To fewer, pixels are averaged.
    """
    if image.shape[-2:] == shape:
        return image
    fewer = shape[0] < image.shape[-2] or shape[1] < image.shape[-1]
    return functional.interpolate(image[None], size=shape, mode="bilinear", align_corners=False, antialias=fewer)[0]


def _at_most(shape: tuple[int, ...]) -> tuple[int, int]:
    rows, columns = shape
    scale = min(1.0, SIDE / min(shape))
    return round(rows * scale), round(columns * scale)


def moved(x: float, y: float, before: tuple[int, int], after: tuple[int, int]) -> tuple[float, float]:
    """Return where a point of an image of `before` (rows, columns) lies once that is resized to `after`."""
    return (x + 0.5) * after[1] / before[1] - 0.5, (y + 0.5) * after[0] / before[0] - 0.5
