"""What was fetched of an archive does not fill the disk: what was not used for longest goes first."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Container
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

# Bytes of the images that are kept of one archive.
MOST = 20_000_000_000
# Seconds for which an image that was asked for is in use: whoever did may not have opened its file yet.
IN_USE = 600.0


def used(path: str) -> bool:
    """Note that a file is used now, by the time of access; returns whether it is there."""
    with suppress(OSError):
        # The time of writing stays: studies that were read are known by it.
        os.utime(path, ns=(time.time_ns(), os.stat(path).st_mtime_ns))
    return os.path.isfile(path)


def make_room(folder: Path, spared: Container[str]) -> None:
    """Remove DICOM files of a folder until they have no more than `MOST` bytes, those first that were not used longest.

    Parameters
    ----------
    folder : Path
    spared : container of str
        Names, without the extension, of those that stay, as those do that are in use, however much they are.
    """
    files = {path: path.stat() for path in folder.glob("*.dcm")}
    excess = sum(status.st_size for status in files.values()) - MOST
    for path, status in sorted(files.items(), key=lambda file: file[1].st_atime_ns):
        if excess <= 0 or time.time() - status.st_atime < IN_USE:
            return
        if path.stem not in spared:
            path.unlink(missing_ok=True)
            excess -= status.st_size
            logger.info("%s was removed to make room; it is fetched again when it is used", path.name)
