"""Work that goes on in the background, and is tried again later where it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from fastapi import HTTPException

logger = logging.getLogger(__name__)

# Seconds after a first failure, then twice as long each time; and the most.
FIRST, LONGEST = 5.0, 60.0


class Background:
    """Does a job in a daemon thread again and again: after the seconds that it returns, or once it is woken.

    Parameters
    ----------
    name : str
        Of the thread, and in the log.
    job : callable
        Returns the seconds until it is to be done again.

    Attributes
    ----------
    trouble : str
        Why it failed, the last time it was tried; empty if it did not.
    """

    def __init__(self, name: str, job: Callable[[], float]) -> None:
        self.trouble = ""
        self._job = job
        self._woken, self._tried, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Do it for the first time."""
        self._thread.start()

    def wake(self) -> None:
        """Do it now, or once more if it is under way."""
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait until it was tried once; returns whether it was."""
        return self._tried.wait(seconds)

    def stop(self) -> None:
        """Do it no more; what is under way is waited for no longer than a second."""
        self._stopped.set()
        self._woken.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        pause = FIRST
        while not self._stopped.is_set():
            self._woken.clear()
            try:
                seconds, trouble = self._job(), ""
                pause = FIRST
            except Exception as error:
                seconds, trouble = pause, reason_of(error)
                pause = min(2 * pause, LONGEST)
                if trouble != self.trouble:
                    # Once for each trouble, however often it is tried.
                    logger.warning("%s: %s", self._thread.name, trouble, exc_info=not isinstance(error, HTTPException))
            if self.trouble and not trouble:
                logger.info("%s: goes on", self._thread.name)
            self.trouble = trouble
            self._tried.set()
            self._woken.wait(seconds)


def reason_of(error: Exception) -> str:
    """Return what an error says to its user."""
    return str(error.detail) if isinstance(error, HTTPException) else str(error)
