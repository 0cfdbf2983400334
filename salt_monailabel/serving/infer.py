"""MONAI Label's infer tasks: `salt` segments by label, `salt_edit` follows clicks, a box and a previous mask."""

from __future__ import annotations

import tempfile
import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from salt_monailabel.imaging import ImageError, Study, read_mask
from salt_monailabel.imaging.result import check_result, write_result
from salt_monailabel.imaging.run import PROJECTIONS, RunView
from salt_monailabel.inference import Edit, Embedded
from salt_monailabel.inference.carrying import carry
from salt_monailabel.measure import measure, summary_row

from .errors import explained
from .host import ModelHost
from .jobs import Job
from .uploads import discarded_on_error, is_upload

# More are no corrections; each takes its time.
MOST_CLICKS = 1000


class Answer(NamedTuple):
    """What is answered: a label map (frames, rows, columns), the names of its values from 1, and who drew it."""

    mask: np.ndarray
    labels: Sequence[str]
    version: str


class _SaltTask(InferTask):
    """What both tasks share: reading, timing, and writing the answer."""

    def __init__(self, host: ModelHost, kind: InferType, description: str) -> None:
        labels = {name: i for i, name in enumerate(host.options.labels, start=1)}
        super().__init__(type=kind, labels=labels, dimension=2, description=description)
        self.host = host

    def is_valid(self) -> bool:
        """Say that the task can be offered; a model that cannot be loaded explains itself when asked."""
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Answer a request; returns the mask's file and what is to be known about it."""
        started = time.perf_counter()
        with discarded_on_error(request.get("image"), request.get("label")), explained():
            path = str(request.get("image") or "")
            if not path:
                raise HTTPException(404, "there is no image of that name in the datastore")
            extension = str(request.get("result_extension") or ".nrrd")
            check_result(extension)
            study = self.host.studies.read(path)
            with self.host.jobs.running(request.get("job")) as job:
                mask, names, version = self.answer(request, study, job)
            with tempfile.NamedTemporaryFile(suffix=extension, delete=False) as file:
                result = file.name
            try:
                write_result(mask, names, study, path, Path(result), version, durable=False)
            except (ImageError, OSError):
                Path(result).unlink(missing_ok=True)
                raise
            params = {"label_names": self.labels, "version": version, "stopped": job.stopped}
            if request.get("measure"):
                params["measurements"] = _measured(mask, names, study)
        return result, {**params, "latencies": {"total": round(time.perf_counter() - started, 3)}}

    @abstractmethod
    def answer(self, request: dict[str, Any], study: Study, job: Job) -> Answer:
        """Answer a request about a study; of a job that is stopped, with the frames that were done."""


class SaltSegment(_SaltTask):
    """Segment all labels; the Auto section of the Slicer panel.

    Of a run, the request says what is looked at: `frame`, or `frames` as [first, last]; `subtract`, and `mask_frame` if
    it is not to be found; `projection` over time. Frames that are not looked at stay empty. How far a request with a
    `job` is can be asked for, and it can be stopped; see `jobs.py`.
    """

    def __init__(self, host: ModelHost) -> None:
        super().__init__(host, InferType.SEGMENTATION, "Vessels by label, drawn by a SALT-adapted SAM")

    def answer(self, request: dict[str, Any], study: Study, job: Job) -> Answer:
        """Segment by label."""
        predictor, version = self.host.predictor()

        def segment(frame: np.ndarray) -> np.ndarray:
            return predictor.outline(self.host.embedded(predictor, version, frame))

        mask = np.zeros(study.shape, np.uint8)
        view = _run_view(request)
        for frames, image in job.over(view.images(study), view.count(study)):
            # A turn for each: a run of many must not keep a click waiting.
            mask[list(frames)] = self.host.sparing(predictor, partial(segment, image))
        if study.acquisition.exposed is not None:
            mask[:, ~study.acquisition.exposed] = 0
        return Answer(mask, self.host.options.labels, version)


