"""Outlining vessels: a single image, a frame, or a whole run with progress and a way to stop it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Literal, cast

import numpy as np

from ..answers import EditRequest, JobState, Outline, Problem, Projection, RunView
from ..jobs import Poll
from ..transport import Ticket
from .case import Case
from .context import Context
from .images import Images
from .words import called

# Seconds from one look at a long run to the next.
PULSE = 0.5
_REQUEST = "segment"
Frames = Literal["this", "all", "follow"]


class Segment:
    """The *Vessels* button.

    Attributes
    ----------
    running : bool
    done, of : int
        Frames that are outlined, and how many there are to be; `of` is 0 while that is not known.
    """

    def __init__(self, context: Context, images: Images) -> None:
        self._context = context
        self._images = images
        self.running = False
        self.done = self.of = 0
        self._job = ""
        self._by_frames = False
        self._watch = Poll(self._look, context.around.later, PULSE)
        context.on_give_up(self._give_up)

    @property
    def labels(self) -> tuple[str, ...]:
        """What the server outlines."""
        return (
            self._context.case.labels if self._context.case else self._context.info.labels if self._context.info else ()
        )

    @property
    def label(self) -> str:
        """Which label is corrected and measured."""
        labels, chosen = self.labels, self._context.parameters.label
        return chosen if chosen in labels else labels[0] if labels else ""

    def choose(self, label: str) -> None:
        """Choose which label is corrected and measured."""
        self._context.parameters.label = label
        self._context.changed()

    @property
    def is_run(self) -> bool:
        """Whether the image in view has several frames."""
        return self._context.case is not None and self._context.case.shape[0] > 1

    def start(self, frames: Frames = "all") -> None:
        """Have the image in view outlined.

        Parameters
        ----------
        frames : {"this", "all", "follow"}
            The frame in view; all, looked at as the scene remembers it, in `Parameters`; or all but those that were
            corrected, and the one in view, whose outlines are carried to the others.
        """
        self._images.send(self._follow if frames == "follow" else lambda: self._start(frames == "all"))

    def stop(self) -> None:
        """Stop; frames that are done are taken."""
        client = self._context.client
        if not self.running or client is None:
            return
        self._watch.stop()
        if not self._by_frames:
            self._context.latest.cancel(_REQUEST)
            self._end("Stopped.")
            return
        self._context.say("Stopping …")
        job = self._job

        def not_yet(problem: Problem) -> None:
            # The server has not begun, or has just ended.
            if self.running and self._job == job:
                self._context.around.later(PULSE, self.stop)

        client.stop_job(job, lambda _: None, not_yet)

    def _give_up(self) -> None:
        self._watch.stop()
        self.running = False

    def _view(self, case: Case, whole: bool) -> RunView | None:
        if case.shape[0] == 1:
            return None
        parameters = self._context.parameters
        projection = cast(Projection, parameters.projection or "none")
        # Over time, all frames are looked at.
        first, last = (0, -1) if whole or projection != "none" else (case.frame, case.frame)
        return RunView(first, last, parameters.subtraction, None, projection)

    def _begin(self, case: Case, by_frames: bool) -> None:
        self.running, self.done, self.of = True, 0, 0
        self._by_frames = by_frames
        self._job = f"slicer-{uuid.uuid4().hex}"
        self._context.say(f"Outlining {case.image} …")

    def _start(self, whole: bool) -> None:
        client, case = self._context.client, self._context.case
        assert client is not None
        assert case is not None
        view = self._view(case, whole)
        self._begin(case, view is not None)
        self._context.latest.start(
            _REQUEST,
            lambda heard: client.segment(
                case.image,
                heard(lambda outline: self._take(case, view, outline)),
                heard(self._failed),
                shape=case.shape,
                view=view,
                job=self._job,
            ),
        )
        if view is not None:
            self._watch.start()

    def _follow(self) -> None:
        client, case, label = self._context.client, self._context.case, self.label
        assert client is not None
        assert case is not None
        keys = sorted({case.frame, *case.corrected(label)})
        if not any(case.outlines.frame_mask(label, key).any() for key in keys):
            self._context.say("There is no outline to follow: outline this frame and correct it first.")
            return

        def send(mask: bytes) -> None:
            edit = EditRequest(label, mask, carry=(0, case.shape[0] - 1), key_frames=tuple(keys))
            self._context.latest.start(
                _REQUEST,
                lambda heard: client.correct(
                    case.image,
                    edit,
                    heard(lambda outline: self._take(case, None, outline, kept=keys)),
                    heard(self._failed),
                    shape=case.shape,
                    job=self._job,
                ),
            )
            self._watch.start()

        self._begin(case, by_frames=True)
        self._context.by_pieces(case.coded_by_steps(label, keys), send)

    def _take(self, case: Case, view: RunView | None, outline: Outline, kept: Sequence[int] = ()) -> None:
        self._watch.stop()
        if case.gone:
            self._end("")
            return
        frames = [frame for frame in _frames(case, view, outline) if frame not in kept]
        words = f"{case.image} is outlined by {called(outline.version)}."
        if kept:
            words = f"The frames of {case.image} follow those you corrected."
        if outline.stopped:
            words = f"Stopped: {len(frames)} of {case.shape[0]} frames are outlined."
        self._context.by_pieces(_put(case, frames, outline), lambda _: self._end(words))

    def _look(self, heard: Callable[[], None]) -> Ticket:
        client = self._context.client
        assert client is not None

        def known(job: JobState) -> None:
            self.done, self.of = job.done, job.of
            self._context.changed()
            heard()

        # How far it is may be asked before the server has begun; its answer says what went wrong, if anything did.
        return client.job(self._job, known, lambda problem: heard())

    def _end(self, words: str) -> None:
        self.running = False
        self._context.say(words)

    def _failed(self, problem: Problem) -> None:
        self._watch.stop()
        self.running = False
        self._context.explain(problem, "The outline you had is still there.")


def _frames(case: Case, view: RunView | None, outline: Outline) -> list[int]:
    """Return the frames that were looked at; of a run that was stopped, those in which something was found."""
    found = [int(frame) for frame in np.flatnonzero(outline.mask.any(axis=(1, 2)))]
    if outline.stopped or (view is not None and view.projection == "peak"):
        return found
    if view is None or view.last < 0:
        return list(range(case.shape[0]))
    return list(range(view.first, view.last + 1))


def _put(case: Case, frames: Iterable[int], outline: Outline) -> Generator[None, None, None]:
    for frame in frames:
        for label, value in outline.labels.items():
            if case.gone:
                return
            case.outlined(label, frame, outline.mask[frame] == value)
            yield
