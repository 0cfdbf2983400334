"""Versions: numbered upwards, one of them current, and none lost or half made when a disk is full."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch import nn

from salt_monailabel.adapters import Adapter, AdapterConfig, attach, load, read_card
from salt_monailabel.versions import VersionStore

CONFIG = AdapterConfig("lora", lora_rank=1, targets={"mlp": ("0",)}, ranks={"mlp": 1}, also_train={})


def network() -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 3))


@pytest.fixture
def adapter() -> Adapter:
    return attach(network(), CONFIG)


@pytest.fixture
def store(tmp_path: Path) -> VersionStore:
    """Return a store whose folder is not there yet."""
    return VersionStore(tmp_path / "adapters" / "versions")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def full(*args: Any, **kwargs: Any) -> NoReturn:
    raise OSError("No space left on device")


def test_without_versions_the_base_serves(store: VersionStore) -> None:
    assert store.current() is None
    assert store.versions() == []
    assert not store.folder.exists()


def test_versions_are_numbered_upwards_and_the_newest_is_current(store: VersionStore, adapter: Adapter) -> None:
    for count, name in enumerate(("0001", "0002", "0003"), start=1):
        assert store.publish(adapter, {}) == name
        assert store.current() == name
        assert store.versions() == ["0001", "0002", "0003"][:count]


def test_a_version_is_what_was_published_with_its_card(store: VersionStore, adapter: Adapter) -> None:
    published = {}
    for dice in (0.7, 0.8):
        with torch.no_grad():
            for _, parameter in adapter.parameters():
                parameter.add_(dice)
        published[store.publish(adapter, {"dice": dice})] = {n: t.clone() for n, t in adapter.state().items()}
    for name, parent, dice in (("0001", None, 0.7), ("0002", "0001", 0.8)):
        card = read_card(store.path(name))
        assert (card["version"], card["parent"], card["dice"]) == (name, parent, dice)
        assert json.loads(store.path(name).with_suffix(".json").read_text()) == card
        state = load(network(), store.path(name)).state()
        assert all(torch.equal(state[n], tensor) for n, tensor in published[name].items())


def test_publishing_does_not_touch_earlier_versions(store: VersionStore, adapter: Adapter) -> None:
    store.publish(adapter, {})
    before = contents(store.folder)
    store.publish(adapter, {})
    after = contents(store.folder)
    assert {name for name in before if before[name] != after[name]} == {"current"}
    assert set(after) - set(before) == {"0002.json", "0002.safetensors"}


def test_a_store_is_read_again_by_another_process(store: VersionStore, adapter: Adapter) -> None:
    store.publish(adapter, {})
    again = VersionStore(str(store.folder))
    assert (again.current(), again.versions()) == ("0001", ["0001"])
    assert again.publish(adapter, {}) == "0002"
    assert store.current() == "0002"


def test_the_current_version_can_be_an_earlier_one(store: VersionStore, adapter: Adapter) -> None:
    for _ in range(2):
        store.publish(adapter, {})
    (store.folder / "current").write_text("0001\n")
    assert store.current() == "0001"
    assert store.publish(adapter, {}) == "0003"
    assert read_card(store.path("0003"))["parent"] == "0001"


@pytest.mark.parametrize("content", ["0009\n", "", "\n"])
def test_a_current_version_that_is_not_there_is_none(store: VersionStore, adapter: Adapter, content: str) -> None:
    store.publish(adapter, {})
    (store.folder / "current").write_text(content)
    assert store.current() is None


@pytest.mark.parametrize("first", [True, False])
def test_a_save_that_fails_leaves_all_as_it_was(
    store: VersionStore, adapter: Adapter, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    if not first:
        store.publish(adapter, {})
    current, versions = store.current(), store.versions()
    before = contents(store.folder) if store.folder.exists() else {}
    monkeypatch.setattr("salt_monailabel.versions.store.save", full)
    with pytest.raises(OSError, match="No space left"):
        store.publish(adapter, {})
    assert (store.current(), store.versions()) == (current, versions)
    assert contents(store.folder) == before


@pytest.mark.parametrize("failing", ["current", "0002.json"])
def test_a_disk_that_is_full_in_the_middle_keeps_the_current_version_and_leaves_nothing_half_written(
    store: VersionStore, adapter: Adapter, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store.publish(adapter, {})
    replace = os.replace

    def stops(source: Any, target: Any) -> None:
        if Path(target).name == failing:
            full()
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stops)
        with pytest.raises(OSError, match="No space left"):
            store.publish(adapter, {})
    assert store.current() == "0001"
    assert not [path.name for path in store.folder.iterdir() if "partial" in path.name]
    published = store.publish(adapter, {})
    assert store.current() == published
    assert read_card(store.path(published))["version"] == published


@pytest.mark.parametrize("stray", ["0001 (copy).safetensors", "0001_backup.safetensors", "2nd.safetensors"])
def test_a_stray_file_is_no_version(store: VersionStore, adapter: Adapter, stray: str) -> None:
    store.publish(adapter, {})
    (store.folder / stray).write_bytes(store.path("0001").read_bytes())
    assert store.versions() == ["0001"]
    assert store.publish(adapter, {}) == "0002"


def test_no_version_is_overwritten_after_the_9999th(store: VersionStore, adapter: Adapter) -> None:
    store.publish(adapter, {})
    for name in ("9999", "10000"):
        store.path(name).write_bytes(store.path("0001").read_bytes())
    assert store.versions() == ["0001", "9999", "10000"]
    assert store.publish(adapter, {}) == "10001"
