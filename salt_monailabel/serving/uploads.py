"""Files that MONAI Label made of an upload; it removes them itself only if a request ends well."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = re.compile(r"tmp[a-z0-9_]{8}(\..*)?")


def is_upload(path: object) -> bool:
    """Say whether `path` names a file that `tempfile` made: other programs' files must not be read or removed."""
    if not isinstance(path, str) or Path(path).parent != Path(tempfile.gettempdir()):
        return False
    return _NAME.fullmatch(Path(path).name) is not None


@contextmanager
def discarded_on_error(*paths: object) -> Iterator[None]:
    """Remove uploads if the block ends in an error."""
    try:
        yield
    except BaseException:
        for path in paths:
            if is_upload(path):
                Path(str(path)).unlink(missing_ok=True)
        raise
