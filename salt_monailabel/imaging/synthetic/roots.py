"""Where trees may begin.

All take the side of a square in units of the scene, how many roots, the range of their radii in those units, and
`bend`, the deviation of their curvature in radians per step.
"""

from __future__ import annotations

import numpy as np

from .tree import Roots


def from_borders(
    rng: np.random.Generator, size: float, count: int, radii: tuple[float, float], bend: float, spread: float = 0.5
) -> Roots:
    """Roots on the four borders of a square, heading inwards, give or take `spread` radians."""
    along, side = rng.uniform(0, size, count), rng.integers(0, 4, count)
    far, near = np.full(count, float(size)), np.zeros(count)
    x = np.choose(side, [near, far, along, along])
    y = np.choose(side, [along, along, near, far])
    inwards = np.choose(side, [0.0, np.pi, np.pi / 2, -np.pi / 2])
    heading = inwards + rng.normal(0, spread, count)
    return Roots(np.stack([x, y], axis=1), heading, rng.uniform(*radii, count), rng.normal(0, bend, count))


def scattered(rng: np.random.Generator, size: float, count: int, radii: tuple[float, float], bend: float) -> Roots:
    """Roots anywhere in a square, heading anywhere."""
    position, heading = rng.uniform(0, size, (count, 2)), rng.uniform(0, 2 * np.pi, count)
    return Roots(position, heading, rng.uniform(*radii, count), rng.normal(0, bend, count))


def fan(rng: np.random.Generator, size: float, count: int, radii: tuple[float, float], bend: float) -> Roots:
    """Roots that leave the surround of one point, in or near a square, in all directions."""
    centre = rng.uniform(-0.1, 1.1, 2) * size
    heading = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 6.3) + rng.normal(0, 0.25, count)
    start = centre + rng.uniform(0, 12, (count, 1)) * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return Roots(start, heading, rng.uniform(*radii, count), rng.normal(0, bend, count))
