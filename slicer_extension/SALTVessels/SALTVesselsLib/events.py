"""Server-sent events, read as they arrive."""

from __future__ import annotations

import json
from typing import Any


class EventStream:
    """Puts pieces of a stream together."""

    def __init__(self) -> None:
        self._begun = b""

    def feed(self, piece: bytes) -> list[dict[str, Any]]:
        """Return the data of the events that are complete now; raises ValueError for what is no JSON object."""
        *lines, self._begun = (self._begun + piece).split(b"\n")
        events = [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]
        if not all(isinstance(event, dict) for event in events):
            raise ValueError("an event is no JSON object")
        return events
