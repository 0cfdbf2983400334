"""A transport on Qt's network, for Slicer: everything happens in the application's event loop."""

from __future__ import annotations

import io
from collections.abc import Callable

import qt

from .transport import Failure, Reply, Request

# What is read of a reply's headers.
HEADERS = ("content-type", "location")
# Bytes that are taken of a reply at a time; to take the whole of a run at once would hold up the window.
PIECE = 1 << 21
# Bytes for which room is made before they arrive; of a reply that claims more, as they do.
EXPECTED = 1 << 30


class QtTransport:
    """Requests through `QNetworkAccessManager`; all callbacks run on the GUI thread, between other events.

    No redirect is followed, so that a token is seen by nobody but the server it is for. Proxies are the application's;
    Qt itself looks for no address of this computer behind one. Of a reply's headers only those in `HEADERS` are kept.
    """

    def __init__(self) -> None:
        self._manager = qt.QNetworkAccessManager()
        # Nobody else need keep a ticket.
        self._under_way: set[_Ticket] = set()

    def send(
        self,
        request: Request,
        done: Callable[[Reply | Failure], None],
        received: Callable[[bytes], None] | None = None,
    ) -> _Ticket:
        """Send a request; see `Transport.send`."""
        reply = _start(self._manager, request)
        ticket = _Ticket(reply, request.timeout, done, received, self._under_way.discard)
        self._under_way.add(ticket)
        return ticket


class _Ticket:
    def __init__(
        self,
        reply: qt.QNetworkReply,
        timeout: float,
        done: Callable[[Reply | Failure], None],
        received: Callable[[bytes], None] | None,
        forget: Callable[[_Ticket], None],
    ) -> None:
        self._reply = reply
        self._done = done
        self._received = received
        self._forget = forget
        self._over = False
        self._body = io.BytesIO()
        # A child of the reply: it goes when that goes, and what is connected to it, too.
        self._silence = qt.QTimer(reply)
        self._silence.setSingleShot(True)
        self._silence.setInterval(round(1000 * timeout))
        self._silence.connect("timeout()", self._give_up)
        reply.setReadBufferSize(PIECE)
        reply.connect("uploadProgress(qint64,qint64)", self._alive)
        reply.connect("metaDataChanged()", self._begun)
        reply.connect("readyRead()", self._arrived)
        reply.connect("finished()", self._finished)
        self._silence.start()

    def cancel(self) -> None:
        """Give the request up; see `Ticket.cancel`."""
        if not self._over:
            self._end()
            self._reply.abort()

    def _alive(self) -> None:
        if not self._over:
            self._silence.start()

    def _begun(self) -> None:
        self._alive()
        length = self._reply.rawHeader("content-length").data()
        if self._received is None and self._body.tell() == 0 and length.isdigit() and int(length) <= EXPECTED:
            # A body that grew would be copied each time it does, which holds up the window the longer the larger it is.
            self._body = io.BytesIO(bytes(int(length)))

    def _arrived(self) -> None:
        self._alive()
        if self._over:
            return
        piece = self._reply.readAll().data()
        if self._received is None or self._status() // 100 != 2:
            self._body.write(piece)
        elif piece:
            self._received(piece)

    def _finished(self) -> None:
        self._arrived()
        if self._over:
            return
        self._end()
        status, error = self._status(), self._reply.error()
        # To Qt, a status of 400 or more is an error too, though the reply is whole.
        if error != qt.QNetworkReply.NoError and status < 400:
            closed = status > 0 or error == qt.QNetworkReply.RemoteHostClosedError
            self._done(Failure("interrupted" if closed else "unreachable", self._reply.errorString()))
            return
        headers = {name: self._reply.rawHeader(name).data().decode("latin-1") for name in HEADERS}
        self._body.truncate()
        self._done(Reply(status, {name: value for name, value in headers.items() if value}, self._body.getvalue()))

    def _give_up(self) -> None:
        if not self._over:
            self._end()
            self._reply.abort()
            self._done(Failure("timeout"))

    def _end(self) -> None:
        self._over = True
        self._silence.stop()
        self._forget(self)
        self._reply.deleteLater()

    def _status(self) -> int:
        """Return the status of the reply; 0 as long as there is none."""
        return self._reply.attribute(qt.QNetworkRequest.HttpStatusCodeAttribute) or 0


def _start(manager: qt.QNetworkAccessManager, request: Request) -> qt.QNetworkReply:
    sent = qt.QNetworkRequest(qt.QUrl(request.url))
    # Qt 6 would follow them.
    sent.setAttribute(qt.QNetworkRequest.RedirectPolicyAttribute, qt.QNetworkRequest.ManualRedirectPolicy)
    for name, value in request.headers.items():
        sent.setRawHeader(name.encode(), value.encode())
    if request.method == "GET":
        return manager.get(sent)
    if request.method == "DELETE":
        return manager.deleteResource(sent)
    send = {"POST": manager.post, "PUT": manager.put}[request.method]
    return send(sent, request.body or b"")
