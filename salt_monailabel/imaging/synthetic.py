"""Images of vessels drawn from nothing, with their truth, to train a base that has seen no patient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from .vessel_tree import Growth, Roots, draw, grow

Style = Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray]]


def synthesize(seed: int, size: int = 512, style: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image of vessels and its mask.

    Parameters
    ----------
    seed : int
        The same seed draws the same image.
    size : int
        Side in pixels.
    style : {"fundus", "angiogram", "plexus", "mixed"}, optional
        Drawn from the seed if not given.

    Returns
    -------
    image : ndarray of uint8, (size, size, 3)
    mask : ndarray of bool, (size, size)

    Raises
    ------
    ValueError
        For an unknown style.
    """
    rng = np.random.default_rng(seed)
    if style is None:
        style = str(rng.choice(list(STYLES), p=[0.35, 0.2, 0.25, 0.2]))
    if style not in STYLES:
        raise ValueError(f"unknown style '{style}'; one of {', '.join(STYLES)}")
    image, mask = STYLES[style](rng, size)
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8), mask


def texture(rng: np.random.Generator, size: int, coarsest: int = 3, finest: int = 48, decay: float = 0.7) -> np.ndarray:
    """Smooth noise over several scales: (size, size) with zero mean and unit deviation."""
    field = np.zeros((size, size), np.float32)
    cells, weight = coarsest, 1.0
    while cells <= finest:
        grid = Image.fromarray(rng.standard_normal((cells, cells), dtype=np.float32))
        field += weight * np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))
        cells, weight = cells * 2, weight * decay
    return (field - field.mean()) / (field.std() + 1e-6)


