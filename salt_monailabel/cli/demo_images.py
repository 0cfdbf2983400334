"""Images of a kind that no pretrained base has seen: vessels with bright walls and a dark lumen."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from salt_monailabel.imaging.synthetic.ground import texture
from salt_monailabel.imaging.synthetic.raster import draw
from salt_monailabel.imaging.synthetic.tree import Growth, Roots, grow

SIZE = 384


def walled_vessels(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image and its truth, in which the whole vessel counts, wall and lumen.

    A base trained on vessels that are darker or brighter than their surround takes the two walls for two vessels, and
    the thin fibres of the tissue, which are none, for more.

    Returns
    -------
    image : ndarray of uint8, (SIZE, SIZE)
    truth : ndarray of bool, (SIZE, SIZE)
    """
    rng = np.random.default_rng((2, seed))
    count = 5
    along, side = rng.uniform(0.1, 0.9, count) * SIZE, rng.integers(0, 2, count) * float(SIZE)
    roots = Roots(
        np.stack([side, along], axis=1),
        np.where(side > 0, np.pi, 0.0) + rng.normal(0, 0.3, count),
        rng.uniform(5, 8, count),
        np.zeros(count),
    )
    growth = Growth(wiggle=0.03, forks=0.008, twigs=0, fork_ratio=(0.5, 0.9), taper=0.0012, smallest=2.2, ends=0)
    vessels = grow(rng, SIZE, roots, growth)
    outer, lumen = draw(vessels, SIZE, widen=1.6), draw(vessels, SIZE, widen=-1.2)
    starts = rng.uniform(0, SIZE, (40, 2))
    fibres = Roots(starts, rng.uniform(0, 2 * np.pi, 40), np.full(40, 0.7), np.zeros(40))
    thin = draw(grow(rng, SIZE, fibres, Growth(wiggle=0.01, forks=0, twigs=0, taper=0.004)), SIZE)

    tissue = 0.5 + 0.07 * texture(rng, SIZE, 3, 24) + 0.2 * thin
    wall = np.clip(outer - lumen, 0, 1)
    image = tissue * (1 - outer) + 0.8 * wall + 0.28 * lumen * (outer > 0)
    image = ndimage.gaussian_filter(image, 0.8) + rng.normal(0, 0.035, image.shape)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8), outer > 0.5
