"""Vessels of any kind over anything, of either polarity and any colour, and two trees that overlap."""

from __future__ import annotations

import numpy as np

from .annotator import Annotator
from .drawing import Drawing, gray, per_tree, shadow
from .ground import ridges, spots, texture
from .raster import View
from .recording import grain, light
from .roots import fan, from_borders, scattered
from .tree import TREE, Growth, grow


def mixed(rng: np.random.Generator, size: int, device: np.random.Generator) -> Drawing:
    """Draw an image of no particular organ or device."""
    zoom = np.exp(device.uniform(np.log(0.5), np.log(3.5)))
    side = size / zoom
    view = View(size, zoom)
    growth = Growth(
        wiggle=rng.uniform(0.005, 0.07),
        forks=rng.uniform(0.002, 0.01),
        twigs=rng.uniform(0.002, 0.02),
        twig_ratio=(0.25, 0.7),
        taper=rng.uniform(0.0003, 0.003),
        smallest=rng.uniform(0.45, 1.0),
        ends=rng.uniform(0.0005, 0.005),
    )
    count, radii = int(rng.integers(2, 16)), (0.8, rng.uniform(2, 7))
    place = (from_borders, scattered, fan)[rng.integers(0, 3)]
    segments = view.place(grow(rng, side, place(rng, side, count, radii, 0.01), growth, 2200))
    sigma = device.uniform(0.4, 1.2) * max(1.0, zoom**0.7)
    strength = per_tree(rng, segments, 0.15, 0.8)
    vessels = shadow(segments, size, strength, device.uniform(0, 1.2) * zoom, sigma)
    image = _contrast(device, _anything(rng, size, zoom), vessels)
    mask = Annotator.any(device, sigma).mark(segments, size) > 0
    if rng.random() < 0.5:
        return Drawing(grain(rng, gray(image), 0.08), mask, {"vessel": mask})
    coloured = image[..., None] * rng.uniform(0.5, 1.2, 3).astype(np.float32)
    return Drawing(grain(rng, coloured, 0.08), mask, {"vessel": mask})


def overlap(rng: np.random.Generator, size: int, device: np.random.Generator) -> Drawing:
    """Draw two trees that cross, alike but for a little contrast and width: which is which, their course tells."""
    view = View(size, device.uniform(0.5, 1.1))
    side = size / view.zoom
    growth = Growth(
        wiggle=rng.uniform(0.01, 0.04),
        forks=rng.uniform(0.003, 0.008),
        twigs=rng.uniform(0.004, 0.01),
        twig_ratio=(0.35, 0.7),
        taper=rng.uniform(0.0005, 0.002),
        smallest=rng.uniform(0.6, 1.0),
        ends=rng.uniform(0.001, 0.003),
    )
    roots = from_borders(rng, side, 2, (3, 5.5), 0.008, spread=0.25)
    segments = view.place(grow(rng, side, roots, growth, 1600))
    sigma = device.uniform(0.5, 1.2)
    vessels = shadow(segments, size, per_tree(rng, segments, 0.4, 0.6), 0.5 * view.zoom, sigma)
    image = _contrast(device, _anything(rng, size, view.zoom), vessels)
    trees = {}
    for number in (0, 1):
        own = segments[segments[:, TREE] == number]
        trees[f"tree {number + 1}"] = Annotator().mark(own, size) > 0
    return Drawing(grain(rng, gray(image), 0.05), trees["tree 1"] | trees["tree 2"], trees)


def _anything(rng: np.random.Generator, size: int, zoom: float) -> np.ndarray:
    """Draw a ground of texture, spots and meshes: (size, size) in about 0.2..0.8."""
    ground = rng.uniform(0.25, 0.75) + rng.uniform(0.02, 0.15) * texture(rng, size, 2, int(rng.choice((8, 24, 96))))
    if rng.random() < 0.4:
        marks = spots(rng, size, int(rng.integers(3, 60)), (zoom, 15 * zoom))
        ground += np.float32(rng.choice((-1, 1)) * rng.uniform(0.05, 0.25)) * marks
    if rng.random() < 0.3:
        ground += np.float32(rng.uniform(0.05, 0.2)) * (ridges(rng, size, rng.uniform(0.8, 5) * zoom) - np.float32(0.5))
    return np.clip(ground * light(rng, size, rng.uniform(0, 0.7)), 0.05, 0.95)


def _contrast(rng: np.random.Generator, ground: np.ndarray, vessels: np.ndarray) -> np.ndarray:
    """Put vessels on a ground, brighter or darker than it."""
    return ground + (1 - ground) * vessels if rng.random() < 0.5 else ground * (1 - vessels)
