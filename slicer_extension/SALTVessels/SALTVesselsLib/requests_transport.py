"""A transport on `requests`, for scripts and tests that have no Qt."""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Callable
from functools import partial

import requests
from urllib3.exceptions import ProtocolError, ReadTimeoutError

from .addresses import is_loopback
from .transport import Failure, Fault, Reply, Request

PIECE = 1 << 16
# How long `wait` sleeps at most before it looks at the clock again.
_NAP = 0.05


class RequestsTransport:
    """Each request has a thread of its own; what comes of it is heard where the caller says.

    Nothing is called by itself: callbacks run inside `pump` or `wait`, on the thread that calls these, which is to be
    the one that sends.

        transport = RequestsTransport()
        Client(transport, address).info(print, print)
        transport.wait(10)

    No redirect is followed, so that a token is seen by nobody but the server it is for. A request that is cancelled is
    never heard of again; its thread ends with the next byte, or the request's time-out. Addresses of this computer are
    not looked for behind a proxy.
    """

    def __init__(self) -> None:
        self._heard: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._under_way: set[_Ticket] = set()

    def send(
        self,
        request: Request,
        done: Callable[[Reply | Failure], None],
        received: Callable[[bytes], None] | None = None,
    ) -> _Ticket:
        """Send a request; see `Transport.send`."""
        ticket = _Ticket(self._under_way)
        say = partial(self._say, ticket)

        def end(result: Reply | Failure) -> None:
            ticket.cancel()
            done(result)

        def work() -> None:
            result = _carry(request, ticket, None if received is None else partial(say, received))
            say(end, result)

        threading.Thread(target=work, name="request", daemon=True).start()
        return ticket

    def pump(self) -> None:
        """Call back what has arrived by now."""
        while True:
            try:
                call = self._heard.get_nowait()
            except queue.Empty:
                return
            call()

    def wait(self, seconds: float) -> bool:
        """Call back whatever arrives until nothing is under way; returns False if that takes longer than `seconds`."""
        end = time.monotonic() + seconds
        while self._under_way and time.monotonic() < end:
            try:
                self._heard.get(timeout=_NAP)()
            except queue.Empty:
                continue
        return not self._under_way

    def _say(self, ticket: _Ticket, callback: Callable[..., None], what: object) -> None:
        self._heard.put(lambda: None if ticket.over else callback(what))


class _Ticket:
    def __init__(self, under_way: set[_Ticket]) -> None:
        self.over = False
        self._under_way = under_way
        under_way.add(self)

    def cancel(self) -> None:
        self.over = True
        self._under_way.discard(self)


def _carry(request: Request, ticket: _Ticket, received: Callable[[bytes], None] | None) -> Reply | Failure:
    answered = False
    try:
        with requests.Session() as session:
            session.trust_env = not is_loopback(request.url)
            with session.request(
                request.method,
                request.url,
                headers={name: value.encode() for name, value in request.headers.items()},
                # As a file it goes out in pieces, and each may take as long as the time-out says.
                data=None if request.body is None else io.BytesIO(request.body),
                timeout=request.timeout,
                allow_redirects=False,
                stream=True,
                # Without it, a .netrc file would replace the token.
                auth=lambda prepared: prepared,
            ) as reply:
                answered = True
                headers = {name.lower(): value for name, value in reply.headers.items()}
                body = _body(reply, ticket, received if 200 <= reply.status_code < 300 else None)
                return Reply(reply.status_code, headers, body)
    except (requests.RequestException, ValueError) as error:
        # ValueError: what `requests` says of some addresses that are none.
        return Failure(_fault(error, answered), str(error))


def _body(reply: requests.Response, ticket: _Ticket, received: Callable[[bytes], None] | None) -> bytes:
    if received is None:
        return b"".join(reply.iter_content(PIECE))
    # A piece of the stream is told as it arrives, and not when there are enough of them.
    for piece in reply.iter_content(None):
        if ticket.over:
            break
        received(piece)
    return b""


def _fault(error: Exception, answered: bool) -> Fault:
    cause = error.args[0] if error.args else None
    if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
        return "timeout"
    return "interrupted" if answered or isinstance(cause, ProtocolError) else "unreachable"
