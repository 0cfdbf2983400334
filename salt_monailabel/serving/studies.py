"""Images lately read: click follows click on the same file."""

from __future__ import annotations

import os
import threading

import numpy as np
from cachetools import LRUCache

from salt_monailabel.imaging import Modality, Study, read_study
from salt_monailabel.imaging.run import RunView

STUDIES_BYTES = 1 << 28


class Studies:
    """Read studies, and keep the latest; a file that was written anew is read anew. Safe for threads.

    Parameters
    ----------
    modality : str, optional
        What all are of; what the file says, or looks like, by default.
    most : int
        Bytes to keep, of frames as they are shown, too. A study whose pixels are more is read each time; one that is
        larger only with its frames as they are shown is kept, and no other beside it.
    """

    def __init__(self, modality: Modality | None = None, most: int = STUDIES_BYTES) -> None:
        self._modality = modality
        self._lock = threading.Lock()
        self._kept: LRUCache[tuple[str, int, int, int, RunView], Study] = LRUCache(
            most, lambda study: min(study.nbytes, most)
        )

    def read(self, path: str, view: RunView | None = None) -> Study:
        """Return the study at a path, its pixels not to be written to.

        Parameters
        ----------
        path : str
        view : RunView, optional
            How a run is looked at; its frames as they are by default.

        Raises
        ------
        ImageError
            As `read_study` and `RunView.seen` do.
        """
        view = view or RunView()
        study = self._seen(path, view.of_all)
        # What was seen of it before may have been asked for in another way.
        view.check(study)
        return study

    def _seen(self, path: str, look: RunView) -> Study:
        try:
            status = os.stat(path)
        except OSError:
            return look.seen(read_study(path, self._modality))
        key = (path, status.st_mtime_ns, status.st_size, status.st_ino, look)
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                return kept
        study = read_study(path, self._modality) if look.plain else look.seen(self._seen(path, RunView()))
        if isinstance(study.pixels, np.ndarray):
            study.pixels.flags.writeable = False
        with self._lock:
            if study.pixels.nbytes <= self._kept.maxsize:
                self._kept[key] = study
        return study
