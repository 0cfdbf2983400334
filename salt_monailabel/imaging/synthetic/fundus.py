"""Colour photographs of the retina.

The scene is drawn in units of a pixel of a 565-pixel photograph of 45 degrees: an optic disc 80 units wide, the fovea
some 195 units from it, arteries and veins that leave the disc in pairs and arch around the fovea.
"""

from __future__ import annotations

import numpy as np

from .annotator import Annotator
from .drawing import Drawing, per_tree, shadow
from .ground import border, disc, distance, spots, texture
from .raster import View, draw_soft
from .recording import grain, light, round_field
from .roots import scattered
from .tree import RADIUS, TREE, Growth, Roots, grow

FOVEA_DISTANCE = 195.0
# Of the scene, which is a little larger than the widest field of view.
SIDE = 900.0
STEP = 5.0
ARTERY, VEIN = 1, 2


def fundus(rng: np.random.Generator, size: int, device: np.random.Generator) -> Drawing:
    """Draw one photograph, or a window of it, of a field of 300 to 3000 pixels."""
    wide = device.random() < 0.35
    field = np.exp(device.uniform(np.log(300), np.log(3000))) if wide else device.uniform(450, 1100)
    radius = 270 * device.uniform(0.65, 1.3)
    zoom = field / (2 * radius)
    centre = np.full(2, SIDE / 2)
    axis = rng.choice((0.0, np.pi)) + rng.normal(0, 0.12)
    toward = np.array([np.cos(axis), np.sin(axis)])
    kind = rng.random()
    # The macula in the middle, the disc in the middle, or anything.
    shift = 0.0 if kind < 0.55 else FOVEA_DISTANCE if kind < 0.8 else rng.uniform(-0.5, 1.5) * FOVEA_DISTANCE
    fovea = centre + rng.normal(0, 25, 2) + shift * toward
    nerve = fovea - toward * FOVEA_DISTANCE * rng.uniform(0.85, 1.15)
    view = View(size, zoom, _corner(rng, size / zoom, centre, radius))

    segments, classes = _vessels(rng, nerve, axis, view)
    # Blood rich in oxygen is lighter: what tells arteries from veins, with their reflex and width.
    share = np.where(classes == VEIN, 1.0, device.uniform(0.5, 0.85))
    sigma = device.uniform(0.35, 1.1) * max(1.0, zoom**0.5)
    strength = device.uniform(0.35, 0.8) * per_tree(rng, segments, 0.85, 1.0) * share
    vessels, reflex = _with_reflex(device, segments, strength, classes)
    dark = shadow(vessels, size, reflex, device.uniform(0.3, 2.5) * zoom, sigma)

    ground = _retina(rng, view, nerve, fovea)
    tint = device.uniform((0.75, 0.35, 0.08), (1.2, 0.75, 0.4)).astype(np.float32)
    absorption = device.uniform((0.15, 0.8, 0.3), (0.6, 1.0, 0.9)).astype(np.float32)
    image = ground * tint * (1 - dark[..., None] * absorption)
    image = grain(rng, image, 0.04)
    truth = Annotator.any(device, sigma, sparing=0.05).mark(segments, size, classes)
    if device.random() < 0.85:
        inside = round_field(rng, size, view.point(*centre), radius * zoom)
        image, truth = image * inside[..., None] + np.float32(rng.uniform(0, 0.03)), truth * (inside > 0.5)
    if device.random() < 0.2:
        image = np.repeat(image[..., 1:2], 3, axis=2)
    return Drawing(image, truth > 0, {"artery": truth == ARTERY, "vein": truth == VEIN})


def _corner(rng: np.random.Generator, side: float, centre: np.ndarray, radius: float) -> tuple[float, float]:
    """Where a window of `side` units lies: over the whole field if it is large enough, else somewhere in it."""
    free = max(0.0, 2 * radius - side)
    x, y = centre - side / 2 + rng.uniform(-0.5, 0.5, 2) * (0.8 * free + 20)
    return float(x), float(y)


