"""A file becomes a mask, and a mask a file, with the geometry of its study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from salt_monailabel.whole_files import written_whole

from .files import NOTES, PIXEL_NOTE, as_frames, extension_of, read_file
from .header import ImageError
from .study import Study

# The formats that keep a label map as it is: those that hold a stack of frames and its place, and pictures.
_VOLUMES = (".nrrd", ".nii.gz", ".nii", ".mha")
MASK_EXTENSIONS = (*_VOLUMES, ".png", ".tif", ".tiff", ".bmp")
# Above WHITE a value is that of a picture rather than of a label; a picture of more than a FEW values was smoothed or
# compressed with losses, and what it marks is anybody's guess.
WHITE, FEW = 127, 3
# By how much the directions that were written may differ: NIfTI rounds them.
_ROUNDED = 1e-4


def read_mask(path: str | Path, study: Study) -> np.ndarray:
    """Read a label map drawn on a study.

    Returns
    -------
    ndarray of uint8, (frames, rows, columns)
        0 is background. A mask of one value above `WHITE`, as image files hold it, is read as label 1.

    Raises
    ------
    ImageError
        If the file is no mask, is one in shades of gray, or has another size than the study.
    """
    path = Path(path)
    channels = np.asarray(read_file(path).pixels)
    if len(_colours(channels)) > 1:
        raise ImageError(f"{path.name} marks by several colours; save it as a label map: the values 1, 2, … in gray")
    frames = channels.max(axis=-1)
    if frames.shape != study.shape:
        raise ImageError(
            f"{path.name} has {_size(frames.shape)} but its image {study.name} has {_size(study.shape)}; "
            "export the mask in the image's own geometry"
        )
    values = _values(frames)
    if len(values) > 256 or values[0] < 0 or values[-1] > 255 or not np.array_equal(values, np.round(values)):
        raise ImageError(f"{path.name} is no label map: its values are not whole numbers from 0 to 255")
    marks = np.count_nonzero(values)
    if marks > FEW and values[-1] > WHITE:
        raise ImageError(
            f"{path.name} marks in {marks} shades of gray, as JPEG and smoothed pictures do; export it anew as PNG, "
            "in black and white or as a label map: the values 1, 2, …"
        )
    if marks == 1 and values[-1] > WHITE:
        return (frames > WHITE).astype(np.uint8)
    return frames.astype(np.uint8)


def write_mask(mask: np.ndarray, study: Study, path: str | Path, durable: bool = True) -> None:
    """Write a label map with exactly the study's size, spacing, origin and direction, atomically.

    PNG, TIFF and BMP have no place for origin and direction; NRRD, NIfTI and MetaImage keep all. These also note the
    size of a pixel in the patient where the geometry is that of a detector: lengths are the same with the image and
    without.

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
        If the shapes differ, or the format cannot be written or has no place for axes that are not at right angles.
    OSError
        If there is no room or no permission; nothing is left behind.
    """
    path = Path(path)
    if mask.shape != study.shape:
        raise ImageError(f"the mask has {_size(mask.shape)} but {study.name} has {_size(study.shape)}")
    extension = extension_of(path)
    if extension not in (MASK_EXTENSIONS if study.geometry.dimension == 2 else _VOLUMES):
        raise ImageError(f"a mask of this image cannot be written as '{extension}'; use .nrrd or .nii.gz")
    image = study.geometry.image(mask.astype(np.uint8))
    if study.spacing not in (None, study.geometry.pixel) and extension in _VOLUMES:
        image.SetMetaData(NOTES, " ".join([PIXEL_NOTE, *(f"{side:.9g}" for side in study.spacing)]))
    try:
        with written_whole(path, durable=durable) as partial:
            sitk.WriteImage(image, str(partial), useCompression=True)
            written = sitk.ReadImage(str(partial))
            # Most writers say nothing of a full disk.
            if not np.array_equal(as_frames(written, path).max(axis=-1), mask):
                raise RuntimeError("what was written reads back otherwise")
            directions = written.GetDirection(), study.geometry.direction
            # That of NIfTI straightens axes, and says nothing of it either.
            if extension in _VOLUMES and not np.allclose(*directions, rtol=0, atol=_ROUNDED):
                raise ImageError(
                    f"{path.name} cannot lie where {study.name} lies: its format has no place for axes that are not "
                    "at right angles; have the mask as .nrrd"
                )
    except RuntimeError as error:
        raise OSError(f"the mask could not be written to {path}; is the disk full?") from error


def _values(frames: np.ndarray) -> np.ndarray:
    if frames.dtype != np.uint8:
        return np.unique(frames)
    # A long run has 25 million pixels, and to sort them takes half a second.
    seen = np.zeros(256, bool)
    seen[frames] = True
    return np.flatnonzero(seen)


def _colours(channels: np.ndarray) -> set[int]:
    """Return which channels are bright together, as bit sets, black left out; borders may be smoothed."""
    if channels.shape[-1] == 1:
        return set()
    bright = (channels > WHITE) @ (1 << np.arange(channels.shape[-1]))
    return set(np.unique(bright).tolist()) - {0}


def _size(shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, shape))} pixels (frames x rows x columns)"
