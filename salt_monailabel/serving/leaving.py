"""What is done as soon as the process is asked to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

_REQUESTS = (signal.SIGINT, signal.SIGTERM)


def when_asked_to_end(work: Callable[[], object]) -> None:
    """Have work begin, in a thread, once Ctrl+C or another process asks this one to end.

    uvicorn tells the app only after the last connection has ended: too late to end what a client listens to. Signals
    come to the main thread alone, so from any other nothing is done; nor where a signal ends the process by itself.
    """
    if threading.current_thread() is threading.main_thread():
        for request in _REQUESTS:
            _precede(request, work)


def _precede(request: signal.Signals, work: Callable[[], object]) -> None:
    usual = signal.getsignal(request)
    if not callable(usual):
        return

    def asked(number: int, frame: FrameType | None) -> None:
        # A lock the interrupted code holds must not be waited for here.
        threading.Thread(target=work, name="leaving", daemon=True).start()
        usual(number, frame)

    signal.signal(request, asked)
