"""What the tests of archives share: a real archive, and computers that it is opened on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from salt_monailabel.serving.archive import background
from salt_monailabel.serving.archive.client import Archive
from salt_monailabel.serving.archive.datastore import ArchiveDatastore

from .orthanc import MISSING, Orthanc
from .steps import XA, Open


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again what failed without delay."""
    monkeypatch.setattr(background, "FIRST", 0.2)
    monkeypatch.setattr(background, "LONGEST", 0.2)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Orthanc]]:
    """Start an Orthanc, with users and their passwords if it is to ask for any."""
    if MISSING:
        pytest.skip(MISSING)
    servers: list[Orthanc] = []

    def start(**users: str) -> Orthanc:
        servers.append(Orthanc(tmp_path / f"orthanc-{len(servers)}", users))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


@pytest.fixture
def orthanc(started: Callable[..., Orthanc]) -> Orthanc:
    return started()


@pytest.fixture
def opened(tmp_path: Path, orthanc: Orthanc) -> Iterator[Open]:
    """Open the archive on a computer, that is, over a folder of its own."""
    stores: list[ArchiveDatastore] = []

    def open_on(computer: str, *labels: str, **changed: Any) -> ArchiveDatastore:
        arguments = {"archive": Archive(orthanc.address), "searches": XA, "largest": 10**8, **changed}
        stores.append(ArchiveDatastore(labels=labels or ("vessel",), folder=tmp_path / computer, **arguments))
        return stores[-1]

    yield open_on
    for store in stores:
        store.close()
