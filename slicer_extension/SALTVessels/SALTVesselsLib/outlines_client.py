"""Requests for outlines, corrections and measurements."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Generator, Mapping
from typing import Any

import numpy as np

from .answers import Click, EditRequest, JobState, Measured, Nonsense, Outline, RunView
from .calls import CLICK, INFO, MEASURE, MEASURE_MEGAPIXEL, WHOLE, Call, Caller, Failed, quoted, told
from .images_client import Shape, checked_mask
from .multipart import decode
from .transport import Reply, Ticket

_MASK = {"result_extension": ".nrrd", "result_dtype": "uint8"}


class OutlinesClient(Caller):
    """Asks for work of the model on an image; `shape` is the image's (frames, rows, columns)."""

    def segment(
        self,
        image: str,
        done: Callable[[Outline], None],
        failed: Failed,
        *,
        shape: Shape,
        view: RunView | None = None,
        job: str = "",
    ) -> Ticket:
        """Have all labels outlined; frames that are not looked at stay empty.

        Parameters
        ----------
        image : str
        done, failed : callable
        shape : (frames, rows, columns)
        view : RunView, optional
            What of a run is looked at; by default all.
        job : str
            A name of the caller's choice for this request, to ask how far it is, and to stop it.
        """
        params = {**_MASK, **(view.told() if view else {}), **_job(job)}

        def read(reply: Reply) -> Generator[None, None, Outline]:
            mask, known = yield from _parts(reply, shape)
            return _outline(mask, known, {str(name): int(value) for name, value in known["label_names"].items()})

        return self.ask(_infer("salt", image, params, None, WHOLE), read, done, failed)

    def correct(
        self,
        image: str,
        edit: EditRequest,
        done: Callable[[Outline], None],
        failed: Failed,
        *,
        shape: Shape,
        job: str = "",
    ) -> Ticket:
        """Have the outline of one label corrected; the answer's mask has 0 and 1.

        Parameters
        ----------
        image : str
        edit : EditRequest
        done, failed : callable
        shape : (frames, rows, columns)
            Of the image; of a single frame where that is corrected alone.
        job : str
            As for `segment`.
        """
        params = {**_MASK, **_edit(edit), **_job(job)}

        def read(reply: Reply) -> Generator[None, None, Outline]:
            return _outline(*(yield from _parts(reply, shape)), labels={edit.label: 1})

        timeout = CLICK if edit.carry is None else WHOLE
        return self.ask(_infer("salt_edit", image, params, edit.mask, timeout), read, done, failed)

    def measure(
        self,
        image: str,
        mask: bytes,
        between: tuple[Click, Click] | None,
        done: Callable[[Measured], None],
        failed: Failed,
        *,
        label: str,
        shape: Shape,
        frame: int | None = None,
        job: str = "",
    ) -> Ticket:
        """Have one label of a mask measured.

        Parameters
        ----------
        image : str
        mask : bytes
            The file of a mask, as `mask_to_nrrd` makes it; each label has its value.
        between : two clicks on one frame, or None
            The vessel from one to the other is measured all along.
        done, failed : callable
        label : str
        shape : (frames, rows, columns)
            Of the mask: the larger it is, the longer the answer is waited for.
        frame : int, optional
            Of a run, the one that is measured; mask and clicks are of that alone.
        job : str
            As for `segment`.
        """
        wish = {"between": between, "only_frame": frame}
        params = {"label_name": label, **_given(wish), **_job(job)}
        call = _infer("salt_measure", image, params, mask, measuring(shape), "json")
        return self.ask(call, lambda reply: Measured.read(told(reply)), done, failed)

    def job(self, name: str, done: Callable[[JobState], None], failed: Failed) -> Ticket:
        """Ask how far a request is."""
        return self._ask_job("GET", name, done, failed)

    def stop_job(self, name: str, done: Callable[[JobState], None], failed: Failed) -> Ticket:
        """Have a request end early; its answer is what it has done until then."""
        return self._ask_job("DELETE", name, done, failed)

    def _ask_job(self, method: str, name: str, done: Callable[[JobState], None], failed: Failed) -> Ticket:
        call = Call(method, f"/salt/jobs/{quoted(name)}", INFO)
        return self.ask(call, lambda reply: JobState.read(told(reply)), done, failed)


def measuring(shape: Shape) -> float:
    """Return how many seconds the measurement of a mask of (frames, rows, columns) may take."""
    return max(MEASURE, round(MEASURE_MEGAPIXEL * math.prod(shape) / 1e6))


def _infer(
    model: str, image: str, params: Mapping[str, Any], mask: bytes | None, timeout: float, output: str = "all"
) -> Call:
    form: dict[str, Any] = {"params": json.dumps(params)}
    if mask is not None:
        form["label"] = ("label.nrrd", mask)
    return Call("POST", f"/infer/{model}", timeout, {"image": image, "output": output}, form)


def _job(name: str) -> dict[str, str]:
    return {"job": name} if name else {}


def _edit(edit: EditRequest) -> dict[str, Any]:
    wish = {
        "label_name": edit.label,
        "foreground": edit.foreground,
        "background": edit.background,
        "roi": edit.box,
        "bridge": edit.bridge,
        "only_frame": edit.frame,
        "carry": edit.carry,
        "key_frames": edit.key_frames or None,
        "strokes": None if edit.mask is None else True,
    }
    return {**_given(wish), **edit.view}


def _given(wish: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in wish.items() if value is not None}


def _parts(reply: Reply, shape: Shape) -> Generator[None, None, tuple[np.ndarray, dict[str, Any]]]:
    """Read the mask and the parameters of an answer by steps."""
    parts = decode(reply.body, reply.headers.get("content-type", ""))
    return (yield from checked_mask(parts["image"], shape)), json.loads(parts["params"])


def _outline(mask: np.ndarray, params: dict[str, Any], labels: dict[str, int]) -> Outline:
    # Labels have the values from 1 on.
    largest = int(mask.max(initial=0))
    if largest > max(labels.values()):
        raise Nonsense(f"the mask has the value {largest}, which is no label")
    return Outline(mask, labels, str(params["version"]), bool(params["stopped"]), params)
