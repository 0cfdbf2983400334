"""How unsure the model is of each image, found out in the background, one image at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from salt_monailabel.inference.uncertainty import Uncertainty

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """What is known of an image.

    Attributes
    ----------
    uncertainty : Uncertainty
    descriptor : ndarray of float32, (D,)
    version : str
        Of the adapter they were computed with.
    """

    uncertainty: Uncertainty
    descriptor: np.ndarray
    version: str


# From an image's id to what is known of it.
Score = Callable[[str], tuple[Uncertainty, np.ndarray, str]]
# The ids of the images worth scoring, and the version in use.
Wanted = Callable[[], tuple[Sequence[str], str]]


class ScoreBoard:
    """Scores images in a daemon thread, from `wake` until every wanted image has been tried with the version in use.

    Images that were never tried come first, then those tried longest ago. What is wanted is asked for before each
    image, so that a version that comes into use counts at once. An image that fails is logged and left until there is
    another version. Entries of images that are no longer wanted stay: labelled images tell what is known already.

    Parameters
    ----------
    score : callable
        Called in the thread, for one image.
    wanted : callable
        Called in the thread, too.
    pause : float
        Seconds between two images, for the clicks that wait.
    """

    def __init__(self, score: Score, wanted: Wanted, pause: float = 0.2) -> None:
        self._score = score
        self._wanted = wanted
        self._pause = pause
        self._entries: dict[str, Entry] = {}
        # The version in use when an image was last tried; the image tried longest ago first.
        self._tried: dict[str, str] = {}
        self._lock = threading.Lock()
        self._awake, self._stopped = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """See whether there is anything to score; returns at once."""
        with self._lock:
            self._awake.set()
            # MONAI Label trains in a process that builds the whole app again, and needs no thread.
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="scores", daemon=True)
                self._thread.start()

    @property
    def asked(self) -> bool:
        """Say whether anybody ever wanted to know."""
        return self._thread is not None

    def stop(self) -> None:
        """End for good, within a second; an image that takes longer is left behind."""
        self._stopped.set()
        self._awake.set()
        if self._thread is not None:
            self._thread.join(timeout=0.5)

    def snapshot(self) -> dict[str, Entry]:
        """Return what is known by now."""
        with self._lock:
            return dict(self._entries)

    def _run(self) -> None:
        while self._awake.wait() and not self._stopped.is_set():
            self._awake.clear()
            while not self._stopped.is_set() and self._advance():
                self._stopped.wait(self._pause)

    def _advance(self) -> bool:
        """Try one image; returns whether there may be another."""
        try:
            images, version = self._wanted()
        except Exception:
            logger.warning("what to score could not be found out", exc_info=True)
            return False
        stale = [image for image in images if self._tried.get(image) != version]
        if not stale:
            return False
        turns = {image: turn for turn, image in enumerate(self._tried)}
        image = min(stale, key=lambda image: turns.get(image, -1))
        self._tried.pop(image, None)
        self._tried[image] = version
        try:
            entry = Entry(*self._score(image))
        except Exception:
            logger.warning("the image '%s' is not scored with version %s", image, version, exc_info=True)
            return True
        with self._lock:
            self._entries[image] = entry
        return True
