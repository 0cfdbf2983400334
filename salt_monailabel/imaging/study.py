"""A file becomes a study: pixels and geometry. A mask becomes a file with that geometry."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from PIL import Image, UnidentifiedImageError

from salt_monailabel.whole_files import written_whole

from .header import ImageError, check_nifti, check_size, reader_of

EXTENSIONS = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".nii.gz", ".nii", ".nrrd", ".dcm")
# Of these, the formats that keep a label map as it is; the first three hold a stack of frames.
MASK_EXTENSIONS = (".nrrd", ".nii.gz", ".nii", ".png", ".tif", ".tiff", ".bmp")
# What Pillow may take a file for; it knows others, some of which start programs.
_PICTURES = ("PNG", "JPEG", "BMP", "TIFF")


@dataclass(frozen=True)
class Study:
    """An image, or a stack of frames, as a file holds it.

    Attributes
    ----------
    pixels : ndarray, (frames, rows, columns, channels)
        One or three channels, in the units of the file.
    reference : SimpleITK.Image
        Size, spacing, origin and direction; two- or three-dimensional as in the file.
    name : str
        Of the file, for messages.
    """

    pixels: np.ndarray
    reference: sitk.Image
    name: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        frames, rows, columns, _ = self.pixels.shape
        return frames, rows, columns


def read_study(path: str | Path) -> Study:
    """Read PNG, JPEG, TIFF, BMP, NIfTI, NRRD or DICOM; gray or RGB; one frame or several.

    Raises
    ------
    ImageError
        If the file is missing, no image, empty, constant, or has pixels that are not numbers.
    """
    path = Path(path)
    image = _read(path)
    pixels = _as_frames(image, path)
    if not np.issubdtype(pixels.dtype, np.integer) and not np.isfinite(pixels).all():
        raise ImageError(f"{path.name} has pixels that are not numbers (NaN or infinite); export it again without them")
    if (pixels == pixels[0, 0, 0]).all():
        raise ImageError(f"{path.name} is constant: every pixel is {pixels[0, 0, 0]}; check that the export worked")
    return Study(pixels, image, path.name)


def read_mask(path: str | Path, study: Study) -> np.ndarray:
    """Read a label map drawn on a study.

    Returns
    -------
    ndarray of uint8, (frames, rows, columns)
        0 is background. A mask of one value above 127, as image files hold it, is read as label 1.

    Raises
    ------
    ImageError
        If the file is no mask or has another size than the study.
    """
    path = Path(path)
    channels = _as_frames(_read(path), path)
    if len(_colours(channels)) > 1:
        raise ImageError(f"{path.name} marks by several colours; save it as a label map: the values 1, 2, … in gray")
    frames = channels.max(axis=-1)
    if frames.shape != study.shape:
        raise ImageError(
            f"{path.name} has {_size(frames.shape)} but its image {study.name} has {_size(study.shape)}; "
            "export the mask in the image's own geometry"
        )
    values = np.unique(frames)
    if len(values) > 256 or values[0] < 0 or values[-1] > 255 or not np.array_equal(values, np.round(values)):
        raise ImageError(f"{path.name} is no label map: its values are not whole numbers from 0 to 255")
    if len(values) <= 2 and values[-1] > 127:
        return (frames > 127).astype(np.uint8)
    return frames.astype(np.uint8)


def write_mask(mask: np.ndarray, study: Study, path: str | Path, durable: bool = True) -> None:
    """Write a label map with exactly the study's size, spacing, origin and direction, atomically.

    PNG, TIFF and BMP have no place for origin and direction; NRRD and NIfTI keep all.

    Parameters
    ----------
    mask : ndarray of integers, (frames, rows, columns)
    study : Study
    path : path
        Its extension selects the format.
    durable : bool
        Whether to wait until the disk has it, as for a label; an answer can be asked for again.

    Raises
    ------
    ImageError
        If the shapes differ or the format cannot be written.
    OSError
        If there is no room or no permission; nothing is left behind.
    """
    path = Path(path)
    if mask.shape != study.shape:
        raise ImageError(f"the mask has {_size(mask.shape)} but {study.name} has {_size(study.shape)}")
    extension = extension_of(path)
    flat = study.reference.GetDimension() == 2
    if extension not in (MASK_EXTENSIONS if flat else MASK_EXTENSIONS[:3]):
        raise ImageError(f"a mask of this image cannot be written as '{extension}'; use .nrrd or .nii.gz")
    image = sitk.GetImageFromArray(mask[0].astype(np.uint8) if flat else mask.astype(np.uint8))
    image.CopyInformation(study.reference)
    try:
        with written_whole(path, durable=durable) as partial:
            sitk.WriteImage(image, str(partial), useCompression=True)
            # Most writers say nothing of a full disk.
            if not np.array_equal(_as_frames(sitk.ReadImage(str(partial)), path).max(axis=-1), mask):
                raise RuntimeError("what was written reads back otherwise")
    except RuntimeError as error:
        raise OSError(f"the mask could not be written to {path}; is the disk full?") from error


def extension_of(path: str | Path) -> str:
    """Return the extension of a file name as listed in `EXTENSIONS`, or its last suffix."""
    name = Path(path).name.lower()
    return next((e for e in EXTENSIONS if name.endswith(e)), Path(name).suffix)


def _read(path: Path) -> sitk.Image:
    if not path.is_file():
        raise ImageError(f"there is no file {path.name}")
    if path.stat().st_size == 0:
        raise ImageError(f"{path.name} is empty; copy or export it again")
    try:
        return _read_whole(path)
    except ImageError:
        raise
    except Exception as error:
        # Three libraries read here, and damaged files fail each in ways of their own.
        known = ", ".join(EXTENSIONS)
        raise ImageError(f"{path.name} cannot be read as an image; it is damaged or none of {known}") from error


def _read_whole(path: Path) -> sitk.Image:
    """Read with SimpleITK, after a look where it would take a truncated or unusual file for a whole one."""
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
                return sitk.GetImageFromArray(np.asarray(picture.convert("L")))
    elif extension in (".tif", ".tiff"):
        with suppress(UnidentifiedImageError), Image.open(path, formats=_PICTURES) as picture:
            check_size(path, (*picture.size, len(picture.getbands())))
            if picture.mode == "LA":
                return sitk.GetImageFromArray(np.asarray(picture.convert("L")))
    return sitk.ReadImage(str(path), imageIO=reader_of(path))


def _as_frames(image: sitk.Image, path: Path) -> np.ndarray:
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


def _colours(channels: np.ndarray) -> set[int]:
    """Return which channels are bright together, as bit sets, black left out; borders may be smoothed."""
    bright = (channels > 127) @ (1 << np.arange(channels.shape[-1]))
    return set(np.unique(bright).tolist()) - {0}


def _size(shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, shape))} pixels (frames x rows x columns)"