def _blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian, cut at two deviations for speed."""
    return ndimage.gaussian_filter(image, sigma, truncate=2)


def _blobs(rng: np.random.Generator, size: int, count: int, radii: tuple[float, float]) -> np.ndarray:
    """Soft discs at random places: (size, size) in 0..1."""
    points = rng.uniform(0, size, (count, 2))
    spots = np.column_stack([points, points + 0.01, rng.uniform(*radii, count)])
    return _blur(draw(spots, size), rng.uniform(0.5, 3.0))


def _disc(size: int, centre: np.ndarray, radius: float, softness: float) -> np.ndarray:
    """Draw a disc with a sigmoid border: (size, size) in 0..1."""
    along = np.arange(size, dtype=np.float32)
    x, y = centre
    distance = np.sqrt((along - np.float32(x)) ** 2 + ((along - np.float32(y)) ** 2)[:, None])
    return 0.5 - 0.5 * np.tanh((distance - np.float32(radius)) / np.float32(2 * softness))


def _fan(
    rng: np.random.Generator, size: int, count: int, radii: tuple[float, float], bend: float
) -> tuple[Roots, np.ndarray]:
    """Roots that leave one point in all directions, and that point: trunks of an optic disc."""
    centre = rng.uniform(-0.1, 1.1, 2) * size
    heading = np.linspace(0, 2 * np.pi, count, endpoint=False) + rng.uniform(0, 6.3) + rng.normal(0, 0.25, count)
    start = centre + rng.uniform(0, 12, (count, 1)) * np.stack([np.cos(heading), np.sin(heading)], axis=1)
    return Roots(start, heading, rng.uniform(*radii, count), rng.normal(0, bend, count)), centre


def _border(rng: np.random.Generator, size: int, count: int, radii: tuple[float, float], bend: float) -> Roots:
    """Roots on the four borders, heading inwards."""
    along, side = rng.uniform(0, size, count), rng.integers(0, 4, count)
    far, near = np.full(count, float(size)), np.zeros(count)
    x = np.choose(side, [near, far, along, along])
    y = np.choose(side, [along, along, near, far])
    inwards = np.choose(side, [0.0, np.pi, np.pi / 2, -np.pi / 2])
    heading = inwards + rng.normal(0, 0.5, count)
    return Roots(np.stack([x, y], axis=1), heading, rng.uniform(*radii, count), rng.normal(0, bend, count))


def _scattered(rng: np.random.Generator, size: int, count: int, radii: tuple[float, float], bend: float) -> Roots:
    """Roots anywhere."""
    position, heading = rng.uniform(0, size, (count, 2)), rng.uniform(0, 2 * np.pi, count)
    return Roots(position, heading, rng.uniform(*radii, count), rng.normal(0, bend, count))


def _truth(segments: np.ndarray, size: int) -> np.ndarray:
    """Draw the mask an annotator would: even the finest vessel is about two pixels wide."""
    drawn = segments.copy()
    drawn[:, 4] = np.maximum(drawn[:, 4], 0.85)
    return draw(drawn, size) > 0.5


def _shadow(
    rng: np.random.Generator, segments: np.ndarray, size: int, contrast: tuple[float, float], fading: float
) -> np.ndarray:
    """How much each pixel is changed by the vessels: thin ones less, each tree by its own contrast; (size, size)."""
    if not len(segments):
        return np.zeros((size, size), np.float32)
    trees = segments[:, 5].astype(int)
    strength = rng.uniform(*contrast, trees.max() + 1)[trees]
    strength = strength * segments[:, 4] / (segments[:, 4] + fading)
    return draw(segments, size, shades=np.clip(strength * 255, 1, 255).astype(int))


def _sensor(rng: np.random.Generator, image: np.ndarray, noise: float) -> np.ndarray:
    """Add the noise of a recording, half of the time correlated over a pixel or two, as after demosaicking."""
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.5:
        sigma = rng.uniform(0.4, 0.8)
        grain = ndimage.gaussian_filter(grain, (sigma, sigma, 0)[: image.ndim], truncate=2)
        grain *= 2 * sigma + 0.5
    return image + np.float32(rng.uniform(0.1, 1) * noise) * grain


def _fundus(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a colour photograph of the retina: dark trees from an optic disc, fovea, choroid, round field of view."""
    scale = rng.uniform(0.7, 1.7)
    roots, disc = _fan(rng, size, int(rng.integers(8, 15)), (1.5 * scale, 4.2 * scale), 0.006)
    growth = Growth(
        wiggle=rng.uniform(0.008, 0.03),
        branching=rng.uniform(0.008, 0.02) / scale,
        taper=rng.uniform(0.0005, 0.002),
        smallest=0.45,
        asymmetry=(0.25, 0.9),
    )
    few = _border(rng, size, int(rng.integers(0, 6)), (0.6 * scale, 1.8 * scale), 0.01)
    segments = np.concatenate([grow(rng, size, roots, growth, 2600), grow(rng, size, few, growth, 600)])
    shadow = _shadow(rng, segments, size, (0.25, 0.65), rng.uniform(0.3, 1.0))
    shadow = _blur(shadow, rng.uniform(0.4, 1.2))

    light = (
        0.65 + rng.uniform(0.05, 0.14) * texture(rng, size, 2, 8) + rng.uniform(0, 0.04) * texture(rng, size, 12, 96)
    )
    if rng.random() < 0.8:
        light += rng.uniform(0.1, 0.5) * _disc(size, disc, rng.uniform(25, 50) * scale, rng.uniform(2, 8))
    if rng.random() < 0.7:
        light -= rng.uniform(0.05, 0.3) * _disc(
            size, rng.uniform(0, size, 2), rng.uniform(15, 45) * scale, rng.uniform(8, 20)
        )
    if rng.random() < 0.3:
        light += rng.choice((-1, 1)) * rng.uniform(0.1, 0.3) * _blobs(rng, size, int(rng.integers(3, 40)), (1, 9))
    tint = rng.uniform((0.75, 0.4, 0.1), (1.2, 0.75, 0.45))
    absorption = rng.uniform((0.2, 0.8, 0.3), (0.7, 1.0, 0.9))
    image = light[..., None] * tint.astype(np.float32) * (1 - shadow[..., None] * absorption.astype(np.float32))
    image = _sensor(rng, image, 0.05)
    mask = _truth(segments, size)
    if rng.random() < 0.6:
        centre, radius = rng.uniform(0.3, 0.7, 2) * size, rng.uniform(0.45, 0.8) * size
        field = _disc(size, centre, radius, rng.uniform(0.5, 3))
        image, mask = image * field[..., None], mask & (field > 0.5)
    if rng.random() < 0.25:
        image = np.repeat(image[..., 1:2], 3, axis=2)
    return image, mask


