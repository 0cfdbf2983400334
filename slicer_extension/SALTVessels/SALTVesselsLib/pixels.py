"""Pixels and their place in space become NRRD, and NRRD becomes pixels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk

# What the reader itself adds to a file's own facts.
_ADDED = ("NRRD_", "ITK_")


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, a stack or a run.

    Attributes
    ----------
    pixels : ndarray, (frames, rows, columns) or (frames, rows, columns, 3)
    ijk_to_lps : ndarray of float, (4, 4)
        From column, row and frame to millimetres towards the patient's left, back and head.
    name : str
    facts : dict of str to str
        What else the file says, such as `modality`; neither keys nor values have line breaks.
    """

    pixels: np.ndarray
    ijk_to_lps: np.ndarray
    name: str
    facts: dict[str, str] = field(default_factory=dict)


def to_nrrd(picture: Picture) -> bytes:
    """Return the file of a picture."""
    image = sitk.GetImageFromArray(picture.pixels, isVector=picture.pixels.ndim == 4)
    axes = picture.ijk_to_lps[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((axes / spacing).ravel().tolist())
    image.SetOrigin(picture.ijk_to_lps[:3, 3].tolist())
    for key, value in {**picture.facts, "name": picture.name}.items():
        image.SetMetaData(key, value)
    return _write(image, compressed=False)


def from_nrrd(file: bytes) -> Picture:
    """Return the picture in a file; its name is the file's fact `name`.

    Raises
    ------
    ValueError
        If the file is damaged, or is neither gray nor of three colours.
    """
    image = _read(file)
    pixels = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() not in (1, 3) or image.GetDimension() != 3:
        raise ValueError(f"the file has pixels of {pixels.shape}, which is no stack, gray or of three colours")
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    ijk_to_lps[:3, 3] = image.GetOrigin()
    facts = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if not key.startswith(_ADDED)}
    return Picture(pixels, ijk_to_lps, facts.pop("name", ""), facts)


def mask_to_nrrd(mask: np.ndarray) -> bytes:
    """Return the file of a mask (frames, rows, columns), of uint8; its place is that of the image it is sent with."""
    return _write(sitk.GetImageFromArray(mask.astype(np.uint8), isVector=False), compressed=True)


def mask_from_nrrd(file: bytes) -> np.ndarray:
    """Return the mask in a file, uint8, (frames, rows, columns).

    Raises
    ------
    ValueError
        If the file is damaged or holds no mask.
    """
    image = _read(file)
    if image.GetNumberOfComponentsPerPixel() != 1 or image.GetDimension() > 3:
        raise ValueError("the file holds no mask")
    values = sitk.GetArrayFromImage(image)
    mask = values.astype(np.uint8, copy=False)
    if mask is not values and not np.array_equal(mask, values):
        raise ValueError("the values of the mask are not whole numbers from 0 to 255")
    # A server that read a flat image answers with a flat mask.
    return mask[None] if mask.ndim == 2 else mask


def _write(image: sitk.Image, compressed: bool) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.nrrd"
        sitk.WriteImage(image, str(path), useCompression=compressed)
        return path.read_bytes()


def _read(file: bytes) -> sitk.Image:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.nrrd"
        path.write_bytes(file)
        try:
            return sitk.ReadImage(str(path), imageIO="NrrdImageIO")
        except RuntimeError as error:
            raise ValueError("the file is no NRRD, or damaged") from error
