"""Slicer's windows go on answering while data come and go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import qt
from clocks import HELD, MORE_THAN_ONCE, Clock
from conftest import Carrier
from faulty_server import Faulty, Handler
from SALTVesselsLib.transport import Failure, Reply, Request

pytest_plugins = ("clocks",)

LARGE = bytes(range(256)) * 100_000


def spin(application: Any, condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Run the event loop as an application does, until the condition holds; what was to be deleted, is."""
    watch, end = qt.QTimer(), time.monotonic() + seconds

    def look() -> None:
        if condition() or time.monotonic() > end:
            application.quit()

    watch.connect("timeout()", look)
    watch.start(5)
    application.exec()
    assert condition(), f"nothing came of it within {seconds} s"


@MORE_THAN_ONCE
def test_a_large_reply_that_comes_slowly_never_holds_up_the_window(
    application: Any, qt_carrier: Carrier, faulty: Faulty, clock: Clock
) -> None:
    def slowly(handler: Handler) -> None:
        handler.head(200, len(LARGE), "application/octet-stream")
        for begin in range(0, len(LARGE), len(LARGE) // 20):
            handler.wfile.write(LARGE[begin : begin + len(LARGE) // 20])
            handler.wfile.flush()
            time.sleep(0.05)

    faulty.at("/", slowly)
    heard: list[Reply | Failure] = []
    spin(application, lambda: True)
    with clock.watching("a large reply"):
        qt_carrier.transport.send(Request("GET", f"{faulty.address}/"), heard.append)
        spin(application, lambda: heard)
    assert heard[0].body == LARGE
    assert not clock.waits


@MORE_THAN_ONCE
def test_a_large_upload_is_copied_once_and_goes_by_itself(
    application: Any, qt_carrier: Carrier, faulty: Faulty, clock: Clock
) -> None:
    body = LARGE * 2
    faulty.at("/", lambda handler: handler.reply(200, str(len(handler.seen.body)).encode()))
    request = Request("PUT", f"{faulty.address}/", {"Content-Type": "application/octet-stream"}, body)
    heard: list[Reply | Failure] = []
    spin(application, lambda: True)
    begun = time.thread_time()
    copy = bytearray(body)
    once = time.thread_time() - begun
    assert len(copy) == len(body)
    with clock.watching("a large upload", limit=HELD + 2 * once):
        qt_carrier.transport.send(request, heard.append)
        spin(application, lambda: heard)
    assert heard[0].body == str(len(body)).encode()
    assert not clock.waits


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
