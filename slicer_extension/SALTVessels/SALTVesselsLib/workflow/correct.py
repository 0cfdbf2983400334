"""Correcting an outline: clicks, a box, a bridge over a gap; strokes; and the way back."""

from __future__ import annotations

from typing import Any

from ..answers import EditRequest, Outline, Problem
from ..pixels import mask_to_nrrd
from .case import Case
from .context import Context
from .images import Images
from .segment import Segment, view_of
from .server import Server
from .uploads import Uploads
from .waiting import KEPT, NO_LABEL, NOT_HERE, Action, Waiting, keep, kept

Pixel = tuple[int, int]
Voxel = tuple[int, int, int]
Key = tuple[Case, str, int]
# Seconds after which the user is told that an answer takes long, though it may have begun to arrive.
SLOW = 10.0


class Correct:
    """The section *Correct*."""

    def __init__(self, context: Context, server: Server, images: Images, uploads: Uploads, segment: Segment) -> None:
        self._context = context
        self._server = server
        self._images = images
        self._uploads = uploads
        self._segment = segment
        self._pending: dict[Key, Waiting] = {}
        self._previous = False
        self._shown: object = None
        server.on_connected(self.resume)
        uploads.on_sent(self.resume)
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
            self._write_down(key)
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
                self._await(key, *asked[:-1])
                self._send(key)
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

    def resume(self) -> None:
        """Send what waits, here or in the scene: since that was saved, or since a server did not have the label."""
        for volume, label, frame, actions in kept(self._context.parameters):
            case = self._images.case_of(volume)
            if case is not None and label in case.labels:
                self._pending.setdefault((case, label, frame), Waiting(actions))
            else:
                self._context.say(NO_LABEL.format(image=volume.GetName(), label=label))
        for key in tuple(self._pending):
            self._send_waiting(key)

    def forget(self) -> None:
        """Let go of everything in the scene; what waits stays there."""
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
        if self._context.client is None:
            self._context.say("Connect to a server first: it follows your clicks.")
        elif not self._server.usable or self._server.may_send():
            self._await(key, Action(kind, value))
            if key[0].image or not self._server.usable:
                self._send(key)
            else:
                self._uploads.send(lambda: self._send_waiting(key))
                self._context.changed()

    def _await(self, key: Key, *actions: Action) -> None:
        waiting = self._pending.setdefault(key, Waiting())
        waiting.actions.extend(actions)
        waiting.again = False
        self._write_down(key)

    def _write_down(self, key: Key) -> None:
        """Keep in the scene what waits on a frame."""
        case, label, frame = key
        actions = self._pending[key].actions if key in self._pending else ()
        keep(self._context.parameters, case.volume, label, frame, actions)

    def _send_waiting(self, key: Key) -> None:
        """Send what was done on a frame, unless it is on its way or was answered."""
        if key in self._pending and self._pending[key].request is None:
            self._send(key)

    def _send(self, key: Key) -> None:
        """Send what was done on a frame, in the place of a request that was not answered yet."""
        waiting = self._pending[key]
        waiting.request = None
        case, label, frame = key
        client = self._context.client
        if case.gone:
            self._let_go(key)
            return
        if self._uploads.under_way(case):
            # They follow it.
            self._context.changed()
            return
        case.asked(label, frame)
        if client is None or not self._server.usable:
            self._context.say(KEPT)
            return
        if not case.image:
            self._context.say(NOT_HERE.format(image=case.volume.GetName()))
            return
        if not self._server.may_send():
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
                self._let_go(key)
                return
            actions = self._pending.pop(key).actions
            done = [action for action in actions if firsts.get(action.kind, action) is action]
            left = [action for action in actions if firsts.get(action.kind, action) is not action]
            case.corrections(label, frame).answered(outline.mask[0] > 0, foreground, background, done)
            case.show(label, frame)
            if left:
                self._pending[key] = Waiting(left)
                self._send(key)
            self._write_down(key)
            self._context.say("")
            if not left:
                case.answered(label, frame)

        def failed(problem: Problem) -> None:
            waiting.request = None
            if problem.kind == "unreachable":
                self._context.explain(problem, KEPT)
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
        self._write_down(key)
        held = case.let_go_of_held()
        case.answered(label, frame)
        return held

    def _let_go(self, key: Key) -> None:
        """Let go of what was done on an image that was deleted, or has other labels now: then it waits in the scene."""
        if key[0].deleted:
            self._drop(key)
        else:
            del self._pending[key]
        self._context.changed()

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
