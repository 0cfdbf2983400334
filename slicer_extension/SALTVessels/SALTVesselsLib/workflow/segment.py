"""Outlining vessels: a single image, a frame, or a whole run with progress and a way to stop it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Literal, cast

from ..answers import EditRequest, JobState, Outline, Problem, Projection, RunView
from ..jobs import Poll
from ..parameters import Parameters
from ..transport import Ticket
from .case import Case
from .context import Context
from .server import Server
from .uploads import Uploads
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

    def __init__(self, context: Context, server: Server, uploads: Uploads) -> None:
        self._context = context
        self._server = server
        self._uploads = uploads
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
        case, label = self._context.case, self.label
        assert case is not None
        frame = case.frame
        if frames == "follow":
            self._uploads.send(lambda: self._follow(case, label, frame))
        else:
            self._uploads.send(lambda: self._start(case, None if frames == "all" else frame))

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

        def ask() -> None:
            if self._goes_on(job):
                client.stop_job(job, lambda _: None, unanswered)

        def unanswered(problem: Problem) -> None:
            if problem.kind not in ("timeout", "unreachable"):
                # The server has not begun, or has just ended.
                self._context.around.later(PULSE, ask)
            elif self._goes_on(job):
                self._watch.stop()
                self._context.latest.cancel(_REQUEST)
                self._end("Stopped.")

        ask()

    def _give_up(self) -> None:
        self._watch.stop()
        self.running = False

    def _goes_on(self, job: str) -> bool:
        return self.running and self._job == job

    def _begin(self, case: Case, by_frames: bool) -> None:
        self.running, self.done, self.of = True, 0, 0
        self._by_frames = by_frames
        self._job = f"slicer-{uuid.uuid4().hex}"
        self._context.say(f"Outlining {case.image} …")

    def _start(self, case: Case, frame: int | None) -> None:
        """Have one frame outlined, or all."""
        client = self._context.client
        assert client is not None
        view, begun = looked_at(case, self._context.parameters, frame), case.now

        def outlined(outline: Outline) -> None:
            words = f"{case.image} is outlined by {called(outline.version)}."
            if view is not None and not case.gone:
                case.view = outline.params.get("view") or view.told()
            self._take(case, _frames(case, view, frame, outline), outline, begun, words)

        self._begin(case, view is not None)
        self._context.latest.start(
            _REQUEST,
            lambda heard: client.segment(
                case.image,
                heard(outlined),
                heard(self._failed),
                shape=case.shape,
                view=view,
                job=self._job,
            ),
        )
        if view is not None:
            self._watch.start()

    def _follow(self, case: Case, label: str, frame: int) -> None:
        client, begun = self._context.client, case.now
        assert client is not None
        keys = sorted({frame, *case.corrected(label)})
        if not any(case.outlines.frame_mask(label, key).any() for key in keys):
            self._context.say("There is no outline to follow: outline this frame and correct it first.")
            return
        if not self._server.may_send():
            return

        def followed(outline: Outline) -> None:
            frames = [found for found in _frames(case, None, None, outline) if found not in keys]
            self._take(case, frames, outline, begun, f"The frames of {case.image} follow those you corrected.")

        def send(mask: bytes) -> None:
            if not self._goes_on(job):
                return
            view, reached = view_of(case, self._context.parameters), (0, case.shape[0] - 1)
            edit = EditRequest(label, mask, carry=reached, key_frames=tuple(keys), view=view)
            self._context.latest.start(
                _REQUEST,
                lambda heard: client.correct(
                    case.image,
                    edit,
                    heard(followed),
                    heard(self._failed),
                    shape=case.shape,
                    job=self._job,
                ),
            )
            self._watch.start()

        self._begin(case, by_frames=True)
        job = self._job
        self._context.by_pieces(case.coded_by_steps(label, keys), send)

    def _take(self, case: Case, frames: Sequence[int], outline: Outline, begun: int, words: str) -> None:
        """Put frames of an answer into the scene, but for what was changed since it was asked for."""
        self._watch.stop()
        if case.gone:
            self._end("")
            return
        if outline.stopped:
            words = f"Stopped: {len(frames)} of {case.shape[0]} frames are outlined."
        self._context.by_pieces(
            _put(case, frames, outline, begun), lambda stayed: self._end(f"{words} {_spared(stayed)}".strip())
        )

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


def looked_at(case: Case, parameters: Parameters, frame: int | None = None) -> RunView | None:
    """Return how an image is looked at, in one frame or all; None if it is no run."""
    if case.shape[0] == 1:
        return None
    projection = cast(Projection, parameters.projection or "none")
    # Over time, all frames are looked at.
    first, last = (0, -1) if frame is None or projection != "none" else (frame, frame)
    return RunView(first, last, parameters.subtraction, None, projection)


def view_of(case: Case, parameters: Parameters) -> Mapping[str, Any]:
    """Return how an image is corrected: as it was outlined, or as it would be now; that is remembered."""
    wanted = looked_at(case, parameters)
    if wanted is not None and not case.view:
        case.view = wanted.told()
    return case.view


def _frames(case: Case, view: RunView | None, wanted: int | None, outline: Outline) -> list[int]:
    """Return the frames to take: one that is wanted, or all; of a run that was stopped, where something was found."""
    # The frame at its peak is the server's choice, whatever is in view.
    peak = view is not None and view.projection == "peak"
    frames = [frame for frame in range(case.shape[0]) if peak or wanted in (None, frame)]
    return [frame for frame in frames if outline.mask[frame].any()] if peak or outline.stopped else frames


def _put(case: Case, frames: Sequence[int], outline: Outline, begun: int) -> Generator[None, None, int]:
    """Return how many frames stay as they are because they were changed since then."""
    stayed = set()
    for frame in frames:
        for label, value in outline.labels.items():
            if case.gone:
                return 0
            if case.changed_since(begun, label, frame):
                stayed.add(frame)
            else:
                case.outlined(label, frame, outline.mask[frame] == value)
            yield
    return len(stayed)


def _spared(frames: int) -> str:
    """Return what is said of frames that stay."""
    counted = "1 frame" if frames == 1 else f"{frames} frames"
    return f"What you corrected meanwhile stays as it is: {counted}." if frames else ""
