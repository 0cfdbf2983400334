"""How long the application's thread is held."""

from __future__ import annotations

import gc
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    """Tells for how long at once the application's thread worked, between two looks of a timer at 5 ms.

    Attributes
    ----------
    waits : list of str
        What it waited for, which it never should.
    """

    waits: list[str] = field(default_factory=list)
    _longest: float = 0.0
    _last: float = 0.0

    @contextmanager
    def watching(self, name: str, limit: float = HELD) -> Iterator[None]:
        """Fail if anything done here holds up the application for longer than so many seconds."""
        self._last, self._longest = time.thread_time(), 0.0
        yield
        self.look()
        assert self._longest < limit, f"{1000 * self._longest:.0f} ms during '{name}'"

    def look(self) -> None:
        """Count what has passed since the last look."""
        now = time.thread_time()
        self._longest, self._last = max(self._longest, now - self._last), now


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
    seen = Clock()

    def watched(owner: Any, name: str) -> Callable[..., Any]:
        original = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                seen.waits.append(name)
            return original(*arguments, **options)

        return call

    for owner, name in WAITS:
        monkeypatch.setattr(owner, name, watched(owner, name))
    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.timeout.connect(seen.look)
    timer.start(5)
    yield seen
    gc.enable()
    timer.stop()
