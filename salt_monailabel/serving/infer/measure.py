"""The infer task `salt_measure`, which measures an uploaded mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.tasks.infer_v2 import InferType

from salt_monailabel.imaging import ImageError
from salt_monailabel.measure import Measurements, profile

from ..host import ModelHost
from .asked import label_of, looked_at, marked, two_places, uploaded_mask
from .figures import curve, measure_frame, summary
from .task import SaltTask


class SaltMeasure(SaltTask):
    """Measure a mask; no model is loaded, and the answer has no file.

    `label`, an uploaded label map, is measured where it has the value of the label that `label_name` names. With
    `between`, two places [[i, j, k], [i, j, k]] on one frame, the answer has a `profile`: the diameters of the vessel
    from one to the other. With `only_frame`, mask and places are of that frame alone. A request with a `job` that is
    stopped is answered with the frames that were done.
    """

    def __init__(self, host: ModelHost) -> None:
        super().__init__(host, InferType.OTHERS, "Measure the vessels of a mask, and a stenosis between two places")

    def reply(self, request: dict[str, Any], path: str) -> tuple[None, dict[str, Any]]:
        """Measure."""
        study, labels = looked_at(request, self.host.studies.read(path)), self.host.options.labels
        label, drawn = label_of(request, labels), uploaded_mask(request, study)
        if drawn is None:
            raise HTTPException(400, "there is no mask to measure; send it as the file 'label'")
        vessel, between = marked(drawn, label, labels), two_places(request, "between", study)
        if drawn.any() and not vessel.any():
            raise ImageError(f"the mask marks no {label}, which has the value {labels.index(label) + 1}; give it that")
        found: dict[int, Measurements] = {}
        params: dict[str, Any] = {}
        if between is not None:
            found[between.frame] = measure_frame(vessel[between.frame], study)
            params["profile"] = curve(profile(found[between.frame], between.start, between.end))
        frames = np.flatnonzero(vessel.any(axis=(1, 2))).tolist()
        with self.host.jobs.running(request.get("job")) as job:
            for k in job.over(frames, len(frames)):
                if k not in found:
                    found[k] = measure_frame(vessel[k], study)
        params["measurements"] = [summary(found[k], k, label) for k in sorted(found)]
        return None, {**params, "stopped": job.stopped}
