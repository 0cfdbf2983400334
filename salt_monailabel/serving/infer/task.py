"""What all infer tasks share: reading the image, timing, and writing the mask that is answered."""

from __future__ import annotations

import tempfile
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fastapi import HTTPException
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType

from salt_monailabel.imaging import ImageError, Study
from salt_monailabel.imaging.result import check_result, write_result
from salt_monailabel.imaging.run import PROJECTIONS, RunView

from ..errors import explained
from ..host import ModelHost
from ..jobs import Job
from ..uploads import discarded_on_error
from .asked import looked_at, with_choices
from .figures import measured


class Answer(NamedTuple):
    """What is answered: a label map (frames, rows, columns), the names of its values from 1, and who drew it."""

    mask: np.ndarray
    labels: Sequence[str]
    version: str


class SaltTask(InferTask):
    """A task that is asked about an image of the datastore, or one that is uploaded."""

    def __init__(self, host: ModelHost, kind: InferType, description: str) -> None:
        labels = {name: i for i, name in enumerate(host.options.labels, start=1)}
        super().__init__(type=kind, labels=labels, dimension=2, description=description)
        self.host = host

    def is_valid(self) -> bool:
        """Say that the task can be offered; a model that cannot be loaded explains itself when asked."""
        return True

    def __call__(self, request: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """Answer a request; returns the file of a mask, if there is one, and what is to be known about it."""
        started = time.perf_counter()
        with discarded_on_error(request.get("image"), request.get("label")), explained():
            path = str(request.get("image") or "")
            if not path:
                raise HTTPException(404, "there is no image of that name in the datastore")
            result, params = self.reply(request, path)
        return result, {**params, "latencies": {"total": round(time.perf_counter() - started, 3)}}

    @abstractmethod
    def reply(self, request: dict[str, Any], path: str) -> tuple[str | None, dict[str, Any]]:
        """Answer a request about the image in a file."""


class DrawingTask(SaltTask):
    """A task that is answered by a mask.

    Of a run, the request says how it is looked at: `subtract`, with `mask_frame` if it is not to be found, and
    `register` if it is to be moved onto each frame first; `projection` over time. With `only_frame`, the task is asked
    about that frame as if it were all there is.
    """

    def config(self) -> dict[str, Any]:
        """Return what a viewer offers its user to set: a list of choices, the first of them the usual one, or a yes."""
        return {"projection": list(PROJECTIONS), "subtract": False, "register": False}

    def reply(self, request: dict[str, Any], path: str) -> tuple[str, dict[str, Any]]:
        """Draw a mask, write it as the request wants it, and measure it if that is asked for."""
        extension = str(request.get("result_extension") or ".nrrd")
        check_result(extension)
        request = with_choices(request, self.config())
        view = RunView.of(request)
        with self.host.jobs.running(request.get("job")) as job:
            seen = self.host.studies.read(path, view)
            study = looked_at(request, seen)
            mask, names, version = self.answer(request, study, job)
        looked = view.found(seen)
        with tempfile.NamedTemporaryFile(suffix=extension, delete=False) as file:
            result = file.name
        try:
            write_result(mask, names, study, path, Path(result), version, looked, durable=False)
        except (ImageError, OSError):
            Path(result).unlink(missing_ok=True)
            raise
        params = {"label_names": self.labels, "version": version, "stopped": job.stopped, "view": looked.told()}
        if request.get("measure"):
            params["measurements"] = measured(mask, names, study)
        return result, params

    @abstractmethod
    def answer(self, request: dict[str, Any], study: Study, job: Job) -> Answer:
        """Answer a request about a study; of a job that is stopped, with the frames that were done."""
