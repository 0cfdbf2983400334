"""A study becomes one file for a viewer: its frames as the model is shown them, and where they lie."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .study import Study

_SINGLE = np.finfo(np.float32)


def write_volume(study: Study, name: str, path: Path) -> None:
    """Write a study as NRRD, not compressed: gray as (i, j, k), colour with three components.

    Its pixels are those of `Study.frame`, double precision made single. i, j and k are column, row and frame, as in
    clicks and masks. Its key/values are `name`; `spacing_known`, 0 or 1, whether the spacing is that of the patient;
    `modality`, if it is known; and of a run `frame_times_ms`, from the first frame, with spaces between.

    Parameters
    ----------
    study : Study
    name : str
        What the image is called.
    path : Path
        Ends in .nrrd.

    Raises
    ------
    ImageError
        If a frame is damaged.
    OSError
        If there is no room; half a file may be left behind.
    """
    image, values = _image(study)
    for key, value in {"name": name, **_facts(study)}.items():
        image.SetMetaData(key, value)
    try:
        sitk.WriteImage(image, str(path), useCompression=False)
    except RuntimeError as error:
        raise OSError(f"{name} could not be written to {path}; is the disk full?") from error
    # Its writer says nothing of a full disk.
    with open(path, "rb") as file:
        header = file.read(1 << 16).find(b"\n\n") + 2
    if path.stat().st_size != header + values:
        raise OSError(f"{name} could not be written to {path}; is the disk full?")


def _image(study: Study) -> tuple[sitk.Image, int]:
    """Return all frames where they lie, and the bytes they take."""
    pixels = _shown(study)
    colour = pixels.shape[-1] > 1
    image = sitk.GetImageFromArray(pixels if colour else pixels[..., 0], isVector=colour)
    geometry = study.geometry.in_space()
    if study.spacing is not None:
        # What measurements are made by; that of an X-ray detector is larger than life.
        rows, columns = study.spacing
        geometry = replace(geometry, spacing=(columns, rows, geometry.spacing[2]))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    return image, pixels.nbytes


def _shown(study: Study) -> np.ndarray:
    """Return all frames, (frames, rows, columns, channels); there are never two of each in memory."""
    first = _single(study.frame(0))
    pixels = np.empty((study.shape[0], *first.shape), first.dtype)
    for number, frame in enumerate(map(_single, study.frames())):
        # One that has no window beside others that have is shown without.
        if pixels.dtype != np.result_type(pixels, frame):
            pixels = pixels.astype(np.result_type(pixels, frame))
        pixels[number] = frame
    return pixels


def _single(frame: np.ndarray) -> np.ndarray:
    return np.clip(frame, _SINGLE.min, _SINGLE.max).astype(np.float32) if frame.dtype == np.float64 else frame


def _facts(study: Study) -> dict[str, str]:
    acquisition = study.acquisition
    facts = {"spacing_known": str(int(study.spacing is not None))}
    if acquisition.modality is not None:
        facts["modality"] = acquisition.modality
    if acquisition.times:
        facts["frame_times_ms"] = " ".join(f"{time:.3f}" for time in acquisition.times)
    return facts
