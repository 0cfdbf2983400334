"""Reading the audit log."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any


def entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries, oldest first; a line that was cut short is left out."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else ():
        with suppress(ValueError):
            found.append(json.loads(line))
    return found
