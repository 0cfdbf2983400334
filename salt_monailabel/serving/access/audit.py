"""The audit log: one line of JSON for each thing somebody did. It names images; it holds nothing of what is in them."""

from __future__ import annotations

import json
import logging
import os
import threading
from contextvars import ContextVar
from datetime import datetime, timezone
from pathlib import Path

logger = logging.getLogger(__name__)

# Who is at this computer, and who has not shown who they are; no token may bear these names.
LOCAL, UNKNOWN = "local", "unknown"
current_user: ContextVar[str] = ContextVar("current_user", default=LOCAL)


class AuditLog:
    """The audit log in a file; threads and processes may write to it at the same time.

    Parameters
    ----------
    path : Path
        Made with the first entry, together with its folder; only its owner may read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    def record(self, action: str, image: str | None = None, version: str | None = None, **facts: object) -> None:
        """Add an entry with the time and the current user; one that cannot be written goes to the server's log.

        Parameters
        ----------
        action : str
            What was done, such as "infer".
        image : str, optional
            The id of the image it was done to.
        version : str, optional
            The version of the adapter that did it.
        **facts
            What else is to be known; written as JSON.
        """
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        own: dict[str, object] = {
            "time": now,
            "who": current_user.get(),
            "action": action,
            "image": image,
            "version": version,
        }
        # Own facts come first and last: no other may take the place of the time or the user.
        line = json.dumps(own | facts | own, default=str)
        try:
            with self._lock:
                self._append(line)
        except OSError as error:
            # What was asked for is done all the same.
            logger.warning("the audit log %s cannot be written (%s); its entry: %s", self.path, error, line)

    def _append(self, line: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            # A line that a full disk cut short must not swallow this one.
            start = "" if _ends_a_line(descriptor) else "\n"
            # A single write, so that no entry of another process comes in between.
            content = f"{start}{line}\n".encode()
            if os.write(descriptor, content) < len(content):
                raise OSError("no space left for the whole entry")
        finally:
            os.close(descriptor)


def _ends_a_line(descriptor: int) -> bool:
    if os.fstat(descriptor).st_size == 0:
        return True
    os.lseek(descriptor, -1, os.SEEK_END)
    return os.read(descriptor, 1) == b"\n"