def _angiogram(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an X-ray angiogram: one or two dark trees over ribs and soft tissue, a catheter that is no vessel."""
    scale = rng.uniform(0.6, 1.6)
    growth = Growth(
        wiggle=rng.uniform(0.01, 0.04),
        branching=rng.uniform(0.006, 0.014) / scale,
        taper=rng.uniform(0.001, 0.003),
        smallest=rng.uniform(0.6, 1.0),
        asymmetry=(0.35, 0.9),
    )
    place = _border if rng.random() < 0.5 else _scattered
    roots = place(rng, size, int(rng.integers(1, 5)), (3 * scale, 7 * scale), 0.012)
    segments = grow(rng, size, roots, growth, 1800)
    shadow = _shadow(rng, segments, size, (0.3, 0.7), rng.uniform(0.2, 1.2)) * (1 + 0.2 * texture(rng, size, 2, 6))

    tissue = (
        0.6 + rng.uniform(0.05, 0.16) * texture(rng, size, 2, 12) + rng.uniform(0, 0.03) * texture(rng, size, 16, 64)
    )
    if rng.random() < 0.6:
        ribs = _border(rng, size, int(rng.integers(2, 8)), (10, 28), 0.004)
        bones = grow(rng, size, ribs, Growth(step=12, wiggle=0.002, branching=0, taper=0, smallest=0.1), 300)
        tissue -= rng.uniform(0.03, 0.12) * _blur(draw(bones, size), rng.uniform(1.5, 5))
    catheter = np.zeros((size, size), np.float32)
    if rng.random() < 0.5:
        tube = _border(rng, size, int(rng.integers(1, 3)), (1.5, 4), 0.003)
        path = grow(
            rng, size, tube, Growth(wiggle=0.004, branching=0, taper=0, smallest=0.1), int(rng.integers(30, 120))
        )
        catheter = draw(path, size) * rng.uniform(0.15, 0.5)
    vessels = _blur(np.maximum(shadow, 0), rng.uniform(0.4, 1.3))
    image = tissue * (1 - vessels) * (1 - _blur(catheter, 0.8))
    image = _sensor(rng, image, 0.06)
    if rng.random() < 0.2:
        image = 1 - image
    return np.repeat(image[..., None], 3, axis=2), _truth(segments, size)


def _plexus(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an OCT angiogram: bright vessels over a speckled capillary bed, an avascular zone, motion stripes."""
    scale = rng.uniform(0.8, 2.0)
    growth = Growth(
        wiggle=rng.uniform(0.02, 0.05),
        branching=rng.uniform(0.008, 0.016) / scale,
        taper=rng.uniform(0.001, 0.003),
        smallest=rng.uniform(0.7, 1.1),
        asymmetry=(0.4, 0.9),
    )
    segments = grow(
        rng, size, _border(rng, size, int(rng.integers(8, 22)), (1.2 * scale, 3.5 * scale), 0.008), growth, 1800
    )
    zone = _disc(size, rng.uniform(0.2, 0.8, 2) * size, rng.uniform(0.05, 0.16) * size, rng.uniform(3, 12))
    bed = rng.uniform(0.15, 0.5) * _capillaries(rng, size)
    ground = rng.uniform(0.03, 0.25) * (1 + 0.3 * texture(rng, size, 2, 8))
    vessels = _blur(_shadow(rng, segments, size, (0.6, 1.0), rng.uniform(0, 0.5)), rng.uniform(0.4, 1.0))
    image = np.maximum(ground + bed, vessels) * (1 - zone) + 0.05 * zone
    speckle = rng.gamma(shape := rng.uniform(4, 25), 1 / shape, image.shape).astype(np.float32)
    image = image * _blur(speckle, rng.uniform(0.3, 0.7))
    if rng.random() < 0.4:
        image = image + (rng.random(size) < 0.02)[:, None] * rng.uniform(-0.2, 0.3)
    image = _sensor(rng, image, 0.04)
    return np.repeat(image[..., None], 3, axis=2), _truth(segments, size) & (zone < 0.7)


def _capillaries(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a mesh of unresolved capillaries, ridges of fine noise: (size, size) in 0..1."""
    grain = rng.standard_normal((size, size), dtype=np.float32)
    sigma = rng.uniform(1.0, 2.2)
    field = _blur(grain, sigma)
    return np.exp(-((field / (0.5 * field.std())) ** 2))


def _mixed(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Anything: trees of any kind, either polarity and any colour over arbitrary texture."""
    scale = rng.uniform(0.5, 2.0)
    growth = Growth(
        wiggle=rng.uniform(0.005, 0.07),
        branching=rng.uniform(0.005, 0.02) / scale,
        taper=rng.uniform(0.0003, 0.003),
        smallest=rng.uniform(0.45, 1.0),
    )
    kind = rng.integers(0, 3)
    count, radii = int(rng.integers(2, 16)), (1.0 * scale, 4.5 * scale)
    if kind == 0:
        roots, _ = _fan(rng, size, count, radii, 0.01)
    else:
        roots = (_border if kind == 1 else _scattered)(rng, size, count, radii, 0.01)
    segments = grow(rng, size, roots, growth, 2400)
    shadow = _blur(_shadow(rng, segments, size, (0.15, 0.8), rng.uniform(0, 1.2)), rng.uniform(0.4, 1.4))
    ground = rng.uniform(0.25, 0.75) + rng.uniform(0.02, 0.15) * texture(rng, size, 2, int(rng.choice((8, 24, 96))))
    if rng.random() < 0.4:
        ground += rng.choice((-1, 1)) * rng.uniform(0.05, 0.25) * _blobs(rng, size, int(rng.integers(3, 60)), (1, 20))
    if rng.random() < 0.3:
        ground += rng.uniform(0.05, 0.2) * (_capillaries(rng, size) - 0.5)
    bright = rng.random() < 0.5
    image = ground + (1 - ground) * shadow if bright else ground * (1 - shadow)
    coloured = rng.uniform(0.5, 1.2, 3) if rng.random() < 0.5 else np.ones(3)
    return _sensor(rng, image[..., None] * coloured, 0.08), _truth(segments, size)


STYLES: dict[str, Style] = {"fundus": _fundus, "angiogram": _angiogram, "plexus": _plexus, "mixed": _mixed}
