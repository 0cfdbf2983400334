"""The infer task `salt_edit`, which follows clicks, a box, strokes and a previous mask."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferType

from salt_monailabel.imaging import Study
from salt_monailabel.inference import Embedded, Predictor
from salt_monailabel.inference.bridge import bridge
from salt_monailabel.inference.carrying import carry
from salt_monailabel.inference.strokes import ERASED

from ..host import ModelHost
from ..jobs import Job
from .asked import carried
from .correction import Correction
from .task import Answer, DrawingTask


class SaltEdit(DrawingTask):
    """Correct one label with clicks, a box and a previous mask; the click section of the Slicer panel.

    The request's `foreground` and `background` are lists of [i, j, k], or `background` and a list under the label's
    name; `label` (or `label_name`, if `label` is an uploaded mask) names the label; `roi` is i0, i1, j0, j1, k0, k1.
    The uploaded mask is of 0 and 1, as the answer is, or a label map in which other labels have other values. Frames
    without a correction keep it, or stay empty.

    With `strokes`, the uploaded mask is of that label alone: 0 and 1, or what was painted and erased by hand, which
    stays as it is; see `inference/strokes.py`. `bridge`, two places [[i, j, k], [i, j, k]] on one frame, closes the gap
    between them.

    Of a run, `carry` as [first, last] carries the masks of the key frames to these frames; `key_frames` are those that
    were corrected, unless the request names others, whose masks are uploaded.
    """

    def __init__(self, host: ModelHost) -> None:
        super().__init__(host, InferType.DEEPGROW, "Correct a vessel by foreground and background clicks or a box")

    def answer(self, request: dict[str, Any], study: Study, job: Job) -> Answer:
        """Segment and correct."""
        wanted = Correction.of(request, study, self.host.options.labels)
        keys, reached = carried(request, study, wanted.corrected)
        predictor, version = self.host.predictor()
        see = partial(self._see, predictor, version, wanted.label, study, len(reached))
        mask = np.zeros(study.shape, bool) if wanted.mask is None else wanted.mask.copy()
        visible = True if study.visible is None else study.visible
        for k in job.over(wanted.corrected, len(wanted.corrected)):
            found = self._edited(predictor, version, study, wanted, k)
            mask[k] = wanted.by_hand(k, np.where(visible, found, mask[k]))
        if wanted.gap is not None:
            k = wanted.gap.frame
            likely = np.where(wanted.strokes[k] == ERASED, 0, predictor.segment(see(k), wanted.label))
            found = bridge(mask[k], likely, wanted.gap.start, wanted.gap.end)
            mask[k] = wanted.by_hand(k, np.where(visible, found, mask[k]))
        steps = carry(predictor, see, wanted.label, {k: mask[k] for k in keys}, reached)
        for k, found in job.over(steps, _count(keys, reached)):
            mask[k] = wanted.by_hand(k, found & visible)
        return Answer(mask.astype(np.uint8), (wanted.label,), version)

    def _edited(self, predictor: Predictor, version: str, study: Study, wanted: Correction, k: int) -> np.ndarray:
        frame = study.frame(k)

        def work() -> np.ndarray:
            embedded = self.host.embedded(predictor, version, frame, study.kind)
            return predictor.edit(embedded, wanted.label, wanted.edit(k)) > predictor.threshold

        return self.host.sparing(predictor, work)

    def _see(self, predictor: Predictor, version: str, label: str, study: Study, frames: int, k: int) -> Embedded:
        """Return one of so many frames embedded and segmented."""

        def work() -> Embedded:
            embedded = self.host.embedded(predictor, version, study.frame(k), study.kind, frames)
            predictor.segment(embedded, label)
            return embedded

        return self.host.sparing(predictor, work)


def _count(keys: list[int], reached: range) -> int:
    """Return the steps of carrying: a frame between two key frames is reached from both."""
    between = [k for k in reached if keys and keys[0] < k < keys[-1]]
    return len({*reached} - {*keys}) + len({*between} - {*keys})