def _vessels(rng: np.random.Generator, nerve: np.ndarray, axis: float, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Grow arteries and veins: the segments that can be seen, in pixels, and the class of each."""
    growth = Growth(
        step=STEP,
        wiggle=rng.uniform(0.008, 0.026),
        forks=rng.uniform(0.002, 0.005),
        twigs=rng.uniform(0.008, 0.022),
        taper=rng.uniform(0.0003, 0.0012),
        smallest=rng.uniform(0.42, 0.6),
        ends=rng.uniform(0.0005, 0.003),
    )
    roots = []
    # Veins and arteries cross; which of them lies above differs from image to image here.
    order = rng.permutation([ARTERY, VEIN])
    for number in order:
        largest = rng.uniform(2.3, 3.6) if number == ARTERY else rng.uniform(3.0, 4.8)
        few = scattered(rng, SIDE, int(rng.integers(0, 4)), (0.6, 1.3), 0.01)
        leaving = _arcades(rng, nerve, axis, largest, apart=0.12 if number == order[0] else -0.12)
        roots.append(Roots.join(few, leaving))
    segments = view.place(grow(rng, SIDE, Roots.join(*roots), growth, 8000))
    above = segments[:, TREE] >= len(roots[0].radius)
    segments = segments[np.argsort(above, kind="stable")]
    return segments, order[np.sort(above).astype(int)]


def _arcades(rng: np.random.Generator, nerve: np.ndarray, axis: float, largest: float, apart: float) -> Roots:
    """Roots at the disc: two that arch around the fovea, two nasal ones, and small ones to the macula and elsewhere."""
    few, some = int(rng.integers(2, 5)), int(rng.integers(1, 5))
    sides = np.array([1.0, -1.0])
    arch = sides * rng.uniform(0.8, 1.5, 2)
    nasal = np.pi + sides * rng.uniform(0.2, 1.1, 2)
    macular = rng.uniform(-0.7, 0.7, few)
    heading = axis + np.concatenate([arch, nasal, macular, rng.uniform(0, 6.3, some)]) + apart
    radius = largest * np.concatenate(
        [rng.uniform(0.8, 1, 2), rng.uniform(0.4, 0.8, 2), rng.uniform(0.2, 0.45, few), rng.uniform(0.25, 0.6, some)]
    )
    # A turn of STEP / R radians at each step follows a circle of radius R.
    bend = np.concatenate([-sides * STEP / rng.uniform(130, 300, 2), rng.normal(0, 0.006, 2 + few + some)])
    start = nerve + rng.uniform(0, 14, (len(heading), 1)) * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return Roots(start, heading, radius, bend)


def _with_reflex(
    rng: np.random.Generator, segments: np.ndarray, strength: np.ndarray, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Add the light reflex along the middle of thick vessels, mostly of arteries: segments, and their strength."""
    if rng.random() < 0.35 or not len(segments):
        return segments, strength
    bright = rng.uniform(0.55, 0.95)
    shining = (segments[:, RADIUS] > 1.6) & ((classes == ARTERY) | (rng.random() < 0.4))
    inner = segments[shining].copy()
    inner[:, RADIUS] *= rng.uniform(0.2, 0.35)
    # The reflexes of a class follow its vessels and come before those that cross above.
    above = (classes != classes[0]).astype(int)
    order = np.argsort(np.concatenate([2 * above, 2 * above[shining] + 1]), kind="stable")
    levels = np.concatenate([strength, strength[shining] * bright])
    return np.concatenate([segments, inner])[order], levels[order]


def _retina(rng: np.random.Generator, view: View, nerve: np.ndarray, fovea: np.ndarray) -> np.ndarray:
    """Draw what lies behind the vessels, (size, size, 3) around 0.6: disc, fovea, choroid, lesions, uneven light."""
    size, zoom = view.size, view.zoom
    level = (
        0.6 + rng.uniform(0.02, 0.1) * texture(rng, size, 2, 8) + rng.uniform(0, 0.025) * texture(rng, size, 16, 128)
    )
    colour = np.ones((size, size, 3), np.float32)
    if rng.random() < 0.4:
        growth = Growth(step=8, wiggle=0.05, forks=0.01, twigs=0, taper=0, smallest=1, ends=0)
        choroid = view.place(grow(rng, SIDE, scattered(rng, SIDE, 25, (4, 9), 0.01), growth, 700))
        pattern = draw_soft(choroid, size, rng.uniform(2, 6) * zoom)
        level += np.float32(rng.uniform(-0.15, 0.1)) * (pattern - pattern.mean())
    depth = distance(size, view.point(*nerve)) / np.float32(zoom)
    pale = border(depth, rng.uniform(30, 46), rng.uniform(1, 4))
    glow = np.exp(-((depth / np.float32(rng.uniform(60, 160))) ** 2)) * np.float32(rng.uniform(-0.1, 0.2))
    cup = border(depth, rng.uniform(8, 22), rng.uniform(2, 5)) * np.float32(rng.uniform(0, 0.25))
    level += glow
    level -= np.float32(rng.uniform(0.05, 0.25)) * np.exp(
        -((distance(size, view.point(*fovea)) / np.float32(zoom * rng.uniform(18, 45))) ** 2)
    )
    colour += (pale * np.float32(rng.uniform(0.1, 0.7)) + cup)[..., None] * rng.uniform(0.4, 1.3, 3).astype(np.float32)
    if rng.random() < 0.3:
        drusen = spots(rng, size, int(rng.integers(3, 40)), (0.8 * zoom, 5 * zoom))
        colour += rng.uniform(0.1, 0.5) * drusen[..., None] * np.array([0.6, 1, 0.6], np.float32)
    if rng.random() < 0.2:
        bleeds = spots(rng, size, int(rng.integers(1, 15)), (0.8 * zoom, 6 * zoom))
        level = level * (1 - np.float32(rng.uniform(0.2, 0.6)) * bleeds)
    if rng.random() < 0.15:
        edge = disc(
            size, view.point(*(nerve + rng.normal(0, 20, 2))), rng.uniform(45, 90) * zoom, rng.uniform(2, 6) * zoom
        )
        level += np.float32(rng.uniform(-0.1, 0.2)) * edge
    level *= light(rng, size, rng.uniform(0, 0.9))
    return level[..., None] * colour
