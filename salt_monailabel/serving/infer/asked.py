"""What a request to an infer task asks for, checked; each function raises `ImageError` for what cannot be meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from fastapi import HTTPException

from salt_monailabel.imaging import ImageError, Study, read_mask
from salt_monailabel.imaging.result import SEGMENTATION
from salt_monailabel.inference.edits import is_on

from ..uploads import is_upload

# More are no corrections; each takes its time.
MOST_CLICKS = 1000
Request = Mapping[str, Any]


class TwoPlaces(NamedTuple):
    """Two places, (i, j), on one frame."""

    frame: int
    start: tuple[float, float]
    end: tuple[float, float]


def with_choices(request: Request, offered: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request in which one choice stands for a list of them: a viewer that sends all has its own first."""
    lists = {key: request.get(key) for key, choices in offered.items() if isinstance(choices, list)}
    return {**request, **{key: sent[0] for key, sent in lists.items() if isinstance(sent, list) and sent}}


def looked_at(request: Request, study: Study) -> Study:
    """Return what a request is about: a study, or its frame `only_frame` as if that were all there is."""
    if request.get("only_frame") is None:
        return study
    try:
        frame = int(request["only_frame"])
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError("'only_frame' is a number from 0") from error
    if not 0 <= frame < study.shape[0]:
        raise ImageError(f"{study.name} has the frames 0 to {study.shape[0] - 1}; got 'only_frame' {frame}")
    if request.get("result_extension") == SEGMENTATION:
        raise ImageError("a DICOM segmentation is of the whole run; leave 'only_frame' out")
    return study.only(frame)


def label_of(request: Request, labels: Sequence[str]) -> str:
    """Return the label a request names, be it only as the key of its clicks; the first if it names none.

    Raises
    ------
    HTTPException
        400 for an unknown one.
    """
    for name in (request.get("label_name"), request.get("label")):
        if isinstance(name, str) and name and not is_upload(name):
            if name not in labels:
                raise HTTPException(400, f"unknown label '{name}'; this server knows: {', '.join(labels)}")
            return name
    return next((name for name in labels if request.get(name)), labels[0])


def uploaded_mask(request: Request, study: Study) -> np.ndarray | None:
    """Return the uploaded mask as it is, (frames, rows, columns) uint8; None if there is none."""
    label = request.get("label")
    return read_mask(str(label), study) if is_upload(label) else None


def marked(mask: np.ndarray, label: str, labels: Sequence[str]) -> np.ndarray:
    """Return where a label map marks a label, by its value; where there is but one label, whatever its value."""
    return mask == labels.index(label) + 1 if len(labels) > 1 else mask > 0


def carried(request: Request, study: Study, corrected: Iterable[int]) -> tuple[list[int], range]:
    """Return the key frames, in order, and the frames to carry their masks to; none if that is not asked for."""
    if request.get("carry") is None:
        return [], range(0)
    try:
        first, last = map(int, request["carry"])
        keys = sorted({int(k) for k in request.get("key_frames") or corrected})
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError("'carry' is [first, last], and 'key_frames' are numbers from 0") from error
    count = study.shape[0]
    if not 0 <= first <= last < count or not all(0 <= k < count for k in keys):
        raise ImageError(f"{study.name} has the frames 0 to {count - 1}; got 'carry' {[first, last]} from {keys}")
    if not keys:
        raise ImageError("there is no mask to carry: correct a frame, or name 'key_frames' of the uploaded mask")
    return keys, range(first, last + 1)


def clicks(request: Request, key: str, study: Study) -> list[tuple[float, float, int]]:
    """Return the clicks under `key` as i, j, k; a click without k is on the first frame.

    Whole numbers are the middles of pixels.
    """
    frames, rows, columns = study.shape
    points = []
    given = request.get(key) or []
    if isinstance(given, list) and len(given) > MOST_CLICKS:
        raise ImageError(f"'{key}' has {len(given)} clicks, more than the {MOST_CLICKS} that are followed")
    for point in given if isinstance(given, list) else [given]:
        try:
            i, j, k = (*map(float, point), 0.0)[:3]
        except (TypeError, ValueError, OverflowError) as error:
            raise ImageError(f"'{key}' must be a list of clicks [i, j, k]; got {str(point)[:100]}") from error
        if not (is_on(i, j, (rows, columns)) and 0 <= k < frames):
            raise ImageError(f"the click {point} is outside of {study.name} ({columns} x {rows} x {frames}, i x j x k)")
        points.append((i, j, int(k)))
    return points


def two_places(request: Request, key: str, study: Study) -> TwoPlaces | None:
    """Return the two clicks under `key`, if there are any."""
    if request.get(key) is None:
        return None
    places = clicks(request, key, study)
    if len(places) != 2:
        raise ImageError(f"'{key}' must be two clicks [[i, j, k], [i, j, k]]; got {len(places)}")
    (*start, frame), (*end, other) = places
    if frame != other:
        raise ImageError(f"one of the two places is on frame {frame}, the other on frame {other}; choose both on one")
    if np.array_equal(np.round(start), np.round(end)):
        raise ImageError("both places are the same; choose them apart")
    return TwoPlaces(frame, (start[0], start[1]), (end[0], end[1]))


def boxes(request: Request, study: Study) -> dict[int, tuple[float, float, float, float]]:
    """Return the box of each frame the region of interest reaches through."""
    roi: Sequence[float] = request.get("roi") or ()
    if not roi:
        return {}
    try:
        i0, i1, j0, j1, k0, k1 = (*map(float, roi), 0.0, 0.0)[:6]
        first, last = int(k0), int(k1)
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError(f"'roi' must be i0, i1, j0, j1, k0, k1; got {roi}") from error
    frames, rows, columns = study.shape
    reached = range(max(0, first), min(frames, last + 1))
    if not (reached and i1 > i0 and j1 > j0 and i1 >= 0 and j1 >= 0 and i0 < columns and j0 < rows):
        raise ImageError(
            f"the region {list(roi)} is empty or outside of {study.name} ({columns} x {rows} x {frames}, i x j x k)"
        )
    return dict.fromkeys(reached, (i0, j0, i1, j1))
