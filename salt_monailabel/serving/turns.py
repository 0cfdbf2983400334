"""Turns at the processor or the graphics card: in the order of asking, and clicks before learning."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Answer = TypeVar("Answer")
# Seconds after a user's last turn in which the next click is likely, and what nobody waits for stands back.
QUIET = 2.0
# Seconds after which it is done all the same; users who never rest would put it off for ever.
PUT_OFF = 30.0


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
        self._last = -math.inf

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
                self._last = time.monotonic()
                if not self._asked:
                    self.on_change(False)

    def aside(self, work: Callable[[], Answer]) -> Answer:
        """Do what nobody waits for in a turn of its own, once users rest; a piece of it should take no longer than one.

        Whoever learns in the background does not pause for it.
        """
        latest = time.monotonic() + PUT_OFF
        while (now := time.monotonic()) < latest and (self._asked or now < self._last + QUIET):
            time.sleep(0.05)
        return self._thread.submit(work).result()
