"""X-ray angiograms: dark trees over bones and soft tissue, with and without subtraction."""

from __future__ import annotations

import numpy as np

from .annotator import Annotator
from .drawing import Drawing, gray, per_tree, shadow
from .ground import border, disc, ridges, spots, texture
from .raster import View, draw_soft
from .recording import collimator, grain, light
from .roots import from_borders, scattered
from .tree import RADIUS, TRAVEL, Growth, Roots, grow

# Of the scene, in units of a pixel of a 512-pixel recording.
SIDE = 512.0


def angiogram(rng: np.random.Generator, size: int, device: np.random.Generator) -> Drawing:
    """Draw one frame, or a window of a larger one: coronary or cerebral, plain or subtracted, dark or bright."""
    zoom = device.uniform(0.5, 2.5)
    roots, growth = coronary(rng) if device.random() < 0.65 else _cerebral(rng)
    grown = grow(rng, SIDE, roots, growth, 2400)
    view = View(size, zoom, _corner(rng, size / zoom, grown))
    segments = view.place(grown)
    sigma = device.uniform(0.5, 1.2) * max(1.0, zoom**0.7)
    strength = per_tree(rng, segments, 0.3, 0.75) * _wash_in(rng, segments)
    vessels = shadow(segments, size, strength, device.uniform(0.2, 1.2) * zoom, sigma)
    subtracted = device.random() < 0.3
    ground = _subtracted(rng, size) if subtracted else chest(rng, view)
    tube, catheter = _catheter(rng, view, roots, device)
    if subtracted and device.random() < 0.7:
        # Subtraction leaves too little of it to be marked.
        catheter, tube = catheter * np.float32(0.2), np.zeros_like(tube)
    image = ground * (1 - vessels * (1 + np.float32(0.1) * texture(rng, size, 2, 6))) * (1 - catheter)
    image = grain(rng, image, 0.06, quantum=0.8)
    # What the contrast has not reached is not marked.
    reached = segments[strength > 0.06]
    mask = Annotator.any(device, sigma).mark(reached, size) > 0
    if device.random() < 0.4:
        opening = collimator(rng, size)
        image = image * opening + np.float32(rng.uniform(0, 0.1)) * (1 - opening)
        mask, tube = mask & (opening > 0.5), tube & (opening > 0.5)
    if device.random() < (0.3 if subtracted else 0.12):
        image = 1 - image
    return Drawing(gray(image), mask, {"vessel": mask, "catheter": tube & ~mask})


def _corner(rng: np.random.Generator, side: float, segments: np.ndarray) -> tuple[float, float]:
    """Where a window of `side` units lies: over the whole scene if it is large enough, else over some vessel."""
    if side >= SIDE:
        x, y = (SIDE - side) * rng.uniform(0.3, 0.7, 2)
    else:
        x, y = segments[rng.integers(len(segments)), :2] - side * rng.uniform(0.2, 0.8, 2)
    return float(x), float(y)


def coronary(rng: np.random.Generator) -> tuple[Roots, Growth]:
    """Return one to three arteries that enter at one point and curve around the heart."""
    count = int(rng.integers(1, 4))
    start = rng.uniform(0.1, 0.9, 2) * SIDE
    inwards = np.arctan2(*(SIDE / 2 - start)[::-1]) + rng.normal(0, 0.8)
    heading = inwards + rng.normal(0, 0.6, count)
    roots = Roots(np.tile(start, (count, 1)), heading, rng.uniform(2.2, 7.5, count), rng.normal(0, 0.02, count))
    growth = Growth(
        wiggle=rng.uniform(0.01, 0.04),
        forks=rng.uniform(0.002, 0.006),
        twigs=rng.uniform(0.004, 0.014),
        twig_ratio=(0.3, 0.65),
        taper=rng.uniform(0.0008, 0.003),
        smallest=rng.uniform(0.5, 1.0),
        ends=rng.uniform(0.001, 0.004),
    )
    return roots, growth


def _cerebral(rng: np.random.Generator) -> tuple[Roots, Growth]:
    """Return many tortuous arteries from a border, or from anywhere."""
    count, radii = int(rng.integers(2, 9)), (1.0, 5.5)
    place = from_borders if rng.random() < 0.5 else scattered
    growth = Growth(
        wiggle=rng.uniform(0.02, 0.07),
        forks=rng.uniform(0.003, 0.01),
        twigs=rng.uniform(0.004, 0.012),
        twig_ratio=(0.35, 0.7),
        taper=rng.uniform(0.0005, 0.002),
        smallest=rng.uniform(0.5, 0.9),
        ends=rng.uniform(0.001, 0.003),
    )
    return place(rng, SIDE, count, radii, 0.012), growth


def _wash_in(rng: np.random.Generator, segments: np.ndarray) -> np.ndarray:
    """How much contrast has arrived at each segment, (N,) in 0..1: the front fades over its length."""
    if rng.random() < 0.6:
        return np.ones(len(segments))
    front, length = rng.uniform(80, 500), rng.uniform(30, 200)
    return np.clip((front + length - segments[:, TRAVEL]) / length, 0, 1)


