"""Image files of all kinds that are read."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from PIL import Image, UnidentifiedImageError
from pydicom import dcmread

from .acquisition import Acquisition, acquisition_of
from .dicom import DicomFrames, Presentation
from .geometry import Geometry
from .header import ImageError, check_nifti, check_size, reader_of

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
EXTENSIONS = (*PICTURES, ".nii.gz", ".nii", ".nrrd", ".dcm")
# What Pillow may take a file for; it knows others, some of which start programs.
_PICTURES = ("PNG", "JPEG", "BMP", "TIFF")


@dataclass(frozen=True)
class Content:
    """What a file holds; see `Study`."""

    pixels: np.ndarray | DicomFrames
    geometry: Geometry
    acquisition: Acquisition = field(default_factory=Acquisition)
    presentation: Presentation | None = None


def extension_of(path: str | Path) -> str:
    """Return the extension of a file name as listed in `EXTENSIONS`, or its last suffix."""
    name = Path(path).name.lower()
    return next((e for e in EXTENSIONS if name.endswith(e)), Path(name).suffix)


def read_file(path: Path) -> Content:
    """Read an image file of any kind.

    Raises
    ------
    ImageError
        If the file is missing, empty, damaged, too large or no image.
    """
    if not path.is_file():
        raise ImageError(f"there is no file {path.name}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path.name} is empty; copy or export it again")
    try:
        return _read(path)
    except ImageError:
        raise
    except Exception as error:
        # Three libraries read here, and damaged files fail each in ways of their own.
        known = ", ".join(EXTENSIONS)
        raise ImageError(f"{path.name} cannot be read as an image; it is damaged or none of {known}") from error


def _read(path: Path) -> Content:
    """Read, after a look where SimpleITK would take a truncated or unusual file for a whole one."""
    extension = extension_of(path)
    if extension in (".nii", ".nii.gz"):
        if extension == ".nii.gz" and path.with_name(path.name[:-3]).exists():
            raise ImageError(f"{path.name} has a namesake {path.name[:-3]}, which would be read instead; rename one")
        check_nifti(path)
        pixels = nibabel.load(path).dataobj  # type: ignore[attr-defined]
        check_size(path, pixels.shape)
        np.asanyarray(pixels)
    elif extension in (".jpg", ".jpeg", ".bmp", ".png"):
        with Image.open(path, formats=_PICTURES) as picture:
            check_size(path, (*picture.size, len(picture.getbands())))
            picture.load()
            if picture.mode == "LA":
                return _content(sitk.GetImageFromArray(np.asarray(picture.convert("L"))), path)
    elif extension in (".tif", ".tiff"):
        with suppress(UnidentifiedImageError), Image.open(path, formats=_PICTURES) as picture:
            check_size(path, (*picture.size, len(picture.getbands())))
            if picture.mode == "LA":
                return _content(sitk.GetImageFromArray(np.asarray(picture.convert("L"))), path)
    reader = reader_of(path)
    return _dicom(reader, path) if reader.GetImageIO() == "GDCMImageIO" else _content(reader.Execute(), path)


def _dicom(reader: sitk.ImageFileReader, path: Path) -> Content:
    """Read with pydicom, which knows the tags and decodes frame by frame; the geometry is that of SimpleITK."""
    dataset = dcmread(path)
    pixels = DicomFrames(dataset, path.name)
    return Content(pixels, Geometry.of(reader), acquisition_of(dataset), Presentation(dataset))


def _content(image: sitk.Image, path: Path) -> Content:
    return Content(as_frames(image, path), Geometry.of(image))


def as_frames(image: sitk.Image, path: Path) -> np.ndarray:
    """Return the pixels of an image, (frames, rows, columns, channels); alpha is left out.

    Raises
    ------
    ImageError
        If it is neither an image nor a stack of frames, or has more channels than colour has.
    """
    array = sitk.GetArrayFromImage(image)
    channels = image.GetNumberOfComponentsPerPixel()
    if image.GetDimension() not in (2, 3) or 0 in array.shape:
        raise ImageError(f"{path.name} has the size {image.GetSize()}; only images and stacks of frames can be read")
    if channels > 4:
        raise ImageError(f"{path.name} has {channels} channels; only gray and colour images can be read")
    if channels == 1:
        array = array[..., None]
    if image.GetDimension() == 2:
        array = array[None]
    # Gray with alpha, and RGB with alpha: transparency means nothing here.
    return array[..., :1] if channels == 2 else array[..., :3]
