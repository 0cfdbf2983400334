"""A file of any kind that is read becomes a study."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
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
from .study import Study
from .video import container_of, read_video

EXTENSIONS = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".nii.gz", ".nii", ".nrrd", ".mha", ".dcm",
    ".mp4", ".mov", ".m4v", ".avi",
)  # fmt: skip
# What Pillow may take a file for; it knows others, some of which start programs.
_PICTURES = ("PNG", "JPEG", "BMP", "TIFF")


def extension_of(path: str | Path) -> str:
    """Return the extension of a file name as listed in `EXTENSIONS`, or its last suffix."""
    name = Path(path).name.lower()
    return next((e for e in EXTENSIONS if name.endswith(e)), Path(name).suffix)


def read_study(path: str | Path) -> Study:
    """Read PNG, JPEG, TIFF, BMP, NIfTI, NRRD, MetaImage, DICOM, MP4, MOV or AVI; gray or RGB; one frame or several.

    The frames of DICOM are decoded as they are asked for.

    Raises
    ------
    ImageError
        If the file is missing, no image, empty, constant, or has pixels that are not numbers.
    """
    study = read_file(path)
    pixels, name = study.pixels, study.name
    # A look at a few of many frames; to decode all would take as long as to segment some.
    looked = pixels if isinstance(pixels, np.ndarray) else np.stack([pixels[i] for i in {0, len(pixels) // 2, -1}])
    if not np.issubdtype(looked.dtype, np.integer) and not np.isfinite(looked).all():
        raise ImageError(f"{name} has pixels that are not numbers (NaN or infinite); export it again without them")
    if (looked == looked[0, 0, 0]).all():
        raise ImageError(f"{name} is constant: every pixel is {looked[0, 0, 0]}; check that the export worked")
    return study


def read_file(path: str | Path) -> Study:
    """Read a file as it is, whatever its values.

    Raises
    ------
    ImageError
        If the file is missing, empty, damaged, too large or no image.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"there is no file {path.name}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path.name} is empty; copy or export it again")
    try:
        return _read(path)
    except ImageError:
        raise
    except Exception as error:
        # Several libraries read here, and damaged files fail each in ways of their own.
        known = ", ".join(EXTENSIONS)
        raise ImageError(f"{path.name} cannot be read as an image; it is damaged or none of {known}") from error


def _read(path: Path) -> Study:
    """Read, after a look where SimpleITK would take a truncated or unusual file for a whole one."""
    if (container := container_of(path)) is not None:
        frames, times = read_video(path, container)
        return Study(frames, Geometry.unknown(*frames.shape[:3]), path.name, Acquisition(times=times))
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
                return _picture(sitk.GetImageFromArray(np.asarray(picture.convert("L"))), path)
    elif extension in (".tif", ".tiff"):
        with suppress(UnidentifiedImageError), Image.open(path, formats=_PICTURES) as picture:
            check_size(path, (*picture.size, len(picture.getbands())))
            if picture.mode == "LA":
                return _picture(sitk.GetImageFromArray(np.asarray(picture.convert("L"))), path)
    reader = reader_of(path)
    kind = reader.GetImageIO().removesuffix("ImageIO")
    if kind == "GDCM":
        return _dicom(reader, path)
    if kind in _PICTURES:
        return _picture(reader.Execute(), path)
    image = reader.Execute()
    frames, geometry = as_frames(image, path), Geometry.of(image)
    return Study(frames, geometry, path.name, Acquisition(spacing=geometry.pixel))


def _dicom(reader: sitk.ImageFileReader, path: Path) -> Study:
    """Read with pydicom, which knows the tags and decodes frame by frame; the geometry is that of SimpleITK."""
    dataset, geometry = dcmread(path), Geometry.of(reader)
    pixels = DicomFrames(dataset, path.name)
    acquisition = acquisition_of(dataset)
    acquisition = replace(acquisition, spacing=acquisition.spacing or geometry.pixel)
    return Study(pixels, geometry, path.name, acquisition, Presentation(dataset))


def _picture(image: sitk.Image, path: Path) -> Study:
    """Return what a picture holds; its spacing is that of a printed page."""
    return Study(as_frames(image, path), Geometry.of(image), path.name)


def as_frames(image: sitk.Image, path: Path) -> np.ndarray:
    """Return the pixels of an image, (frames, rows, columns, channels); alpha is left out.

    Raises
    ------
    ImageError
        If it is neither an image nor a stack of frames, or has more channels than colour has.
    """
    size, channels = image.GetSize(), image.GetNumberOfComponentsPerPixel()
    if len(size) not in (2, 3, 4) or 0 in size or (len(size) == 4 and 1 not in size):
        raise ImageError(f"{path.name} has the size {size}; only images and stacks of frames can be read")
    if channels > 4:
        raise ImageError(f"{path.name} has {channels} channels; only gray and colour images can be read")
    pixels = sitk.GetArrayFromImage(image).reshape(*Geometry.of(image).shape, channels)
    # Gray with alpha, and RGB with alpha: transparency means nothing here.
    return pixels[..., :1] if channels == 2 else pixels[..., :3]
