"""How long the application's thread is held."""

from __future__ import annotations

import gc
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from PySide6.QtCore import Qt, QTimer

# Seconds for which the application may be held.
HELD = 0.050
# What the panel holds up it holds up each time; what another machine on the same processor takes, it does not.
MORE_THAN_ONCE = pytest.mark.flaky(reruns=2)


@dataclass
class Clock:
    """The longest time between two looks of a timer at 5 ms, in seconds, and what was done then."""

    longest: float = 0.0
    during: str = ""
    now: str = ""
    waits: list[str] = field(default_factory=list)


# What a thread would wait for a server with.
WAITS = (
    (time, "sleep"), (socket.socket, "connect"), (socket.socket, "recv"), (socket.socket, "recv_into"),
    (socket.socket, "send"), (socket.socket, "sendall"), (threading.Thread, "join"), (subprocess.Popen, "wait"),
)  # fmt: skip


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """Watch how long the application's thread is held.

    Its own time counts: what others take of a busy computer says nothing of the panel. So it must not wait at all.
    """
    # Garbage is looked for in all that other tests left behind; that takes longer than anything the panel does.
    gc.collect()
    gc.disable()
    seen, last = Clock(), [time.thread_time()]

    def look() -> None:
        now = time.thread_time()
        if now - last[0] > seen.longest:
            seen.longest, seen.during = now - last[0], seen.now
        last[0] = now

    def watched(owner: Any, name: str) -> Callable[..., Any]:
        original = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                seen.waits.append(f"{name} during '{seen.now}'")
            return original(*arguments, **options)

        return call

    for owner, name in WAITS:
        monkeypatch.setattr(owner, name, watched(owner, name))
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(look)
    timer.start(5)
    yield seen
    gc.enable()
    timer.stop()
