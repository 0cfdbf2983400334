"""En-face OCT angiograms: bright vessels over a speckled bed of capillaries around an avascular zone."""

from __future__ import annotations

import numpy as np

from .annotator import Annotator
from .drawing import Drawing, gray, per_tree, shadow
from .ground import blur, disc, ridges, texture
from .raster import View
from .recording import displace, grain, light, motion
from .roots import from_borders
from .tree import Growth, Roots, grow

# Of the scene, in units of a pixel of a 304-pixel recording of 3 mm.
SIDE = 330.0


def octa(rng: np.random.Generator, size: int, device: np.random.Generator) -> Drawing:
    """Draw one projection, or a window of a larger one."""
    zoom = np.exp(device.uniform(np.log(0.7), np.log(2.2)))
    side = size / zoom
    whole = max(side, SIDE)
    zone = rng.uniform(0.3, 0.7, 2) * whole
    segments = grow(rng, whole, _roots(rng, whole, zone), _growth(rng), 5000)
    x, y = rng.uniform(0, whole - side, 2) if whole > side else (0.0, 0.0)
    view = View(size, zoom, (float(x), float(y)))
    segments = view.place(segments)
    avascular = disc(size, view.point(*zone), rng.uniform(20, 50) * zoom, rng.uniform(1, 6) * zoom)
    if rng.random() < 0.15:
        avascular *= 0

    sigma = device.uniform(0.4, 0.9) * max(1.0, zoom**0.5)
    strength = per_tree(rng, segments, 0.65, 1.0)
    vessels = shadow(segments, size, strength, device.uniform(0, 0.4) * zoom, sigma)
    bed = ridges(rng, size, rng.uniform(0.8, 1.9) * zoom)
    if rng.random() < 0.5:
        bed = np.maximum(bed, np.float32(rng.uniform(0.3, 0.9)) * ridges(rng, size, rng.uniform(0.8, 1.9) * zoom))
    bed *= np.float32(device.uniform(0.15, 0.65)) * (1 + np.float32(0.35) * texture(rng, size, 2, 16))
    ground = np.float32(device.uniform(0.03, 0.2))
    image = np.maximum(ground + bed, vessels) * (1 - avascular) + np.float32(rng.uniform(0, 0.1)) * avascular
    speckle = rng.gamma(shape := device.uniform(3, 25), 1 / shape, image.shape).astype(np.float32)
    image = image * blur(speckle, device.uniform(0.3, 0.8)) * light(rng, size, rng.uniform(0, 0.7))
    image = grain(rng, image, 0.05)
    # Speckle lets vessels bloom: who marks them draws inside their bright border.
    mask = (Annotator.any(device, -2.2).mark(segments, size) > 0) & (avascular < 0.7)
    if rng.random() < 0.4:
        shifts = motion(rng, size)
        image, mask = displace(image, shifts), displace(mask, shifts)
        image += (rng.random(size) < 0.01)[:, None] * np.float32(rng.uniform(-0.2, 0.3))
    return Drawing(gray(image), mask, {"vessel": mask})


def _roots(rng: np.random.Generator, side: float, zone: np.ndarray) -> Roots:
    """Roots at the borders that head for the avascular zone, give or take."""
    roots = from_borders(rng, side, int(rng.integers(7, 20) * side / SIDE), (0.9, 4.2), 0.003)
    to_zone = np.arctan2(*(zone - roots.position).T[::-1])
    drawn = rng.uniform(0.2, 0.9)
    turn = np.angle(np.exp(1j * (to_zone - roots.heading)))
    return Roots(roots.position, roots.heading + drawn * turn, roots.radius, roots.curvature)


def _growth(rng: np.random.Generator) -> Growth:
    return Growth(
        wiggle=rng.uniform(0.012, 0.035),
        forks=rng.uniform(0.002, 0.006),
        twigs=rng.uniform(0.004, 0.012),
        twig_ratio=(0.35, 0.7),
        taper=rng.uniform(0.001, 0.004),
        smallest=rng.uniform(0.8, 1.1),
        ends=rng.uniform(0.002, 0.01),
    )
