"""The infer task `salt`, which segments by label."""

from __future__ import annotations

from typing import Any

import numpy as np
from monailabel.interfaces.tasks.infer_v2 import InferType

from salt_monailabel.imaging import Study
from salt_monailabel.imaging.run import RunView

from ..host import ModelHost
from ..jobs import Job
from .task import Answer, DrawingTask


class SaltSegment(DrawingTask):
    """Segment all labels; the Auto section of the Slicer panel.

    Of a run, the request says which frames are looked at, as `frame`, or `frames` as [first, last]; those that are not
    stay empty. How far a request with a `job` is can be asked for, and it can be stopped; see `jobs.py`.
    """

    def __init__(self, host: ModelHost) -> None:
        super().__init__(host, InferType.SEGMENTATION, "Vessels by label, drawn by a SALT-adapted SAM")

    def answer(self, request: dict[str, Any], study: Study, job: Job) -> Answer:
        """Segment by label."""
        predictor, version = self.host.predictor()
        view = RunView.of(request)
        count, kind = view.count(study), study.kind
        mask = np.zeros(study.shape, np.uint8)
        for frames, image in job.over(view.images(study), count):
            # A turn for each: a run of many must not keep a click waiting.
            mask[list(frames)] = self.host.outline(predictor, version, image, kind, count)
        return Answer(study.within(mask), self.host.options.labels, version)
