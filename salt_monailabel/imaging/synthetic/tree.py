"""Vascular trees, grown from roots by a random walk with momentum that tapers and branches by Murray's law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RADIUS, TREE, TRAVEL = 4, 5, 6


@dataclass(frozen=True)
class Growth:
    """How a tree grows; lengths in units of the scene, angles in radians.

    Attributes
    ----------
    step : float
        Length of a segment.
    wiggle : float
        Deviation of the curvature's change at each step; tortuosity.
    forks, twigs : float
        Expected forks (two daughters of similar size) and side twigs per unit of length.
    fork_ratio, twig_ratio : tuple of float
        Ranges of the ratio of the smaller to the larger daughter's radius.
    taper : float
        Relative loss of radius per unit of length.
    smallest : float
        Radius at which a vessel ends.
    ends : float
        Expected ends per unit of length of a vessel of radius 1; rarer in thicker ones.
    """

    step: float = 5.0
    wiggle: float = 0.02
    forks: float = 0.006
    twigs: float = 0.01
    fork_ratio: tuple[float, float] = (0.6, 1.0)
    twig_ratio: tuple[float, float] = (0.2, 0.5)
    taper: float = 0.001
    smallest: float = 0.5
    ends: float = 0.004


@dataclass(frozen=True)
class Roots:
    """Where vessels enter: positions (N, 2) as x, y, headings (N,), radii (N,) and curvatures (N,) per step.

    A root's curvature fades over some 70 steps.
    """

    position: np.ndarray
    heading: np.ndarray
    radius: np.ndarray
    curvature: np.ndarray

    @staticmethod
    def join(*parts: Roots) -> Roots:
        """Put several sets of roots together."""
        columns = ("position", "heading", "radius", "curvature")
        return Roots(*(np.concatenate([getattr(part, column) for part in parts]) for column in columns))


def grow(rng: np.random.Generator, size: float, roots: Roots, growth: Growth, most: int = 4000) -> np.ndarray:
    """Grow trees inside a square of `size` units until every tip has ended or left.

    A branch leaves at the angles that Murray (1926, "the physiological principle of minimum work applied to the angle
    of branching") derives from the radii: a twig at nearly a right angle from a trunk that hardly turns, equal
    daughters at 37 degrees each. Branches of one vessel tend to alternate sides.

    Returns
    -------
    ndarray, (segments, 7)
        x0, y0, x1, y1, radius, the index of the root each segment descends from, and the length of the way from there;
        each vessel before its branches.
    """
    count_roots = len(roots.radius)
    sides = rng.choice((-1.0, 1.0), count_roots)
    columns = (roots.position, roots.heading, roots.radius, roots.curvature, roots.curvature)
    tips = np.column_stack([*columns, np.arange(count_roots), np.zeros(count_roots), sides])
    segments: list[np.ndarray] = []
    count, margin = 0, 0.1 * size
    while len(tips) and count < most:
        x, y, heading, radius, curvature, drift, tree, travel, side = tips.T
        unrest = growth.wiggle * (0.6 + 0.4 / np.maximum(radius, 0.4))
        curvature = drift + 0.85 * (curvature - drift) + unrest * rng.standard_normal(len(tips))
        heading = heading + curvature
        ahead = np.stack([x + growth.step * np.cos(heading), y + growth.step * np.sin(heading)], axis=1)
        segments.append(np.column_stack([x, y, ahead, radius, tree, travel]))
        count += len(tips)

        travel, radius = travel + growth.step, radius * (1 - growth.taper * growth.step)
        side = np.where(rng.random(len(tips)) < 0.7, -side, side)
        chance = rng.random(len(tips)) / growth.step
        branching = np.flatnonzero(chance < growth.forks + growth.twigs)
        forking, few = chance[branching] < growth.forks, len(branching)
        ratio = np.where(forking, rng.uniform(*growth.fork_ratio, few), rng.uniform(*growth.twig_ratio, few))
        larger, smaller, turn, turn_smaller = murray(radius[branching], ratio)
        large_enough = smaller >= growth.smallest
        branching, larger, smaller = branching[large_enough], larger[large_enough], smaller[large_enough]
        turn, turn_smaller = turn[large_enough], turn_smaller[large_enough]
        grown = np.column_stack([ahead, heading, radius, curvature, drift * 0.985, tree, travel, side])
        daughters = grown[branching]
        daughters[:, 2] += side[branching] * turn_smaller
        daughters[:, 3:6] = np.column_stack([smaller, 0 * smaller, 0 * smaller])
        grown[branching, 2] -= side[branching] * turn
        grown[branching, 3] = larger
        goes_on = rng.random(len(tips)) > growth.ends * growth.step / np.maximum(radius, 0.5) ** 3
        tips = np.concatenate([grown[goes_on], daughters])
        inside = ((tips[:, :2] > -margin) & (tips[:, :2] < size + margin)).all(axis=1)
        tips = tips[inside & (tips[:, 3] >= growth.smallest)]
    return np.concatenate(segments) if segments else np.empty((0, 7))


def murray(radius: np.ndarray, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Divide a vessel by Murray's law.

    The cube of the parent's radius is the sum of the cubes of the daughters' (Murray 1926, PNAS 12:207), and the
    angles are those of least work (Murray 1926, J Gen Physiol 9:835).

    Parameters
    ----------
    radius : ndarray
        Of the parent.
    ratio : ndarray
        Of the smaller to the larger daughter's radius, in 0..1.

    Returns
    -------
    larger, smaller : ndarray
        Radii of the daughters.
    turn, turn_smaller : ndarray
        How far each turns from the parent's direction, to opposite sides, in radians.
    """
    # Relative to the parent's radius; the parent's own is 1.
    larger = (1 + ratio**3) ** (-1 / 3)
    smaller = larger * ratio
    turn = np.arccos(np.clip((1 + larger**4 - smaller**4) / (2 * larger**2), -1, 1))
    turn_smaller = np.arccos(np.clip((1 + smaller**4 - larger**4) / (2 * smaller**2), -1, 1))
    return radius * larger, radius * smaller, turn, turn_smaller
