"""A file of any kind that is read becomes a study."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageSequence, UnidentifiedImageError
from pydicom import dcmread

from .acquisition import MODALITIES, Acquisition, Modality, acquisition_of
from .dicom import DicomFrames, Presentation
from .dicom_geometry import geometry_of
from .field import field_of_view
from .geometry import Geometry, known_pixel
from .header import ImageError, check_nifti, check_size, kind_of, reader_of
from .netpbm import read_netpbm
from .study import Study
from .tiff import decoded, is_read, is_upright, tiff_pages
from .video import container_of, read_video

EXTENSIONS = (
    ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".pgm", ".ppm", ".nii.gz", ".nii",
    ".nrrd", ".mha", ".dcm", ".mp4", ".mov", ".m4v", ".avi",
)  # fmt: skip
# What SimpleITK says of sound files that it does not read, and what to do about them.
_NOT_READ = {
    "orthonormal": "has axes that are not at right angles; save it as .nrrd",
    "domain axes": "is a flat image that lies aslant in space; save it as a stack of one slice",
}
# Where formats that hold a volume, NIfTI too, have room for a few words; and those of a mask that know better than its
# geometry, which is that of an X-ray detector, how large a pixel is in the patient: the millimetres between rows, and
# between columns.
NOTES, PIXEL_NOTE = "ITK_FileNotes", "pixel in patient (mm):"
# Millimetres off the plane of x and y, below which a flat image lies in it; NIfTI rounds them.
_IN_PLANE = 1e-5
# What Pillow may take a file for; it knows others, some of which start programs.
_PICTURES = ("PNG", "JPEG", "BMP", "TIFF", "GIF", "WEBP", "JPEG2000")
# Of these, what SimpleITK does not read, or takes for whole where it is cut short.
_BY_PILLOW = ("BMP", "GIF", "WEBP", "JPEG2000")


def extension_of(path: str | Path) -> str:
    """Return the extension of a file name as listed in `EXTENSIONS`, or its last suffix."""
    name = Path(path).name.lower()
    return split_name(name)[1] or Path(name).suffix


def split_name(name: str) -> tuple[str, str]:
    """Return the stem of a file name and its extension, as it is written; what is none of an image is of the stem."""
    extension = next((e for e in EXTENSIONS if name.lower().endswith(e)), "")
    return name[: len(name) - len(extension)], name[len(name) - len(extension) :]


def read_study(path: str | Path, modality: Modality | None = None) -> Study:
    """Read an image in one of `EXTENSIONS`, gray or RGB, one frame or several.

    The frames of DICOM are decoded as they are asked for. The field of view is what tags say, or found.

    A photograph lies as SimpleITK reads it, and with it 3D Slicer and others that show a mask beside its image: what
    EXIF says of how the camera was held is not followed.

    Parameters
    ----------
    path : path
    modality : str, optional
        What the image is of, whatever the file says and looks like.

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
    acquisition = replace(study.acquisition, modality=modality or study.acquisition.modality)
    return replace(study, acquisition=acquisition, visible=_visible(study))


