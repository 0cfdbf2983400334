"""The audit log: whole lines, whoever writes at the same time, and never in the way of a request."""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
import threading
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from salt_monailabel.serving.access.audit import AuditLog, current_user

from ..audited import entries


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "new" / "audit.jsonl")


def test_an_entry_says_when_who_did_what_to_which_image_with_which_version(log: AuditLog) -> None:
    reset = current_user.set("ann")
    log.record("infer", "retina1", "0003", seconds=1.5)
    current_user.reset(reset)
    log.record("train")
    first, second = entries(log.path)
    assert list(first) == ["time", "who", "action", "image", "version", "seconds"]
    moment = datetime.fromisoformat(first.pop("time"))
    assert abs(datetime.now(timezone.utc) - moment) < timedelta(minutes=1)
    assert moment.utcoffset() == timedelta(0)
    assert first == {"who": "ann", "action": "infer", "image": "retina1", "version": "0003", "seconds": 1.5}
    assert (second["who"], second["image"], second["version"]) == ("local", None, None)


def test_the_time_has_milliseconds(log: AuditLog) -> None:
    log.record("x")
    assert len(entries(log.path)[0]["time"]) == len("2025-01-31T12:00:00.123+00:00")


@pytest.mark.parametrize("text", ['x"}\n{"who": "boss"}', "a\rb", "\u2028\x00\ud800"])
def test_nothing_that_is_recorded_can_make_a_line_of_its_own(log: AuditLog, text: str) -> None:
    log.record(text, text, text, note=text)
    (entry,) = entries(log.path)
    assert (entry["who"], entry["action"], entry["image"], entry["note"]) == ("local", text, text, text)
    assert log.path.read_bytes().count(b"\n") == 1


def test_facts_cannot_take_the_place_of_the_time_or_the_user(log: AuditLog) -> None:
    log.record("infer", **{"who": "boss", "time": "never"})
    (entry,) = entries(log.path)
    assert entry["who"] == "local"
    assert entry["time"] != "never"


def test_facts_that_are_no_json_are_written_as_text(log: AuditLog) -> None:
    log.record("serve", folder=Path("studies"))
    assert entries(log.path)[0]["folder"] == "studies"


def test_lines_of_eight_threads_are_all_whole(log: AuditLog) -> None:
    def write(thread: int) -> None:
        current_user.set(f"user{thread}")
        for i in range(200):
            log.record("infer", image=f"image{i}", note="x" * (i * 50))

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert Counter(entry["who"] for entry in found) == {f"user{i}": 200 for i in range(8)}
    assert {(entry["who"], entry["image"]) for entry in found} == {
        (f"user{i}", f"image{j}") for i in range(8) for j in range(200)
    }


@pytest.mark.parametrize("torn", ['{"time": "2025', "{"])
def test_a_half_written_line_is_left_out_and_swallows_no_other(log: AuditLog, torn: str) -> None:
    log.record("before")
    with open(log.path, "a") as file:
        file.write(torn)
    log.record("after")
    assert [entry["action"] for entry in entries(log.path)] == ["before", "after"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_nobody_else_may_read_the_log(log: AuditLog) -> None:
    umask = os.umask(0)
    try:
        log.record("x")
    finally:
        os.umask(umask)
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_a_full_disk_is_a_warning_that_holds_the_entry(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log.record("before")

    def full(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, "write", full)
        log.record("infer", "retina1")
    assert "No space left" in caplog.text
    assert "retina1" in caplog.text
    assert [entry["action"] for entry in entries(log.path)] == ["before"]


def test_a_line_that_a_full_disk_cuts_short_is_a_warning_and_costs_no_other_line(
    log: AuditLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    whole = os.write
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(os, "write", lambda descriptor, content: whole(descriptor, content[:20]))
        log.record("cut", "retina1")
    assert "retina1" in caplog.text
    log.record("after")
    assert [entry["action"] for entry in entries(log.path)] == ["after"]


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING):
        AuditLog(tmp_path / "file" / "audit.jsonl").record("infer", "retina1")
    assert "retina1" in caplog.text