def _catheter(
    rng: np.random.Generator, view: View, roots: Roots, device: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the catheter that leads to the vessels, wires and leads: where they are, and how dark, in 0..1."""
    absent = np.zeros((view.size, view.size), np.float32)
    straight = Growth(wiggle=rng.uniform(0.002, 0.01), forks=0, twigs=0, taper=0, smallest=0.1, ends=0)
    parts = []
    if device.random() < 0.65:
        back = Roots(
            roots.position[:1], roots.heading[:1] + np.pi + rng.normal(0, 0.5), device.uniform(1.4, 3.6, 1),
            rng.normal(0, 0.02, 1),
        )  # fmt: skip
        parts.append((grow(rng, SIDE, back, straight, 220), device.uniform(0.12, 0.5), device.random() < 0.4))
    if device.random() < 0.35:
        wires = from_borders(rng, SIDE, int(rng.integers(1, 4)), (0.5, 1.6), 0.006)
        length = int(rng.integers(40, 200))
        parts.append((grow(rng, SIDE, wires, straight, length), device.uniform(0.15, 0.6), False))
    if not parts:
        return absent > 0, absent
    lines, levels = [], []
    for path, level, hollow in parts:
        placed = view.place(path)
        lines.append(placed)
        levels.append(np.full(len(placed), level))
        if hollow:
            lumen = placed.copy()
            lumen[:, RADIUS] *= 0.55
            lines.append(lumen)
            levels.append(np.full(len(placed), level * device.uniform(0.5, 0.9)))
    drawn, level = np.concatenate(lines), np.concatenate(levels)
    dark = shadow(drawn, view.size, level, 0.0, device.uniform(0.4, 0.9))
    return Annotator().mark(drawn, view.size) > 0, dark


def _subtracted(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw the nearly even ground of a subtracted frame, with the double contours of what moved."""
    ground = rng.uniform(0.45, 0.8) + rng.uniform(0.005, 0.05) * texture(rng, size, 2, 12)
    if rng.random() < 0.6:
        moved = texture(rng, size, 4, 32)
        shift = rng.integers(1, 4, 2)
        ground += np.float32(rng.uniform(0.02, 0.12)) * (moved - np.roll(moved, tuple(shift), (0, 1)))
    return ground


def chest(rng: np.random.Generator, view: View) -> np.ndarray:
    """Draw soft tissue, lung, ribs, spine, diaphragm, heart and folds: (size, size) around 0.6."""
    size, zoom = view.size, view.zoom
    ground = rng.uniform(0.5, 0.75) + rng.uniform(0.03, 0.12) * texture(rng, size, 2, 12)
    ground += rng.uniform(0, 0.025) * texture(rng, size, 16, 128)
    if rng.random() < 0.55:
        ribs = from_borders(rng, SIDE, int(rng.integers(2, 7)), (9, 24), 0.006)
        bone = Growth(step=12, wiggle=0.002, forks=0, twigs=0, taper=0, smallest=0.1, ends=0)
        path = view.place(grow(rng, SIDE, ribs, bone, 260))
        outer = draw_soft(path, size, rng.uniform(1.5, 4) * zoom)
        path[:, RADIUS] *= rng.uniform(0.6, 0.85)
        # Bone is densest at its rim.
        inner = draw_soft(path, size, rng.uniform(2, 5) * zoom)
        ground -= np.float32(rng.uniform(0.04, 0.16)) * (outer - np.float32(rng.uniform(0.2, 0.7)) * inner)
    if rng.random() < 0.35:
        across = (np.arange(size, dtype=np.float32) - np.float32(size * rng.uniform(0, 1))) / np.float32(zoom)
        down = np.arange(size, dtype=np.float32)[:, None] / np.float32(zoom)
        lean = np.float32(rng.normal(0, 0.15)) * down
        spine = border(np.abs(across + lean), rng.uniform(22, 45), rng.uniform(2, 6))
        waves = 1 + np.float32(rng.uniform(0.1, 0.5)) * np.sin(down * np.float32(2 * np.pi / rng.uniform(35, 60)))
        ground -= np.float32(rng.uniform(0.05, 0.2)) * spine * waves
    for _ in range(rng.integers(0, 4)):
        # Diaphragm, heart and lung are parts of large discs.
        centre = rng.uniform(-0.6, 1.6, 2) * size
        shape = disc(size, (centre[0], centre[1]), rng.uniform(0.2, 0.9) * size, rng.uniform(0.7, 10) * zoom)
        ground *= 1 - np.float32(rng.uniform(-0.25, 0.4)) * shape
    if rng.random() < 0.4:
        ground -= np.float32(rng.uniform(0.01, 0.07)) * ridges(rng, size, rng.uniform(4, 14) * zoom)
    if rng.random() < 0.3:
        ground += np.float32(rng.uniform(-0.3, 0.15)) * spots(rng, size, int(rng.integers(1, 8)), (2 * zoom, 9 * zoom))
    if rng.random() < 0.35:
        # A venous or a deeper tree out of focus, too faint to be marked.
        faint = Growth(wiggle=0.04, forks=0.006, twigs=0.005, smallest=1.0)
        veins = view.place(grow(rng, SIDE, from_borders(rng, SIDE, 4, (2, 6), 0.01), faint, 500))
        ground -= np.float32(rng.uniform(0.02, 0.07)) * draw_soft(veins, size, rng.uniform(3, 6) * zoom)
    return np.maximum(ground * light(rng, size, rng.uniform(0, 1.0)), 0.03)
