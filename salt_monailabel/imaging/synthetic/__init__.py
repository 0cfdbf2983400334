"""Images of vessels drawn from nothing, with their truth, to train a base that has seen no patient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .angiogram import angiogram
from .drawing import Drawing
from .fundus import fundus
from .mixed import mixed, overlap
from .octa import octa
from .recording import jpeg

# Each is given a generator for what is seen, the size, and a generator for the device and who marks its images.
STYLES: dict[str, Callable[[np.random.Generator, int, np.random.Generator], Drawing]] = {
    "fundus": fundus,
    "angiogram": angiogram,
    "octa": octa,
    "mixed": mixed,
    "overlap": overlap,
}
# How often each is drawn where none is asked for.
SHARES = {"fundus": 0.42, "angiogram": 0.24, "octa": 0.2, "mixed": 0.14}
# Of the images that were once compressed with losses.
COMPRESSED = 0.25

__all__ = ["STYLES", "Drawing", "synthesize"]


def synthesize(seed: int, size: int = 512, style: str | None = None, device: int | None = None) -> Drawing:
    """Draw one image of vessels and its truth.

    Parameters
    ----------
    seed : int
        The same seed draws the same image.
    size : int
        Side in pixels.
    style : {"fundus", "angiogram", "octa", "mixed", "overlap"}, optional
        Drawn from the seed if not given.
    device : int, optional
        Images of one device look alike: their resolution, contrast, blur and tint, and who marked them. Drawn from the
        seed if not given.

    Returns
    -------
    Drawing
        With an image of uint8, (size, size, 3).

    Raises
    ------
    ValueError
        For an unknown style.
    """
    rng = np.random.default_rng(seed)
    if style is None:
        style = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    if style not in STYLES:
        raise ValueError(f"unknown style '{style}'; one of {', '.join(STYLES)}")
    drawing = STYLES[style](rng, size, rng if device is None else np.random.default_rng(device))
    image = (np.clip(drawing.image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return drawing._replace(image=jpeg(rng, image) if rng.random() < COMPRESSED else image)
