"""Errors as the client sees them: a status that fits and a message that says what to do."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import HTTPException

from salt_monailabel.adapters import AdapterError
from salt_monailabel.imaging import ImageError
from salt_monailabel.measure import ProfileError
from salt_monailabel.models import UnknownLabelError, WeightsError
from salt_monailabel.training import TrainingError

logger = logging.getLogger(__name__)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = "may not be used by the server; give the user it runs as the right to read and write there"
# Why a disk does not do what it is asked to, other than for want of room, and what to do about it.
_BARRED = {
    errno.EROFS: "is read-only; make it writable",
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EIO: "cannot be read or written; check its disk or network drive",
}
# From the root to the last folder of a path, whose names may have spaces, or to that of a version, which is a number;
# not what follows an address's `//`.
_FOLDERS = re.compile(r"(?<![\w/:.])(?:[A-Za-z]:)?[/\\](?:(?!\d{4}[/\\])[^/\\:;,'\"()\n]+[/\\])*")


def explanation(error: BaseException) -> HTTPException | None:
    """Return one of the library's errors as an HTTP error with its message as `detail`; None for any other.

    400 for bad input, 503 for weights or an adapter that cannot be loaded, for files that cannot be read or written and
    where memory does not suffice, 507 for a full disk, 500 for training that failed. Where the server keeps its files
    is for whoever runs it, who alone can do something about them: it is logged, not told.
    """
    match error:
        case ImageError() | ProfileError() | UnknownLabelError():
            return HTTPException(400, str(error))
        case WeightsError() | AdapterError():
            logger.error("a model could not be loaded: %s", error)
            return HTTPException(503, without_folders(str(error)))
        case MemoryError():
            return HTTPException(503, str(error))
        case TrainingError():
            return HTTPException(500, str(error))
        case OSError() if error.errno in _FULL or "disk full" in str(error):
            logger.error("there is no room for a file: %s", error)
            return HTTPException(507, "the server's disk is full; free some space, nothing was lost")
        case OSError() if error.errno in _BARRED:
            logger.error("a file could not be used: %s", error)
            return HTTPException(503, f"{_place(error)} {_BARRED[error.errno]}, then try again")
        case _:
            return None


@contextmanager
def explained() -> Iterator[None]:
    """Turn errors into HTTP errors, as `explanation` does; others stay as they are."""
    try:
        yield
    except Exception as error:
        told = explanation(error)
        if told is None:
            raise
        raise told from error


def without_folders(message: str) -> str:
    """Return a message with the names alone, and the versions, of the files it gives by their whole paths."""
    return _FOLDERS.sub("", message)


def _place(error: OSError) -> str:
    """Name the folder that an error is about; the file may be one that is to take another's place, of an odd name."""
    if not isinstance(error.filename, str):
        return "the server's disk"
    return f"the server's folder '{Path(error.filename).parent.name}'"
