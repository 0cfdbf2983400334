"""Versions over REST: what cannot be put in use is refused, and a disk that fails is named."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

import pytest

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.inference import card_of, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.versions import VersionStore

from .viewer import Viewer, our_server


def add(store: VersionStore, *labels: str) -> str:
    adapter = fresh_adapter("vessel_t", labels, AdapterConfig(method="bias"))
    assert isinstance(adapter.model, VesselSam)
    return store.add(adapter, card_of("vessel_t", adapter.model), None)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> VersionStore:
    """Return two versions that were put in use, one that was cut short, and one of other labels."""
    store = VersionStore(tmp_path_factory.mktemp("versions") / "studies" / "adapters")
    for _ in range(2):
        store.promote(add(store, "vessel"))
    cut = store.path(add(store, "vessel"))
    cut.write_bytes(cut.read_bytes()[:-1000])
    add(store, "artery", "vein")
    return store


@pytest.fixture(scope="module")
def viewer(store: VersionStore) -> Iterator[Viewer]:
    with our_server(store.folder.parent) as connected:
        yield connected


@pytest.mark.parametrize(
    ("name", "said"), [("0003", "version 0003 is damaged"), ("0004", "'artery', 'vein'"), ("0004", "'vessel'")]
)
def test_a_version_that_cannot_be_loaded_is_not_put_in_use(
    viewer: Viewer, store: VersionStore, name: str, said: str
) -> None:
    reply = viewer.send("POST", f"/salt/adapters/{name}/promote")
    assert (reply.status_code, said in reply.json()["detail"]) == (409, True), reply.text
    assert store.current() == "0002"


@pytest.mark.parametrize(("code", "status"), [(errno.ENOSPC, 507), (errno.EROFS, 503)])
@pytest.mark.parametrize("asked", ["rollback", "0001/promote", "base/promote", "import"])
def test_a_disk_that_takes_nothing_is_answered_with_the_remedy(
    viewer: Viewer, store: VersionStore, monkeypatch: pytest.MonkeyPatch, asked: str, code: int, status: int
) -> None:
    def fail(*arguments: object, **options: object) -> Any:
        raise OSError(code, os.strerror(code), str(store.folder / ".partial"))

    for module in ("versions.store", "adapters.file"):
        monkeypatch.setattr(f"salt_monailabel.{module}.written_whole", fail)
    files = {"file": ("mine.safetensors", store.path("0001").read_bytes())} if asked == "import" else None
    reply = viewer.send("POST", f"/salt/adapters/{asked}", files=files)
    assert reply.status_code == status, reply.text
    assert ("free some space" if status == 507 else "make it writable") in reply.json()["detail"]
    assert (store.current(), len(store.versions())) == ("0002", 4)


def test_where_the_server_keeps_its_files_is_for_its_log_alone(
    viewer: Viewer, store: VersionStore, caplog: pytest.LogCaptureFixture
) -> None:
    missing = viewer.send("GET", "/salt/adapters/9999")
    damaged = viewer.send("GET", "/salt/adapters/0003")
    assert (missing.status_code, damaged.status_code) == (404, 503)
    assert "in adapters; it has 0001, 0002" in missing.json()["detail"]
    assert damaged.json()["detail"].startswith("0003/adapter.safetensors is damaged")
    assert str(store.path("0003")) in caplog.text
    listed = viewer.send("GET", "/salt/adapters")
    pairs = viewer.send("GET", "/datastore/", params={"output": "train"})
    assert (pairs.status_code, "/datastore/dataset" in pairs.json()["detail"]) == (400, True)
    assert [str(store.folder.parent) in reply.text for reply in (missing, damaged, listed, pairs)] == [False] * 4
