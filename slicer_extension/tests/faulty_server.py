"""Servers that misbehave, and what lies between a server and its client."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import requests


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; names of headers are in small letters."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: _Server
    seen: Seen

    def do_GET(self) -> None:
        body = self._body(int(self.headers.get("Content-Length", 0)))
        self.seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        try:
            self.server.answer(self)
        except OSError:
            # The client has gone.
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_GET

    def _body(self, length: int) -> bytes:
        pieces = []
        while length:
            pieces.append(self.rfile.read(min(length, self.server.piece)))
            length -= len(pieces[-1])
            time.sleep(self.server.pause)
        return b"".join(pieces)

    def head(self, status: int, length: int, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def reply(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.head(status, len(body), kind, **headers)
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Act = Callable[[Handler], None]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # How much of a request is read at once, and how many seconds pass before it reads on.
    piece, pause = 1 << 20, 0.0
    answer: Act


@dataclass
class Faulty:
    """A server that does with a request what its path was told."""

    _server: _Server
    acts: dict[str, Act] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    @property
    def address(self) -> str:
        return _address(self._server)

    def read_slowly(self, piece: int, pause: float) -> None:
        """Read so many bytes of a request at once, and wait so many seconds before reading on."""
        self._server.piece, self._server.pause = piece, pause
        # Left to itself the system takes in up to 32 MB, and the client has long been waiting when that is read.
        self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, piece)

    def at(self, path: str, act: Act) -> None:
        """Do this for requests to a path, whatever their query."""
        self.acts[path] = act


@contextmanager
def faulty_server() -> Iterator[Faulty]:
    """Run a server that answers 404 until it is told otherwise."""

    def answer(handler: Handler) -> None:
        faulty.seen.append(handler.seen)
        act = faulty.acts.get(urlsplit(handler.path).path, json_of(404, {"detail": "Not Found"}))
        act(handler)

    with _listening(answer) as server:
        faulty = Faulty(server)
        yield faulty


@contextmanager
def slowed(address: str, delay: float) -> Iterator[str]:
    """Hand requests on to a server, and each of its replies back so many seconds late."""

    def answer(handler: Handler) -> None:
        seen = handler.seen
        with requests.Session() as session:
            # The server is on this computer, and behind no proxy of its environment.
            session.trust_env = False
            url, headers = f"{address}{seen.path}", _handed_on(seen.headers)
            reply = session.request(seen.method, url, headers=headers, data=seen.body, timeout=600)
        time.sleep(delay)
        handler.reply(reply.status_code, reply.content, reply.headers["content-type"])

    with _listening(answer) as server:
        yield _address(server)


def _handed_on(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name in ("content-type", "authorization")}


@contextmanager
def _listening(answer: Act) -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), Handler)
    server.answer = answer
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _address(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def json_of(status: int, told: object) -> Act:
    """Answer with JSON."""
    return lambda handler: handler.reply(status, json.dumps(told).encode())


def body_of(status: int, body: bytes, kind: str, **headers: str) -> Act:
    """Answer with anything."""
    return lambda handler: handler.reply(status, body, kind, **headers)


def hang(handler: Handler) -> None:
    """Say nothing, until the client goes."""
    handler.connection.settimeout(60)
    handler.connection.recv(1)
    handler.close_connection = True


def cut(handler: Handler) -> None:
    """End the connection in the middle of the body."""
    handler.head(200, 1000)
    handler.wfile.write(b'{"name": ')
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def trickle(body: bytes, seconds: float, kind: str = "application/json") -> Act:
    """Send a body, byte by byte."""

    def act(handler: Handler) -> None:
        handler.head(200, len(body), kind)
        for number in range(len(body)):
            time.sleep(seconds)
            handler.wfile.write(body[number : number + 1])
            handler.wfile.flush()

    return act


error_page = body_of(500, b"<html><body><h1>Internal Server Error</h1></body></html>", "text/html")
no_json = body_of(200, b'{"name": "SALT', "application/json")
unauthorized = json_of(401, {"detail": "the token is wrong, revoked or expired; ask whoever runs the server"})
