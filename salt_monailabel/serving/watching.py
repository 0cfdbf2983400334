"""Noticing what others change in a folder while it is served."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import PurePath

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserverVFS

from .folders import ADAPTERS

logger = logging.getLogger(__name__)

# Seconds: many files come at once, and one look finds them all; a network folder is slow to look through.
GATHERED, POLLED = 1.0, 5.0
_CHANGES = frozenset({"created", "deleted", "moved", "modified", "closed"})


class FolderWatch(FileSystemEventHandler):
    """Call back, from a thread of its own, soon after anything changed in a folder or the folders in it.

    Changes of what is hidden, and of adapters, are none.

    Parameters
    ----------
    folder : str
    changed : callable
        Called once for all changes of a second, and once at the start, for what changed before the watch began.
    polling : bool
        Whether the folder is looked through every few seconds: other computers' changes are not announced.
    """

    def __init__(self, folder: str, changed: Callable[[], object], polling: bool) -> None:
        self._folder = folder
        self._changed = changed
        self._stirred = threading.Event()
        self._stirred.set()
        try:
            self._start(_poller() if polling else Observer())
        except OSError as error:
            logger.warning("changes in %s are not announced (%s); it is looked through instead", folder, error)
            self._start(_poller())
        threading.Thread(target=self._follow, name="folder-watch", daemon=True).start()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Note a change; the lock beside the store changes the folder's own time whenever it is taken."""
        if event.event_type in _CHANGES and not (event.is_directory and event.event_type == "modified"):
            places = (os.fsdecode(path) for path in (event.src_path, event.dest_path) if path)
            if any(self._matters(place) for place in places):
                self._stirred.set()

    def _matters(self, place: str) -> bool:
        parts = PurePath(os.path.relpath(place, self._folder)).parts
        return ADAPTERS not in parts and not any(part.startswith(".") for part in parts)

    def _start(self, observer: BaseObserver) -> None:
        observer.schedule(self, self._folder, recursive=True)
        observer.start()

    def _follow(self) -> None:
        while self._stirred.wait():
            time.sleep(GATHERED)
            self._stirred.clear()
            try:
                self._changed()
            except Exception:
                logger.exception("could not look for what changed in %s", self._folder)


def _poller() -> BaseObserver:
    # What links lead to is not watched: they may lead in circles.
    return PollingObserverVFS(os.lstat, os.scandir, polling_interval=POLLED)
