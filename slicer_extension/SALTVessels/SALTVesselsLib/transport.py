"""A request to a server and its reply, whoever carries them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

# No connection; no byte for longer than the request allows; a connection that ended before the reply did.
Fault = Literal["unreachable", "timeout", "interrupted"]


@dataclass(frozen=True)
class Request:
    """What is sent.

    Attributes
    ----------
    method : str
    url : str
    headers : mapping of str to str
    body : bytes, optional
    timeout : float
        Seconds without a byte in either direction after which the request is given up.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout: float = 30.0


@dataclass(frozen=True)
class Reply:
    """What a server answered; names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Failure:
    """Why there is no reply; `detail` is the carrier's own word for it, for a log."""

    fault: Fault
    detail: str = ""


class Ticket(Protocol):
    """A request under way."""

    def cancel(self) -> None:
        """Give it up: nothing of it is heard again. Without effect once it has ended."""


class Transport(Protocol):
    """Carries requests without ever making its caller wait."""

    def send(
        self,
        request: Request,
        done: Callable[[Reply | Failure], None],
        received: Callable[[bytes], None] | None = None,
    ) -> Ticket:
        """Send a request.

        Parameters
        ----------
        request : Request
        done : callable
            Called once, on the caller's thread and never before `send` has returned, unless the request is cancelled.
        received : callable, optional
            Given the body piece by piece as it arrives; the reply's body is empty then. Pieces of a reply that is
            not a success are kept for the reply instead.
        """
