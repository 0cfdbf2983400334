"""Refused requests in the audit log, in so few lines that no stranger can fill the disk with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Scope

from .audit import AuditLog, current_user

# Seconds between two lines of the same kind.
PAUSE = 60.0
# Kinds that are told apart at a time, and what stands for the addresses of all beyond them.
MOST, OTHERS = 100, "others"
LONGEST_PATH = 200


@dataclass
class _Tally:
    """Refusals since a line was written, and what the last of them asked for."""

    written: float
    count: int = 0
    last: dict[str, str] = field(default_factory=dict)


class Refusals:
    """Writes refusals to the audit log: for each address, user and status at most one line a minute.

    The first is written at once, with `count` 1; another line says how many came after it, and what the last of them
    asked for. It is for one thread: the event loop's.

    Parameters
    ----------
    audit : AuditLog
    clock : callable
        Returns seconds.
    """

    def __init__(self, audit: AuditLog, clock: Callable[[], float] = time.monotonic) -> None:
        self._audit = audit
        self._clock = clock
        self._tallies: dict[tuple[str, str, int], _Tally] = {}

    def add(self, scope: Scope, status: int) -> None:
        """Count a refusal of the current user's request."""
        self.settle()
        address, _ = scope.get("client") or ("", None)
        who = current_user.get()
        kind = address, who, status
        if kind not in self._tallies and len(self._tallies) >= MOST:
            kind = OTHERS, who, status
        known = kind in self._tallies
        tally = self._tallies.setdefault(kind, _Tally(self._clock()))
        tally.count += 1
        tally.last = {"method": scope["method"], "path": scope["path"][:LONGEST_PATH]}
        if not known:
            self._write(kind, tally)

    def settle(self, pause: float = PAUSE) -> None:
        """Write what was counted since the last line of its kind, where that was written so many seconds ago."""
        now = self._clock()
        for kind, tally in [*self._tallies.items()]:
            if tally.written + pause > now:
                continue
            if tally.count:
                self._write(kind, tally)
            else:
                del self._tallies[kind]

    def _write(self, kind: tuple[str, str, int], tally: _Tally) -> None:
        address, who, status = kind
        reset = current_user.set(who)
        self._audit.record("refused", address=address, status=status, count=tally.count, **tally.last)
        current_user.reset(reset)
        tally.written, tally.count = self._clock(), 0
