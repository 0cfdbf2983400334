"""What DICOM tags say of how an image was taken: kind, time, size of a pixel, shutter and mask frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Literal, TypeVar, get_args

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import DT
from skimage.draw import disk, polygon

from .geometry import known_pixel

Modality = Literal["fundus", "octa", "xa", "other"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
_BY_TAG: dict[str, Modality] = {
    **dict.fromkeys(("XA", "RF", "DX"), "xa"),
    "OP": "fundus",
    **dict.fromkeys(("OPT", "OPTENF", "OCT"), "octa"),
}
Told = TypeVar("Told")


def modality_named(name: str) -> Modality | None:
    """Return what a user says that images are of; None for `auto`, with which each says it or looks like it.

    Raises
    ------
    ValueError
        If it is none of `MODALITIES`.
    """
    for modality in MODALITIES:
        if name == modality:
            return modality
    if name != "auto":
        raise ValueError(f"unknown modality '{name}'; one of auto, {', '.join(MODALITIES)}")
    return None


@dataclass(frozen=True)
class MaskFrames:
    """Which frames show no contrast yet, and how to subtract them (PS3.3 C.7.6.10).

    Attributes
    ----------
    frames : tuple of int
        Counted from 0; their mean is the mask.
    shift : tuple of float
        By how many pixels the mask is to be moved, down and to the left.
    ranges : tuple of (int, int)
        First and last frames that it is subtracted from; all, where none are named.
    """

    frames: tuple[int, ...]
    shift: tuple[float, float] = (0.0, 0.0)
    ranges: tuple[tuple[int, int], ...] = ()

    def serves(self, frame: int) -> bool:
        """Say whether it is subtracted from a frame, counted from 0."""
        return not self.ranges or any(first <= frame <= last for first, last in self.ranges)


@dataclass(frozen=True)
class Acquisition:
    """How an image was taken, as far as it is known.

    Attributes
    ----------
    modality : str, optional
        fundus, octa, xa (all angiograms by X-ray) or other.
    times : tuple of float
        When each frame was taken, in milliseconds from the first; empty if it is no run.
    spacing : tuple of float, optional
        Millimetres from row to row and from column to column.
    exposed : ndarray of bool, (rows, columns), optional
        What the shutter leaves free; all, where there is none.
    masks : tuple of MaskFrames
        Of a frame, the first that serves it.
    logarithmic : bool
        Whether the values are proportional to the logarithm of the X-ray intensity already.
    negative_of : int, optional
        What a value and that of its negative add up to, where larger values stand for fewer X-rays.
    """

    modality: Modality | None = None
    times: tuple[float, ...] = ()
    spacing: tuple[float, float] | None = None
    exposed: np.ndarray | None = None
    masks: tuple[MaskFrames, ...] = ()
    logarithmic: bool = False
    negative_of: int | None = None


def acquisition_of(dataset: Dataset) -> Acquisition:
    """Read the tags of a DICOM object; what those say that are damaged is not known."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    return Acquisition(
        _BY_TAG.get(str(dataset.get("Modality"))),
        _known(lambda: _times(dataset, frames), ()),
        spacing_of(dataset),
        _known(lambda: _exposed(dataset), None),
        _known(lambda: tuple(_masks(dataset, frames)), ()),
        dataset.get("PixelIntensityRelationship") == "LOG",
        _known(lambda: _negative_of(dataset), None),
    )


def _known(read: Callable[[], Told], unknown: Told) -> Told:
    """Return what tags say, or that it is unknown."""
    try:
        return read()
    # Values may be missing, no numbers, too many, or of another kind; each fails in ways of its own.
    except Exception:
        return unknown


def _times(dataset: Dataset, frames: int) -> tuple[float, ...]:
    if frames < 2:
        return ()
    steps = [float(step) for step in dataset.get("FrameTimeVector") or ()]
    rate = float(dataset.get("CineRate") or dataset.get("RecommendedDisplayFrameRate") or 0)
    step = float(dataset.get("FrameTime") or (1000 / rate if rate > 0 else 0))
    if len(steps) == frames:
        # The first is zero (PS3.3 C.7.6.5.1.2).
        times = tuple(accumulate([0.0, *steps[1:]]))
    elif step or _BY_TAG.get(dataset.Modality) != "xa":
        times = tuple(step * frame for frame in range(frames))
    else:
        # An enhanced object tells the moment of each frame.
        groups = dataset.PerFrameFunctionalGroupsSequence
        taken = [DT(group.FrameContentSequence[0].FrameAcquisitionDateTime) for group in groups]
        times = tuple((moment - taken[0]).total_seconds() * 1000 for moment in taken)
    return times if len(times) == frames and 0 < times[-1] < math.inf and times == tuple(sorted(times)) else ()


