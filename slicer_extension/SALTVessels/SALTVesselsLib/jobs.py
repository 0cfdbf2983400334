"""Requests that follow each other: of those with one key only the newest is heard; and asking again and again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from .steps import Later
from .transport import Ticket

Callback = Callable[..., None]


class Latest:
    """Keeps at most one request under way for each key."""

    def __init__(self) -> None:
        self._newest: dict[Hashable, tuple[object, Ticket | None]] = {}

    def start(self, key: Hashable, send: Callable[[Callable[[Callback], Callback]], Ticket]) -> None:
        """Give up what is under way for a key, and send something else.

        Parameters
        ----------
        key : hashable
        send : callable
            Sends the request and returns its ticket. It is given a function that makes of a callback one that is
            silent once the request is no longer the newest, whatever the transport does:

                latest.start("click", lambda heard: client.correct(image, edit, heard(show), heard(explain), …))
        """
        self.cancel(key)
        mark = object()

        def heard(callback: Callback) -> Callback:
            def call(*arguments: Any) -> None:
                if self._newest.get(key, (None,))[0] is mark:
                    callback(*arguments)

            return call

        self._newest[key] = (mark, None)
        self._newest[key] = (mark, send(heard))

    def cancel(self, key: Hashable) -> None:
        """Give up what is under way for a key, if anything is."""
        _, ticket = self._newest.pop(key, (None, None))
        if ticket is not None:
            ticket.cancel()

    def cancel_all(self) -> None:
        """Give up everything."""
        for key in list(self._newest):
            self.cancel(key)


class Poll:
    """Asks again and again, each time a while after it has heard, so that slow answers do not pile up.

    Parameters
    ----------
    ask : callable
        Sends a request and returns its ticket. It is given a function to call when the answer, or a problem, is there.
    later : callable
        Calls a function after so many seconds, on this thread: Qt's single-shot timer, or a test's clock.
    seconds : float
        From an answer to the next question.
    """

    def __init__(
        self,
        ask: Callable[[Callable[[], None]], Ticket],
        later: Later,
        seconds: float,
    ) -> None:
        self._ask = ask
        self._later = later
        self._seconds = seconds
        self._round: object = None
        self._ticket: Ticket | None = None

    def start(self) -> None:
        """Ask for the first time, now; what was begun before is given up."""
        self.stop()
        self._round = object()
        self._once(self._round)

    def stop(self) -> None:
        """Ask no more."""
        self._round = None
        if self._ticket is not None:
            self._ticket.cancel()
            self._ticket = None

    def _once(self, begun: object) -> None:
        if begun is not self._round:
            return

        def heard() -> None:
            if begun is self._round:
                self._later(self._seconds, lambda: self._once(begun))

        self._ticket = self._ask(heard)
