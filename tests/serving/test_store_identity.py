"""A store of images has an identity of its own, which lasts and goes where the store goes."""

from __future__ import annotations

import logging
import re
import shutil
import threading
from pathlib import Path

import pytest

from salt_monailabel.serving.store_identity import IDENTITY_FILE, store_identity

from .viewer import serving


def test_an_identity_lasts_moves_along_and_is_no_other_stores(tmp_path: Path) -> None:
    first, other = store_identity(tmp_path / "one"), store_identity(tmp_path / "other")
    assert re.fullmatch("[0-9a-f]{32}", first)
    assert first != other
    (tmp_path / "one").rename(tmp_path / "moved")
    assert store_identity(tmp_path / "moved") == first


def test_all_who_ask_at_once_are_told_the_same(tmp_path: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(store_identity(tmp_path / "store"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len({*found}) == 1


def test_everybody_may_read_it_whom_the_folder_lets_in(tmp_path: Path) -> None:
    store_identity(tmp_path)
    neighbour = tmp_path / "neighbour"
    neighbour.touch()
    assert (tmp_path / IDENTITY_FILE).stat().st_mode == neighbour.stat().st_mode


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"0123", b"x" * 32])
def test_a_damaged_identity_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / IDENTITY_FILE).write_bytes(content)
    made = store_identity(tmp_path)
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert store_identity(tmp_path) == made


def test_where_none_can_be_kept_none_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        assert store_identity(tmp_path / "file") == ""
    assert str(tmp_path / "file") in caplog.text


def test_a_server_tells_the_identity_of_its_images_at_every_start(tmp_path: Path) -> None:
    versions = str(tmp_path / "versions")
    with serving(tmp_path / "studies") as viewer:
        first = viewer.info()["identity"]
    assert re.fullmatch("[0-9a-f]{32}", first)
    shutil.move(tmp_path / "studies", tmp_path / "moved")
    with serving(tmp_path / "moved", adapters=versions) as viewer:
        assert viewer.info()["identity"] == first
    with serving(tmp_path / "other", adapters=versions) as viewer:
        assert viewer.info()["identity"] not in ("", first)
