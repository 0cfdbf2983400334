"""What lies behind vessels: smooth textures, spots, discs, meshes and folds. All are (size, size) float32."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .raster import draw, enlarge


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian, cut at two deviations for speed."""
    return ndimage.gaussian_filter(image, sigma, truncate=2)


def texture(rng: np.random.Generator, size: int, coarsest: int, finest: int) -> np.ndarray:
    """Smooth noise over several scales, with zero mean and unit deviation.

    `coarsest` and `finest` are the numbers of cells along a side; each finer scale weighs less.
    """
    field = np.zeros((size, size), np.float32)
    cells, weight = coarsest, 1.0
    while cells <= finest:
        field += np.float32(weight) * enlarge(rng.standard_normal((cells, cells), dtype=np.float32), size)
        cells, weight = cells * 2, weight * 0.7
    return (field - field.mean()) / (field.std() + np.float32(1e-6))


def spots(rng: np.random.Generator, size: int, count: int, radii: tuple[float, float]) -> np.ndarray:
    """Soft discs at random places, in 0..1."""
    points = rng.uniform(0, size, (count, 2))
    drawn = np.column_stack([points, points + 0.01, rng.uniform(*radii, count)])
    return blur(draw(drawn, size, supersample=1), rng.uniform(0.7, 2.5))


def disc(size: int, centre: tuple[float, float], radius: float, softness: float) -> np.ndarray:
    """Draw a disc with a sigmoid border, in 0..1."""
    return border(distance(size, centre), radius, softness)


def distance(size: int, centre: tuple[float, float]) -> np.ndarray:
    """Return the distance of each pixel from a point (x, y)."""
    along = np.arange(size, dtype=np.float32)
    return np.sqrt((along - np.float32(centre[0])) ** 2 + ((along - np.float32(centre[1])) ** 2)[:, None])


def border(depth: np.ndarray, radius: float, softness: float) -> np.ndarray:
    """Return 1 where `depth` is below `radius`, 0 beyond, and a sigmoid of width `softness` between."""
    return 0.5 - 0.5 * np.tanh((depth - np.float32(radius)) / np.float32(2 * max(softness, 0.1)))


def ridges(rng: np.random.Generator, size: int, width: float) -> np.ndarray:
    """Draw a mesh of lines about `width` pixels wide, where smooth noise crosses zero, in 0..1.

    Fine, it is a bed of unresolved capillaries; coarse, the folds of bowel and stomach.
    """
    coarse = max(1, int(width / 2))
    cells = size // coarse + 1
    field = blur(rng.standard_normal((cells, cells), dtype=np.float32), width / coarse)
    if coarse > 1:
        field = enlarge(field, cells * coarse)
    return np.exp(-((field[:size, :size] / np.float32(0.5 * field.std())) ** 2))