def _visible(study: Study) -> np.ndarray | None:
    if study.acquisition.exposed is not None:
        return study.acquisition.exposed
    if isinstance(study.pixels, np.ndarray):
        return field_of_view(study.pixels)
    last = len(study.pixels) - 1
    return field_of_view(np.stack([study.frame(index) for index in sorted({0, last // 2, last})]))


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
        damaged = f"cannot be read as an image; it is damaged or none of {', '.join(EXTENSIONS)}"
        reason = next((ours for theirs, ours in _NOT_READ.items() if theirs in str(error)), damaged)
        raise ImageError(f"{path.name} {reason}") from error


def _read(path: Path) -> Study:
    """Read, after a look where SimpleITK would take a truncated or unusual file for a whole one."""
    if (container := container_of(path)) is not None:
        frames, times = read_video(path, container)
        return Study(frames, Geometry.unknown(*frames.shape[:3]), path.name, Acquisition(times=times))
    extension = extension_of(path)
    if extension in (".nii", ".nii.gz"):
        return _nifti(path, extension)
    kind = kind_of(path)
    if kind == "DICOM":
        return _dicom(path)
    if kind == "PPM":
        return _pages(read_netpbm(path), path)
    if kind == "TIFF":
        return _tiff(path)
    if kind in _PICTURES:
        with Image.open(path, formats=_PICTURES) as picture:
            check_size(path, (*picture.size, len(picture.getbands())))
            if kind in _BY_PILLOW and getattr(picture, "is_animated", False):
                raise ImageError(f"{path.name} holds several frames; export them as .mp4 or .tif, or one of them alone")
            picture.load()
            if picture.mode == "LA" or kind in _BY_PILLOW:
                return _by_pillow(picture, path)
    image = reader_of(path, kind).Execute()
    return _picture(image, path) if kind in _PICTURES else _volume(image, path)


def _tiff(path: Path) -> Study:
    """Read by SimpleITK what it reads as it is, with the values that are stored: a mask may be kept as a negative."""
    with tiff_pages(path) as pages:
        with suppress(UnidentifiedImageError), Image.open(path, formats=_PICTURES) as picture:
            check_size(path, (*picture.size, len(picture.getbands())))
            # What is turned Pillow would turn back, and programs that read by SimpleITK would not.
            if picture.mode == "LA" and is_upright(pages[0]):
                return _by_pillow(picture, path)
        if not is_read(pages[0]):
            return _pages(decoded(path, pages), path)
    return _picture(reader_of(path, "TIFF").Execute(), path)


def _nifti(path: Path, extension: str) -> Study:
    """Read, with a look by nibabel first, which tells a truncated file."""
    if extension == ".nii.gz" and path.with_name(path.name[:-3]).exists():
        raise ImageError(f"{path.name} has a namesake {path.name[:-3]}, which would be read instead; rename one")
    check_nifti(path)
    reader = reader_of(path, kind_of(path))
    stored = nibabel.load(path)
    values = np.asanyarray(stored.dataobj)  # type: ignore[attr-defined]
    # From x and y to the left, the back and the head, as in SimpleITK.
    affine = np.diag([-1, -1, 1, 1]) @ stored.affine  # type: ignore[attr-defined]
    if reader.GetDimension() == 2 and not np.allclose(affine[2, [0, 1, 3]], 0, atol=_IN_PLANE):
        return _volume(_slice(values, affine), path)
    return _volume(reader.Execute(), path)


def _slice(values: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Return the one slice of a NIfTI file, (columns, rows, ...), as a stack; flat, it would not lie as it does."""
    colours = np.stack([values[name] for name in "RGB"], axis=-1) if values.dtype.names else values
    pixels = colours.reshape(*values.shape[:2], -1).transpose(1, 0, 2)[None]
    image = sitk.GetImageFromArray(pixels, isVector=True)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / spacing).ravel().tolist())
    return image


def _volume(image: sitk.Image, path: Path) -> Study:
    """Return what a format holds that says where in space it lies."""
    frames, geometry = as_frames(image, path), Geometry.of(image)
    # As `write_volume` writes it.
    said = image.GetMetaData("modality") if image.HasMetaDataKey("modality") else None
    modality = next((modality for modality in MODALITIES if modality == said), None)
    return Study(frames, geometry, path.name, Acquisition(modality, spacing=_noted_pixel(image) or geometry.pixel))


def _noted_pixel(image: sitk.Image) -> tuple[float, float] | None:
    """Return the millimetres that `write_mask` notes; others write there what they like."""
    notes = image.GetMetaData(NOTES) if image.HasMetaDataKey(NOTES) else ""
    with suppress(ValueError):
        if notes.startswith(PIXEL_NOTE):
            rows, columns = map(float, notes.removeprefix(PIXEL_NOTE).split())
            return known_pixel(rows, columns)
    return None


def _dicom(path: Path) -> Study:
    """Read with pydicom, which knows the tags and decodes frame by frame; the geometry is that of SimpleITK."""
    dataset = dcmread(path)
    if "PixelData" not in dataset:
        raise ImageError(f"{path.name} holds no image; it is another kind of DICOM object")
    shape = int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)
    check_size(path, (*shape, int(dataset.get("SamplesPerPixel") or 1)))
    pixels, geometry = DicomFrames(dataset, path.name), geometry_of(dataset, shape)
    acquisition = acquisition_of(dataset)
    acquisition = replace(acquisition, spacing=acquisition.spacing or geometry.pixel)
    return Study(pixels, geometry, path.name, acquisition, Presentation(dataset))


def _by_pillow(picture: Image.Image, path: Path) -> Study:
    """Return a picture that SimpleITK does not read, or reads wrongly, as gray with alpha as if it were colours."""
    mode = {"1": "L", "L": "L", "LA": "L", "I;16": "I;16"}.get(picture.mode, "RGB")
    return _pages(np.stack([np.asarray(page.convert(mode)) for page in ImageSequence.Iterator(picture)]), path)


def _pages(pages: np.ndarray, path: Path) -> Study:
    """Return what a picture holds, of its pages (frames, rows, columns[, channels]); one is a flat image."""
    image = sitk.GetImageFromArray(pages if len(pages) > 1 else pages[0], isVector=pages.ndim == 4)
    return _picture(image, path)


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
