"""Vascular trees, grown from roots by a random walk with momentum that tapers and branches by Murray's law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SUPERSAMPLE = 4


@dataclass(frozen=True)
class Growth:
    """How a tree grows; lengths in pixels, angles in radians.

    Attributes
    ----------
    step : float
        Length of a segment.
    wiggle : float
        Deviation of the curvature's change at each step; tortuosity.
    branching : float
        Expected branches per pixel of length.
    taper : float
        Relative loss of radius per pixel of length.
    smallest : float
        Radius at which a vessel ends.
    asymmetry : tuple of float
        Range of the ratio of the smaller to the larger daughter's radius.
    """

    step: float = 5.0
    wiggle: float = 0.02
    branching: float = 0.012
    taper: float = 0.001
    smallest: float = 0.5
    asymmetry: tuple[float, float] = (0.3, 1.0)


@dataclass(frozen=True)
class Roots:
    """Where vessels enter: positions (N, 2) as x, y, headings (N,), radii (N,) and curvatures (N,) per step."""

    position: np.ndarray
    heading: np.ndarray
    radius: np.ndarray
    curvature: np.ndarray


def grow(rng: np.random.Generator, size: int, roots: Roots, growth: Growth, most: int = 4000) -> np.ndarray:
    """Grow trees inside a square of `size` pixels until every tip has ended or left.

    Returns
    -------
    ndarray, (segments, 6)
        x0, y0, x1, y1, radius and the index of the root each segment descends from, thick vessels not before thin
        ones of the same generation.
    """
    position, heading, radius = (np.array(a, float) for a in (roots.position, roots.heading, roots.radius))
    curvature = np.array(roots.curvature, float)
    drift, tree = curvature.copy(), np.arange(len(radius))
    segments: list[np.ndarray] = []
    count = 0
    while len(radius) and count < most:
        curvature = drift + 0.85 * (curvature - drift) + rng.normal(0, growth.wiggle, len(radius))
        heading = heading + curvature
        moved = position + growth.step * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        segments.append(np.column_stack([position, moved, radius, tree]))
        count += len(radius)
        position = moved
        radius = radius * (1 - growth.taper * growth.step)

        branching = rng.random(len(radius)) < growth.branching * growth.step
        ratio = rng.uniform(*growth.asymmetry, len(radius))
        side = rng.choice((-1.0, 1.0), len(radius))
        # Murray's law (1926): the cube of the parent's radius is the sum of the cubes of the daughters'.
        larger = radius * (1 + ratio**3) ** (-1 / 3)
        spread = rng.uniform(0.5, 1.2, len(radius))
        daughters = branching & (larger * ratio >= growth.smallest)
        heading_daughter = heading + side * spread
        heading = np.where(branching, heading - side * spread * 0.35 * ratio, heading)
        radius_daughter, radius = larger * ratio, np.where(branching, larger, radius)

        position = np.concatenate([position, position[daughters]])
        heading = np.concatenate([heading, heading_daughter[daughters]])
        radius = np.concatenate([radius, radius_daughter[daughters]])
        curvature = np.concatenate([curvature, np.zeros(daughters.sum())])
        drift = np.concatenate([drift * 0.99, np.zeros(daughters.sum())])
        tree = np.concatenate([tree, tree[daughters]])

        margin = 0.1 * size
        inside = ((position > -margin) & (position < size + margin)).all(axis=1)
        ends = (radius < 1) & (rng.random(len(radius)) < 0.01)
        alive = inside & (radius >= growth.smallest) & ~ends
        position, heading, radius = position[alive], heading[alive], radius[alive]
        curvature, drift, tree = curvature[alive], drift[alive], tree[alive]
    return np.concatenate(segments) if segments else np.empty((0, 6))


def draw(segments: np.ndarray, size: int, shades: np.ndarray | int = 255, widen: float = 0.0) -> np.ndarray:
    """Draw segments with round joints and anti-aliased borders.

    Parameters
    ----------
    segments : ndarray, (N, >=5)
        x0, y0, x1, y1, radius in pixels; later segments cover earlier ones.
    size : int
        Side of the square drawing in pixels.
    shades : int or ndarray of int, (N,)
        Gray value of each segment.
    widen : float
        Pixels added to each radius.

    Returns
    -------
    ndarray of float32, (size, size), 0..1
    """
    canvas = Image.new("L", (size * SUPERSAMPLE, size * SUPERSAMPLE))
    pen = ImageDraw.Draw(canvas)
    lines = (segments[:, :4] * SUPERSAMPLE).tolist()
    radii = ((segments[:, 4] + widen) * SUPERSAMPLE).tolist()
    for line, radius, shade in zip(lines, radii, np.broadcast_to(shades, len(lines)).tolist(), strict=True):
        pen.line(line, fill=shade, width=max(1, round(2 * radius)))
        if radius > 3:
            x, y = line[2:]
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade)
    return np.asarray(canvas.reduce(SUPERSAMPLE), np.float32) / 255