class SaltEdit(_SaltTask):
    """Correct one label with clicks, a box and a previous mask; the click section of the Slicer panel.

    The request's `foreground` and `background` are lists of [i, j, k], or `background` and a list under the label's
    name; `label` (or `label_name`, if `label` is an uploaded mask) names the label; `roi` is i0, i1, j0, j1, k0, k1.
    Frames without a correction keep the uploaded mask, or stay empty. The answer is a mask of 0 and 1.

    Of a run, `carry` as [first, last] carries the masks of the key frames to these frames; `key_frames` are those that
    were corrected, unless the request names others, whose masks are uploaded.
    """

    def __init__(self, host: ModelHost) -> None:
        super().__init__(host, InferType.DEEPGROW, "Correct a vessel by foreground and background clicks or a box")

    def answer(self, request: dict[str, Any], study: Study, job: Job) -> Answer:
        """Segment and correct."""
        label, previous = self._label(request), self._previous(request, study)
        foreground = [*_points(request, "foreground", study), *_points(request, label, study)]
        background = _points(request, "background", study)
        boxes = _boxes(request, study)
        corrected = {k for *_, k in foreground + background} | boxes.keys()
        if not corrected and study.shape[0] == 1:
            corrected = {0}
        mask = np.zeros(study.shape, np.uint8)
        if previous is not None:
            value = self.host.options.labels.index(label) + 1
            # A mask of one label, as the panel sends it, is that label whatever its value.
            mask = ((previous == value) if previous.max() > 1 else previous > 0).astype(np.uint8)
        predictor, version = self.host.predictor()
        exposed = study.acquisition.exposed

        def segment(frame: np.ndarray, edit: Edit) -> np.ndarray:
            return predictor.edit(self.host.embedded(predictor, version, frame), label, edit) > predictor.threshold

        for k in job.over(sorted(corrected), len(corrected)):
            edit = Edit(
                foreground=[(i, j) for i, j, frame in foreground if frame == k],
                background=[(i, j) for i, j, frame in background if frame == k],
                box=boxes.get(k),
                mask=None if previous is None else mask[k] > 0,
            )
            found = self.host.sparing(predictor, partial(segment, study.frame(k), edit))
            mask[k] = found if exposed is None else np.where(exposed, found, mask[k])
        keys, carried = _carried(request, study, corrected)

        def look(k: int) -> Embedded:
            embedded = self.host.embedded(predictor, version, study.frame(k))
            predictor.segment(embedded, label)
            return embedded

        steps = carry(
            predictor,
            lambda k: self.host.sparing(predictor, partial(look, k)),
            label,
            {k: mask[k] > 0 for k in keys},
            carried,
        )
        between = [k for k in carried if keys and keys[0] < k < keys[-1]]
        for k, found in job.over(steps, len({*carried} - {*keys}) + len({*between} - {*keys})):
            mask[k] = found if exposed is None else found & exposed
        return Answer(mask, (label,), version)

    def _label(self, request: Mapping[str, Any]) -> str:
        labels = self.host.options.labels
        for name in (request.get("label_name"), request.get("label")):
            if isinstance(name, str) and name and not is_upload(name):
                if name not in labels:
                    raise HTTPException(400, f"unknown label '{name}'; this server knows: {', '.join(labels)}")
                return name
        return next((name for name in labels if request.get(name)), labels[0])

    def _previous(self, request: Mapping[str, Any], study: Study) -> np.ndarray | None:
        label = request.get("label")
        return read_mask(str(label), study) if is_upload(label) else None


def _measured(mask: np.ndarray, labels: Sequence[str], study: Study) -> list[dict[str, Any]]:
    """Return the summary of each label's vessels on each frame that has some; what is not known is None."""
    exposed = study.acquisition.exposed
    rows = [
        {"frame": int(k), "label": name, **summary_row(measure(mask[k] == value, study.spacing, exposed))}
        for k in np.flatnonzero(mask.any(axis=(1, 2)))
        for value, name in enumerate(labels, start=1)
        if (mask[k] == value).any()
    ]
    return [{key: None if value != value else value for key, value in row.items()} for row in rows]


def _run_view(request: Mapping[str, Any]) -> RunView:
    """Return what of a run is asked for; raises `ImageError` if it cannot be meant."""
    try:
        first, last = request.get("frames") or (request.get("frame", 0), request.get("frame", -1))
        mask = request.get("mask_frame")
        view = RunView(
            int(first), int(last), bool(request.get("subtract")), None if mask is None else int(mask),
            request.get("projection") or "none",
        )  # fmt: skip
    except (TypeError, ValueError, OverflowError) as error:
        raise ImageError("'frame' and 'mask_frame' are numbers from 0, 'frames' is [first, last]") from error
    if view.projection not in PROJECTIONS:
        raise ImageError(f"unknown projection '{view.projection}'; one of {', '.join(PROJECTIONS)}")
    return view


def _carried(request: Mapping[str, Any], study: Study, corrected: Iterable[int]) -> tuple[list[int], range]:
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


def _points(request: Mapping[str, Any], key: str, study: Study) -> list[tuple[float, float, int]]:
    """Return the clicks under `key` as i, j, k; a click without k is on the first frame."""
    frames, rows, columns = study.shape
    points = []
    clicks = request.get(key) or []
    if isinstance(clicks, list) and len(clicks) > MOST_CLICKS:
        raise ImageError(f"'{key}' has {len(clicks)} clicks, more than the {MOST_CLICKS} that are followed")
    for point in clicks if isinstance(clicks, list) else [clicks]:
        try:
            i, j, k = (*map(float, point), 0.0)[:3]
        except (TypeError, ValueError, OverflowError) as error:
            raise ImageError(f"'{key}' must be a list of clicks [i, j, k]; got {str(point)[:100]}") from error
        if not (0 <= i < columns and 0 <= j < rows and 0 <= k < frames):
            raise ImageError(f"the click {point} is outside of {study.name} ({columns} x {rows} x {frames}, i x j x k)")
        points.append((i, j, int(k)))
    return points


def _boxes(request: Mapping[str, Any], study: Study) -> dict[int, tuple[float, float, float, float]]:
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
