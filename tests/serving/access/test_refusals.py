"""Refusals in the audit log: none is forgotten, and no number of them fills the disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from salt_monailabel.serving.access.audit import AuditLog, current_user
from salt_monailabel.serving.access.refusals import LONGEST_PATH, MOST, OTHERS, PAUSE, Refusals

from ..audited import entries


class Door:
    """Refuses at times that a test chooses."""

    def __init__(self, folder: Path) -> None:
        self.now = 0.0
        self.audit = AuditLog(folder / "audit.jsonl")
        self.refusals = Refusals(self.audit, lambda: self.now)

    def refuse(self, address: str = "10.0.0.1", status: int = 401, path: str = "/info/", who: str = "unknown") -> None:
        scope = {"type": "http", "client": (address, 5000), "method": "GET", "path": path}
        reset = current_user.set(who)
        self.refusals.add(scope, status)
        current_user.reset(reset)

    def lines(self, *keys: str) -> list[tuple[Any, ...]]:
        return [tuple(entry[key] for key in keys) for entry in entries(self.audit.path)]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_ten_thousand_refusals_leave_a_small_file_that_counts_them_all(door: Door) -> None:
    for attempt in range(10_000):
        door.refuse(path=f"/{attempt}" + "x" * 5000)
    door.now = PAUSE
    door.refusals.settle()
    assert door.lines("count") == [(1,), (9_999,)]
    assert door.audit.path.stat().st_size < 2 * (LONGEST_PATH + 250)


def test_ten_thousand_addresses_leave_a_small_file_that_counts_them_all(door: Door) -> None:
    for attempt in range(10_000):
        door.refuse(address=f"10.1.{attempt // 256}.{attempt % 256}")
    door.refusals.settle(pause=0)
    lines = door.lines("address", "count")
    assert sum(count for _, count in lines) == 10_000
    assert lines[-1] == (OTHERS, 10_000 - MOST - 1)
    assert len(lines) == MOST + 2


def test_each_address_user_and_status_has_lines_of_its_own(door: Door) -> None:
    kinds = [("10.0.0.1", "unknown", 401), ("10.0.0.2", "unknown", 401), ("10.0.0.1", "ann", 403)]
    for address, who, status in kinds * 3:
        door.refuse(address, status, who=who)
    door.now = PAUSE
    # Whose request it is that comes along then does not matter.
    reset = current_user.set("bob")
    door.refusals.settle()
    current_user.reset(reset)
    assert door.lines("address", "who", "status", "count") == [
        *((*kind, 1) for kind in kinds),
        *((*kind, 2) for kind in kinds),
    ]


def test_there_is_at_most_a_line_a_minute_and_the_last_request_is_in_it(door: Door) -> None:
    for second in range(150):
        door.now = float(second)
        door.refuse(path=f"/{second}")
    assert door.lines("count", "path") == [(1, "/0"), (59, "/59"), (60, "/119")]


def test_after_a_quiet_minute_the_next_is_written_at_once(door: Door) -> None:
    for minute in (0.0, 2.0, 4.0):
        door.now = minute * PAUSE
        door.refuse()
    assert door.lines("count") == [(1,)] * 3


def test_a_request_without_an_address_is_recorded_too(door: Door) -> None:
    door.refusals.add({"type": "http", "client": None, "method": "GET", "path": "/"}, 401)
    assert door.lines("address", "status") == [("", 401)]
