"""Slicer's windows go on answering while data come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import qt
from conftest import Carrier
from faulty_server import Faulty, Handler
from SALTVesselsLib.transport import Failure, Reply, Request

LARGE = bytes(range(256)) * 100_000


class Pulse:
    """Measures how long an event loop was not there for others, in milliseconds, by a timer of 5 ms."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = time.perf_counter()
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._beat)
        self._timer.start(5)

    def _beat(self) -> None:
        now = time.perf_counter()
        self.longest = max(self.longest, 1000 * (now - self._last))
        self._last = now


def spin(application: Any, condition: Callable[[], object], seconds: float = 30.0) -> Pulse:
    """Run the event loop as an application does, until the condition holds."""
    pulse, watch, end = Pulse(), qt.QTimer(), time.monotonic() + seconds

    def look() -> None:
        if condition() or time.monotonic() > end:
            application.quit()

    watch.connect("timeout()", look)
    watch.start(5)
    application.exec()
    assert condition(), f"nothing came of it within {seconds} s"
    return pulse


def longest_wait(application: Any, send: Callable[[list[Reply | Failure]], object], expected: bytes) -> float:
    """Return the least of three attempts: whatever else this computer does is not the transport's."""
    waits = []
    for _ in range(3):
        heard: list[Reply | Failure] = []
        started = time.perf_counter()
        send(heard)
        begun = 1000 * (time.perf_counter() - started)
        waits.append(max(begun, spin(application, lambda heard=heard: heard).longest))
        assert heard[0].body == expected
    return min(waits)


def test_a_large_reply_that_comes_slowly_never_holds_up_the_window(
    application: Any, qt_carrier: Carrier, faulty: Faulty
) -> None:
    def slowly(handler: Handler) -> None:
        handler.head(200, len(LARGE), "application/octet-stream")
        for begin in range(0, len(LARGE), len(LARGE) // 20):
            handler.wfile.write(LARGE[begin : begin + len(LARGE) // 20])
            handler.wfile.flush()
            time.sleep(0.05)

    faulty.at("/", slowly)
    request = Request("GET", f"{faulty.address}/")
    assert longest_wait(application, lambda heard: qt_carrier.transport.send(request, heard.append), LARGE) < 50


def test_a_large_upload_is_copied_once_and_goes_by_itself(
    application: Any, qt_carrier: Carrier, faulty: Faulty
) -> None:
    body = LARGE * 2
    faulty.at("/", lambda handler: handler.reply(200, str(len(handler.seen.body)).encode()))
    request = Request("PUT", f"{faulty.address}/", {"Content-Type": "application/octet-stream"}, body)
    expected = str(len(body)).encode()
    assert longest_wait(application, lambda heard: qt_carrier.transport.send(request, heard.append), expected) < 200


def test_replies_leave_nothing_behind(application: Any, qt_carrier: Carrier, faulty: Faulty) -> None:
    from PySide6.QtCore import QObject

    transport = qt_carrier.transport
    heard: list[object] = []
    for _ in range(5):
        transport.send(Request("GET", f"{faulty.address}/"), heard.append)
    transport.send(Request("GET", f"{faulty.address}/"), heard.append).cancel()
    spin(application, lambda: len(heard) == 5)
    manager = object.__getattribute__(transport._manager, "_object")
    spin(application, lambda: not [c for c in manager.findChildren(QObject) if "Reply" in c.metaObject().className()])
    assert transport._under_way == set()
