"""Requests about learning, and the versions that come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .answers import TrainingEvent, Versions
from .calls import INFO, STREAM, TRANSFER, UNREADABLE, Call, Caller, Failed, is_success, quoted, told
from .events import EventStream
from .transport import Failure, Reply, Ticket


class _Following:
    """The ticket of a stream: after a cancel, nothing is told of what has arrived already, either."""

    def __init__(self, ticket: Ticket) -> None:
        self.over = False
        self._ticket = ticket

    def cancel(self) -> None:
        self.over = True
        self._ticket.cancel()


class LearningClient(Caller):
    """Has a server learn, and choose among what it learned."""

    def train(self, params: Mapping[str, Any], done: Callable[[str], None], failed: Failed) -> Ticket:
        """Start learning from the labels submitted; the answer is the id of the task, which goes on by itself."""
        call = Call("POST", "/train/salt", TRANSFER, told=params)
        return self.ask(call, lambda reply: str(told(reply)["id"]), done, failed)

    def stop_training(self, done: Callable[[None], None], failed: Failed) -> Ticket:
        """Stop learning; what was being learned is lost, and nothing else."""
        return self.ask(Call("DELETE", "/train/", INFO), lambda reply: None, done, failed)

    def follow_training(
        self, on_event: Callable[[TrainingEvent], None], done: Callable[[None], None], failed: Failed
    ) -> Ticket:
        """Follow the last training from its beginning.

        Parameters
        ----------
        on_event : callable
            Told of each step, and of the end.
        done : callable
            Called after the end.
        failed : callable
            Called if the end is not heard of: the training itself may go on.
        """
        call = Call("GET", "/salt/train/events", STREAM)
        stream = EventStream()
        ended = False

        def receive(piece: bytes) -> None:
            nonlocal ended
            try:
                events = [TrainingEvent.read(event) for event in stream.feed(piece)]
            except UNREADABLE as error:
                following.cancel()
                failed(self.nonsense(error))
                return
            for event in events:
                ended = event.ends
                if not following.over:
                    on_event(event)

        def hear(reply: Reply | Failure) -> None:
            if isinstance(reply, Failure) or not is_success(reply):
                failed(self.problem(reply, call.timeout))
            elif not ended:
                failed(self.problem(Failure("interrupted", "the stream ended before the training"), call.timeout))
            else:
                done(None)

        following = _Following(self.transport.send(self.request(call), hear, receive))
        return following

    def versions(self, done: Callable[[Versions], None], failed: Failed) -> Ticket:
        """Ask which versions there are, and which is in use."""
        return self.ask(Call("GET", "/salt/adapters", INFO), lambda reply: Versions.read(told(reply)), done, failed)

    def roll_back(self, done: Callable[[str], None], failed: Failed) -> Ticket:
        """Put the version before back in use; the answer is its name."""
        return self._put_in_use("rollback", done, failed)

    def promote(self, name: str, done: Callable[[str], None], failed: Failed) -> Ticket:
        """Put a version in use, or "base"; the answer is its name."""
        return self._put_in_use(f"{quoted(name)}/promote", done, failed)

    def _put_in_use(self, path: str, done: Callable[[str], None], failed: Failed) -> Ticket:
        call = Call("POST", f"/salt/adapters/{path}", TRANSFER, told={})
        return self.ask(call, lambda reply: str(told(reply)["current"]), done, failed)
