"""Turns at the processor or the graphics card: in the order of asking, and clicks before learning."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")


class Turns:
    """A thread that does one piece of work after the other, in the order in which it was asked to.

    One request at a time uses the model: two would only slow each other down and double the memory. It is always the
    same thread, for OpenMP makes a team of threads for each one that computes; once the teams have more threads than
    there are cores, these no longer wait for each other without going to sleep, and all takes a fifth longer.

    Parameters
    ----------
    on_change : callable
        Told, in order, whether there is work to be done; who learns in the background then pauses.
    """

    def __init__(self, on_change: Callable[[bool], None] = lambda busy: None) -> None:
        self.on_change = on_change
        self._thread = ThreadPoolExecutor(1, "turns")
        self._guard = threading.Lock()
        self._asked = 0

    def run(self, work: Callable[[], Answer]) -> Answer:
        """Wait for a turn, do some work in it, and return its result. Not to be called by work."""
        with self._guard:
            self._asked += 1
            if self._asked == 1:
                self.on_change(True)
            turn = self._thread.submit(work)
        try:
            return turn.result()
        finally:
            with self._guard:
                self._asked -= 1
                if not self._asked:
                    self.on_change(False)
