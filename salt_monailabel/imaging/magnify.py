"""How much an image is magnified before the model looks at it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

# Measured by benchmarks/resolution.py: the finest vessels of a small image, two pixels wide, are found better at 1.5
# times their size, and no better at twice. Images whose shorter side has this many pixels are left as they are.
LARGEST, SIDE = 1.5, 850


def magnification(shape: tuple[int, int]) -> float:
    """Return by how much an image of `shape` (rows, columns) is magnified: 1 to `LARGEST`."""
    return min(LARGEST, max(1.0, SIDE / min(shape)))


def resized(image: Tensor, shape: tuple[int, int]) -> Tensor:
    """Resample an image (C, H, W) to other rows and columns, bilinearly; the same one if it has them already."""
    if image.shape[-2:] == shape:
        return image
    return functional.interpolate(image[None], size=shape, mode="bilinear", align_corners=False)[0]


def moved(x: float, y: float, before: tuple[int, int], after: tuple[int, int]) -> tuple[float, float]:
    """Return where a point of an image of `before` (rows, columns) lies once that is resized to `after`."""
    return (x + 0.5) * after[1] / before[1] - 0.5, (y + 0.5) * after[0] / before[0] - 0.5
