"""Files that appear whole: a reader finds what was there before or all of what came after, whatever is killed."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# What a killed process leaves begins with this; who lists a folder passes over it.
PARTIAL = ".partial-"


@contextmanager
def written_whole(path: Path, mode: int = 0o666, durable: bool = True) -> Iterator[Path]:
    """Give a file beside `path` to write to; it takes its place once the block ends well, and vanishes if it does not.

    Its name is no other writer's, and ends as that of `path`: some writers choose the format by the extension.

    Parameters
    ----------
    path : Path
        In a folder that is there.
    mode : int
        The permissions, from the moment the file exists; less what the umask takes, as of any new file.
    durable : bool
        Whether to wait until the disk has it: else a power cut may leave an empty file, or the one before.

    Raises
    ------
    OSError
        If there is no room or no permission; what was at `path` is still there.
    """
    # The end of the name leaves room for the rest of it. ITK takes no extension in capitals for NIfTI.
    partial = path.with_name(f"{PARTIAL}{secrets.token_hex(8)}-{path.name[-50:].lower()}")
    descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode)
    try:
        allowed = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.close(descriptor)
        yield partial
        # safetensors puts a private file in the place of the one it is to write to.
        os.chmod(partial, allowed)
        if durable:
            # Windows flushes only what is open for writing.
            with open(partial, "r+b") as file:
                os.fsync(file.fileno())
        os.replace(partial, path)
        if durable:
            _keep_names(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def _keep_names(folder: Path) -> None:
    """Wait until the disk has the names in a folder; Windows does not open folders, and some network drives refuse."""
    if os.name != "posix":
        return
    # The file has its place already: there is nothing to undo.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