def spacing_of(dataset: Dataset) -> tuple[float, float] | None:
    """Return the millimetres from row to row and from column to column, if they are known."""
    return (
        _known(lambda: _spacing(_measures(dataset).PixelSpacing), None)
        or _known(lambda: _spacing(dataset.PixelSpacing), None)
        or _known(lambda: _at_patient(dataset), None)
    )


def _at_patient(dataset: Dataset) -> tuple[float, float] | None:
    """Return the spacing at the detector as it is in the patient; larger than life, where that is not known."""
    larger = _known(lambda: float(dataset.EstimatedRadiographicMagnificationFactor), 0.0)
    larger = larger or _known(lambda: dataset.DistanceSourceToDetector / dataset.DistanceSourceToPatient, 0.0)
    rows, columns = (float(side) / (larger if 1 < larger < math.inf else 1) for side in dataset.ImagerPixelSpacing)
    return _spacing((rows, columns))


def _measures(dataset: Dataset) -> Dataset:
    groups = dataset.get("SharedFunctionalGroupsSequence") or dataset.PerFrameFunctionalGroupsSequence
    return groups[0].PixelMeasuresSequence[0]


def _spacing(tagged: Sequence[float]) -> tuple[float, float] | None:
    rows, columns = map(float, tagged)
    return known_pixel(rows, columns)


def _exposed(dataset: Dataset) -> np.ndarray | None:
    """Return what all shutters together leave free (PS3.3 C.7.6.11); rows and columns are counted from 1."""
    shapes = dataset.get("ShutterShape")
    if not shapes:
        return None
    shape = int(dataset.Rows), int(dataset.Columns)
    free = np.ones(shape, bool)
    for kind in [shapes] if isinstance(shapes, str) else shapes:
        inside = np.zeros(shape, bool)
        if kind == "RECTANGULAR":
            top, bottom = dataset.ShutterUpperHorizontalEdge, dataset.ShutterLowerHorizontalEdge
            left, right = dataset.ShutterLeftVerticalEdge, dataset.ShutterRightVerticalEdge
            inside[max(0, top) : max(0, bottom - 1), max(0, left) : max(0, right - 1)] = True
        elif kind == "CIRCULAR":
            row, column = dataset.CenterOfCircularShutter
            inside[disk((row - 1, column - 1), dataset.RadiusOfCircularShutter, shape=shape)] = True
        elif kind == "POLYGONAL":
            corners = np.reshape(dataset.VerticesOfThePolygonalShutter, (-1, 2)) - 1
            inside[polygon(corners[:, 0], corners[:, 1], shape)] = True
        else:
            continue
        free &= inside
    # A shutter that leaves nothing is a wrong tag.
    return free if free.any() and not free.all() else None


def _masks(dataset: Dataset, frames: int) -> Iterator[MaskFrames]:
    for item in dataset.get("MaskSubtractionSequence") or ():
        mask = _known(partial(_mask, item, frames), None)
        if mask is not None:
            yield mask


def _mask(item: Dataset, frames: int) -> MaskFrames | None:
    if item.get("MaskOperation") != "AVG_SUB":
        return None
    chosen = tuple(number - 1 for number in _numbers(item, "MaskFrameNumbers") if 1 <= number <= frames)
    ends = [number - 1 for number in _numbers(item, "ApplicableFrameRange")]
    rows, columns = map(float, item.get("MaskSubPixelShift") or (0.0, 0.0))
    known = chosen and math.isfinite(rows + columns)
    return MaskFrames(chosen, (rows, columns), tuple(zip(ends[::2], ends[1::2], strict=True))) if known else None


def _negative_of(dataset: Dataset) -> int | None:
    """Return the sum of the least and the largest value, where values fall with the intensity (PS3.3 C.8.11.3)."""
    sign = dataset.get("PixelIntensityRelationshipSign")
    # Without it, what is shown as white is taken to have had the most X-rays.
    falls = dataset.PhotometricInterpretation == "MONOCHROME1" if sign is None else int(sign) == -1
    if not falls:
        return None
    return -1 if dataset.PixelRepresentation else (1 << int(dataset.BitsStored)) - 1


def _numbers(item: Dataset, keyword: str) -> list[int]:
    numbers = item.get(keyword)
    return [int(number) for number in ([numbers] if isinstance(numbers, int) else numbers or ())]
