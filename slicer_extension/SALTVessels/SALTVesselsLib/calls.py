"""One request to a server, its answer read, or what went wrong in words for a radiologist."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from . import multipart
from .addresses import tidied
from .answers import Nonsense, Problem
from .steps import Later, in_pieces
from .transport import Failure, Reply, Request, Ticket, Transport

logger = logging.getLogger(__name__)

# Seconds without a byte. The server answers some at once, others after work with the model on an image, or on a run.
INFO, CLICK, TRANSFER, WHOLE = 5.0, 30.0, 60.0, 600.0
# A dense picture of 8 megapixels took a busy server of two cores 71 seconds, its first measurement 8 seconds more.
MEASURE, MEASURE_MEGAPIXEL = 60.0, 30.0
# The stream of a training says something every 15 seconds.
STREAM = 60.0
# What reading an answer raises that is none.
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
# Of what a server says.
LONGEST_DETAIL = 500

T = TypeVar("T")
Failed = Callable[[Problem], None]


@dataclass(frozen=True)
class Call:
    """What is asked of a server; `path` is quoted already.

    Attributes
    ----------
    query : mapping
    form : mapping of name to str or (file name, content), optional
    told : mapping, optional
        The body as JSON.
    """

    method: str
    path: str
    timeout: float
    query: Mapping[str, str] | None = None
    form: Mapping[str, str | multipart.File] | None = None
    told: Mapping[str, Any] | None = None


class _Asked:
    """A request whose answer may still be read when the reply is here."""

    ticket: Ticket
    cancelled = False

    def cancel(self) -> None:
        """Give it up; see `Ticket.cancel`."""
        self.cancelled = True
        self.ticket.cancel()


class Caller:
    """Sends requests to one server.

    Parameters
    ----------
    transport : Transport
    address : str
        As somebody typed it; it is tidied.
    token : str
    later : callable
        Long answers are read in pieces, each called by this; by default at once.
    """

    def __init__(
        self, transport: Transport, address: str, token: str = "", later: Later = lambda seconds, do: do()
    ) -> None:
        self.transport = transport
        self._later = later
        self.address = tidied(address)
        self._token = token.strip()

    def ask(
        self,
        call: Call,
        read: Callable[[Reply], T | Generator[None, None, T]],
        done: Callable[[T], None],
        failed: Failed,
        also: Collection[int] = (),
    ) -> Ticket:
        """Send a request; `read` makes an answer of the reply to a success, or of one with a status in `also`.

        It may do so in steps.
        """
        asked = _Asked()

        def hear(reply: Reply | Failure) -> None:
            if not isinstance(reply, Reply) or not (is_success(reply) or reply.status in also):
                failed(self.problem(reply, call.timeout))
                return
            try:
                answer = read(reply)
            except UNREADABLE as error:
                failed(self.nonsense(error))
            else:
                if isinstance(answer, Generator):
                    in_pieces(_guarded(answer), self._later, heard, lambda: not asked.cancelled)
                else:
                    done(answer)

        def heard(answer: T | Exception) -> None:
            if isinstance(answer, Exception):
                failed(self.nonsense(answer))
            else:
                done(answer)

        asked.ticket = self.transport.send(self.request(call), hear)
        return asked

    def request(self, call: Call) -> Request:
        """Return what is sent."""
        headers, body = {}, None
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if call.form is not None:
            body, headers["Content-Type"] = multipart.encode(call.form)
        elif call.told is not None:
            body, headers["Content-Type"] = json.dumps(call.told).encode(), "application/json"
        query = f"?{urlencode(call.query, quote_via=quote)}" if call.query else ""
        return Request(call.method, f"{self.address}{call.path}{query}", headers, body, call.timeout)

    def problem(self, reply: Reply | Failure, timeout: float) -> Problem:
        """Return why a reply is no answer."""
        if isinstance(reply, Failure):
            logger.info("%s: %s (%s)", self.address, reply.fault, reply.detail)
            return Problem(reply.fault, _FAULTS[reply.fault].format(address=self.address, seconds=f"{timeout:g}"))
        detail = _detail(reply)
        if reply.status == 401:
            return Problem(
                "token",
                f"{self.address} lets in only those with a valid token; enter yours. {_sentence(detail)}".strip(),
            )
        if 400 <= reply.status < 500:
            why = _sentence(detail) or f"It gave no reason (HTTP {reply.status})."
            return Problem("refused", f"{self.address} will not do this. {why}")
        if reply.status >= 500:
            why = _sentence(detail) or f"It gave no reason (HTTP {reply.status})."
            return Problem(
                "server", f"{self.address} failed. {why} Try again; if it stays so, tell whoever runs the server."
            )
        return self.nonsense(Nonsense(f"it sends this request on to {reply.headers.get('location', 'nowhere')}"))

    def nonsense(self, error: Exception) -> Problem:
        """Return that an answer cannot be used."""
        logger.info("an answer of %s cannot be used", self.address, exc_info=error)
        why = f": {error}" if isinstance(error, Nonsense) else ""
        return Problem(
            "nonsense",
            f"The answer of {self.address} cannot be used{why}. Check that this is the address of a SALT server, and "
            "that the server and this module are of the same version.",
        )


def _guarded(steps: Generator[None, None, T]) -> Generator[None, None, T | Exception]:
    """Return what comes of the steps, or why nothing does."""
    try:
        return (yield from steps)
    except UNREADABLE as error:
        return error


_FAULTS = {
    "unreachable": "{address} cannot be reached. Check the address, and that the server is running.",
    "timeout": "{address} has been silent for {seconds} seconds. It may be busy; try again in a moment.",
    "interrupted": "The connection to {address} broke before the whole answer was here. Try again.",
}


def quoted(name: str) -> str:
    """Return a name as it stands in a path."""
    return quote(name, safe="")


def told(reply: Reply) -> dict[str, Any]:
    """Return the JSON object of a reply; raises ValueError if there is none."""
    answer = json.loads(reply.body)
    if not isinstance(answer, dict):
        raise ValueError("the answer is no JSON object")
    return answer


def is_success(reply: Reply) -> bool:
    """Say whether a reply is what was asked for."""
    return 200 <= reply.status < 300


def _detail(reply: Reply) -> str:
    """Return what the server says is wrong; nothing for a page or what else is not its own word."""
    try:
        detail = told(reply)["detail"]
    except (ValueError, KeyError):
        return ""
    # What FastAPI finds wrong with a request's form is a list.
    wrong = detail if isinstance(detail, list) else [detail]
    words = [part.get("msg") if isinstance(part, dict) else part for part in wrong]
    return "; ".join(word for word in words if isinstance(word, str))[:LONGEST_DETAIL]


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[0].upper()}{text[1:]}{'' if text[-1] in '.!?' else '.'}" if text else ""
