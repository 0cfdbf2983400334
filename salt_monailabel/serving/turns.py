"""Turns at the processor or the graphics card: in the order of asking, and clicks before learning."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turns:
    """A lock that is handed on in the order in which it was asked for.

    One request at a time uses the model: two would only slow each other down and double the memory. Python's own locks
    may give it to the thread that has just returned it, over and over, and a run of many frames would keep all others
    waiting.

    Parameters
    ----------
    on_change : callable
        Told, in order, whether somebody has or awaits a turn; who learns in the background then pauses.
    """

    def __init__(self, on_change: Callable[[bool], None] = lambda busy: None) -> None:
        self.on_change = on_change
        self._guard = threading.Lock()
        self._queue: deque[threading.Event] = deque()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for a turn, and hold it for the block. Not to be taken again within it."""
        turn = threading.Event()
        with self._guard:
            self._queue.append(turn)
            if len(self._queue) == 1:
                turn.set()
                self.on_change(True)
        turn.wait()
        try:
            yield
        finally:
            with self._guard:
                self._queue.popleft()
                if self._queue:
                    self._queue[0].set()
                else:
                    self.on_change(False)
