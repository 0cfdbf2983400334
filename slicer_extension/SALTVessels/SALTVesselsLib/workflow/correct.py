"""Correcting an outline: clicks, a box, a bridge over a gap; strokes; and the way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..answers import EditRequest, Outline, Problem
from ..pixels import mask_to_nrrd
from .case import Case
from .context import Context
from .segment import Segment, view_of
from .server import Server
from .uploads import Uploads

Pixel = tuple[int, int]
Voxel = tuple[int, int, int]
Key = tuple[Case, str, int]
_KEPT = "Your clicks are kept until you close Slicer or the scene, and followed as soon as the server is back."
# Seconds after which the user is told that an answer takes long, though it may have begun to arrive.
SLOW = 10.0


@dataclass(frozen=True)
class _Action:
    """What the user did and the server has not answered yet.

    Attributes
    ----------
    kind : {"add", "remove", "box", "bridge"}
    value : tuple
        A pixel (i, j); i0, i1, j0, j1, k0, k1; or two pixels (i, j, k). All are sent with their frame alone: k is 0.
    """

    kind: str
    value: tuple[Any, ...]


@dataclass
class _Waiting:
    """What was done on a frame, and is not answered yet.

    Attributes
    ----------
    actions : list of _Action
    again : bool
        Whether they were sent once more, since the connection broke.
    request : object
        Stands for the one under way; None if there is none.
    """

    actions: list[_Action] = field(default_factory=list)
    again: bool = False
    request: object = None


class Correct:
    """The section *Correct*."""

    def __init__(self, context: Context, server: Server, uploads: Uploads, segment: Segment) -> None:
        self._context = context
        self._server = server
        self._uploads = uploads
        self._segment = segment
        self._pending: dict[Key, _Waiting] = {}
        self._previous = False
        self._shown: object = None
        server.on_connected(self._send_again)
        uploads.on_sent(self._send_again)
        context.on_change(self._show_previous)
        context.on_give_up(self._give_up)

    @property
    def busy(self) -> bool:
        """Whether an answer to a correction is on its way; clicks that wait for another server have none."""
        return any(case.image for case, _, _ in self._pending)

    @property
    def can_undo(self) -> bool:
        """Whether there is something to take back on the frame in view."""
        key = self._key()
        return key is not None and (key in self._pending or key[0].corrections(*key[1:]).can_undo)

    @property
    def can_redo(self) -> bool:
        """Whether something was taken back."""
        key = self._key()
        return key is not None and key not in self._pending and key[0].corrections(*key[1:]).can_redo

    def click(self, pixel: Voxel, adds: bool) -> None:
        """Follow a click on a vessel that is missing, or on what is none."""
        self._do("add" if adds else "remove", pixel[:2], pixel[2])

    def box(self, one: Voxel, other: Voxel) -> None:
        """Have what lies between two corners outlined anew."""
        (i0, i1), (j0, j1) = (sorted(pair) for pair in zip(one[:2], other[:2], strict=True))
        self._do("box", (i0, i1, j0, j1, 0, 0), one[2])

    def bridge(self, one: Voxel, other: Voxel) -> None:
        """Follow the vessel from one side of a gap to the other."""
        self._do("bridge", ((*one[:2], 0), (*other[:2], 0)), one[2])

    def undo(self) -> None:
        """Take back the last correction on the frame in view, one at a time; first what was not answered yet."""
        key = self._key()
        if key is None:
            return
        if key in self._pending:
            self._context.latest.cancel(_request(key))
            self._pending[key].actions.pop()
            if self._pending[key].actions:
                self._send(key)
            else:
                del self._pending[key]
                self._context.say("")
                key[0].answered(*key[1:])
            return
        corrections = key[0].corrections(*key[1:])
        asked = corrections.asked
        if corrections.undo():
            key[0].show(*key[1:])
            if len(asked) > 1:
                # They were answered together: those before the last stay.
                self._ask(key, *asked[:-1])
            self._context.changed()

    def redo(self) -> None:
        """Do again what was taken back."""
        key = self._key()
        if key is not None and self.can_redo and key[0].corrections(*key[1:]).redo():
            key[0].show(*key[1:])
            self._context.changed()

    def show_previous(self, on: bool) -> None:
        """Show the outline before the last correction as a faint line, or show it no more."""
        self._previous = on
        self._show_previous()

    def forget(self) -> None:
        """Let go of everything in the scene."""
        self._pending.clear()
        self._shown = None

    def points(self) -> tuple[list[Pixel], list[Pixel]]:
        """Return the clicks that add and those that remove, on the frame in view: answered, and not yet."""
        key = self._key()
        return ([], []) if key is None else self._clicks(key)

    def _clicks(self, key: Key) -> tuple[list[Pixel], list[Pixel]]:
        case, label, frame = key
        answered = case.corrections(label, frame)
        actions = self._pending[key].actions if key in self._pending else []
        adding, removing = ([action.value for action in actions if action.kind == kind] for kind in ("add", "remove"))
        return [*answered.foreground, *adding], [*answered.background, *removing]

    def _do(self, kind: str, value: tuple[Any, ...], frame: int) -> None:
        key = self._key(frame)
        if key is None:
            return
        action = _Action(kind, value)
        if self._context.client is None:
            self._context.say("Connect to a server first: it follows your clicks.")
        elif key[0].image:
            self._ask(key, action)
        else:
            self._uploads.send(lambda: self._ask(key, action))

    def _ask(self, key: Key, *actions: _Action) -> None:
        waiting = self._pending.setdefault(key, _Waiting())
        waiting.actions.extend(actions)
        waiting.again = False
        key[0].asked(*key[1:])
        self._send(key)

    def _send(self, key: Key) -> None:
        """Send what was done on a frame, in the place of a request that was not answered yet."""
        waiting = self._pending[key]
        waiting.request = None
        case, label, frame = key
        client = self._context.client
        if case.gone:
            self._drop(key)
            self._context.say(f"Your clicks on {case.volume.GetName()} were not followed. Click again.")
            return
        if client is not None and not self._server.usable:
            self._context.say(_KEPT)
            return
        if client is not None and not case.image:
            self._context.say(
                f"Your clicks on {case.volume.GetName()} wait: it is an image of another server. Connect to that one, "
                "or send the image to this one, and they are followed."
            )
            return
        if client is None or not self._server.may_send():
            self._drop(key)
            return
        foreground, background = self._clicks(key)
        # Of these a request takes one; others wait for its answer.
        firsts = {action.kind: action for action in reversed(waiting.actions) if action.kind in ("box", "bridge")}
        edit = EditRequest(
            label,
            mask_to_nrrd(case.coded(label, frame)[None]),
            tuple((*click, 0) for click in foreground),
            tuple((*click, 0) for click in background),
            frame=frame,
            view=view_of(case, self._context.parameters),
            **{kind: action.value for kind, action in firsts.items()},
        )

        def answered(outline: Outline) -> None:
            if case.gone:
                self._drop(key)
                self._context.changed()
                return
            actions = self._pending.pop(key).actions
            done = [action for action in actions if firsts.get(action.kind, action) is action]
            left = [action for action in actions if firsts.get(action.kind, action) is not action]
            case.corrections(label, frame).answered(outline.mask[0] > 0, foreground, background, done)
            case.show(label, frame)
            if left:
                self._pending[key] = _Waiting(left)
                self._send(key)
            self._context.say("")
            if not left:
                case.answered(label, frame)

        def failed(problem: Problem) -> None:
            if problem.kind == "unreachable":
                self._context.explain(problem, _KEPT)
                return
            if problem.kind in ("timeout", "interrupted") and not waiting.again:
                waiting.again = True
                self._context.say(f"No answer came from {client.address}. Your clicks are sent once more.", "problem")
                self._send(key)
                return
            held = " What you asked for after it was not done; ask again." if self._drop(key) else ""
            self._context.explain(problem, f"Your outline is as it was before the click.{held}")

        self._context.latest.start(
            _request(key),
            lambda heard: client.correct(case.image, edit, heard(answered), heard(failed), shape=(1, *case.shape[1:])),
        )
        self._watch(key)
        self._context.changed()

    def _watch(self, key: Key) -> None:
        """Tell the user if an answer takes long."""
        waiting = self._pending[key]
        request = waiting.request = object()

        def told() -> None:
            client, still = self._context.client, self._pending.get(key) is waiting and waiting.request is request
            if not still or client is None or not self._server.usable or key[0].gone:
                return
            remedy = "Wait, or take them back with Undo." if key == self._key() else "Wait a little longer."
            self._context.say(f"{client.address} takes long over your clicks. {remedy}")

        self._context.around.later(SLOW, told)

    def _give_up(self) -> None:
        for waiting in self._pending.values():
            waiting.request = None

    def _drop(self, key: Key) -> bool:
        """Give up what was done on a frame, and what was held until it is answered; return whether anything was."""
        case, label, frame = key
        self._pending.pop(key, None)
        held = case.let_go_of_held()
        case.answered(label, frame)
        return held

    def _send_again(self) -> None:
        for key in tuple(self._pending):
            self._send(key)

    def _show_previous(self) -> None:
        key = self._key()
        if key is None:
            return
        corrections = key[0].corrections(*key[1:])
        # Each change makes a new mask.
        shown = (self._previous, key, id(corrections.mask))
        if shown != self._shown:
            self._shown = shown
            key[0].outlines.show_previous(corrections.previous if self._previous else None)

    def _key(self, frame: int | None = None) -> Key | None:
        """Return what is corrected: on a frame, by default the one in view."""
        case = self._context.case
        if case is None or not self._segment.label:
            return None
        return case, self._segment.label, case.frame if frame is None else frame


def _request(key: Key) -> tuple[object, ...]:
    case, label, frame = key
    return "correct", case.volume.GetID(), label, frame
