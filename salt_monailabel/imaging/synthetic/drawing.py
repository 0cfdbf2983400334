"""An image drawn from nothing, and the truth about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from .ground import blur
from .raster import draw
from .tree import RADIUS, TREE


class Drawing(NamedTuple):
    """What a style draws.

    Attributes
    ----------
    image : ndarray, (size, size, 3)
        uint8 from `synthesize`; the styles themselves return float32, 0..1 but for noise.
    mask : ndarray of bool, (size, size)
        All vessels.
    structures : mapping of name to ndarray of bool, (size, size)
        The parts a style can tell apart: artery, vein, catheter, single trees.
    """

    image: np.ndarray
    mask: np.ndarray
    structures: Mapping[str, np.ndarray]


def shadow(segments: np.ndarray, size: int, strength: np.ndarray, fading: float, sigma: float) -> np.ndarray:
    """How much each pixel is changed by the vessels: (size, size) in 0..1, thin ones less.

    Parameters
    ----------
    segments : ndarray, (N, >=5)
        In pixels.
    size : int
    strength : ndarray, (N,)
        Of an infinitely thick vessel, in 0..1.
    fading : float
        Radius at which a vessel has half that strength.
    sigma : float
        Blur in pixels.
    """
    radius = segments[:, RADIUS]
    shades = np.clip(255 * strength * radius / (radius + fading), 1, 255).astype(int)
    return blur(draw(segments, size, shades=shades), sigma)


def per_tree(rng: np.random.Generator, segments: np.ndarray, low: float, high: float) -> np.ndarray:
    """Draw one number per tree and return it for each of its segments, (N,)."""
    trees = segments[:, TREE].astype(int)
    return rng.uniform(low, high, trees.max(initial=0) + 1)[trees]


def gray(image: np.ndarray) -> np.ndarray:
    """Repeat a gray image in three channels."""
    return np.repeat(image[..., None], 3, axis=2)
