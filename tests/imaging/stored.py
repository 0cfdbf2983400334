"""Pixels, and images that SimpleITK writes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import DTypeLike
from PIL import Image

BY_PILLOW = (".gif", ".webp", ".jp2", ".pgm", ".ppm")
FLAT, STACK = (20, 30), (4, 20, 30)
HOLDS_GEOMETRY = (".nii", ".nii.gz", ".nrrd", ".mha")


def noise(*shape: int, dtype: DTypeLike = np.uint8) -> np.ndarray:
    """Return pixels that use all of the range of their type, the same for the same shape."""
    rng = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        return rng.normal(0, 1000, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def stored(path: Path, pixels: np.ndarray, colour: bool = False) -> Path:
    """Write pixels by SimpleITK, and without loss by Pillow what it does not write."""
    if path.suffix in BY_PILLOW:
        Image.fromarray(pixels).save(path, lossless=True)
    else:
        sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=colour), str(path))
    return path


def stored_image(path: Path, image: sitk.Image) -> Path:
    sitk.WriteImage(image, str(path))
    return path


def geometry(image: sitk.Image) -> tuple[Any, ...]:
    return (
        image.GetDimension(),
        image.GetSize(),
        image.GetSpacing(),
        image.GetOrigin(),
        image.GetDirection(),
    )


def placed(pixels: np.ndarray, spacing: tuple[float, ...], origin: tuple[float, ...], turn: np.ndarray) -> sitk.Image:
    """Return an image of two to four dimensions somewhere in space."""
    image = sitk.GetImageFromArray(pixels, isVector=False)
    dimensions = image.GetDimension()
    image.SetSpacing(spacing[:dimensions])
    image.SetOrigin(origin[:dimensions])
    image.SetDirection(turn[:dimensions, :dimensions].ravel().tolist())
    return image
