"""Versions: numbered upwards, one of them in use, and none lost or half made whatever is killed or full."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from torch import nn

from salt_monailabel.adapters import Adapter, AdapterConfig, AdapterError, attach, load, read_card
from salt_monailabel.versions import VersionError, VersionStore

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
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def full(*args: Any, **kwargs: Any) -> NoReturn:
    raise OSError("No space left on device")


def grown(store: VersionStore, adapter: Adapter, count: int) -> None:
    """Add versions, each trained on from the one before, and put the last in use."""
    for _ in range(count):
        store.promote(store.add(adapter, {}, store.current()))


def test_without_versions_the_base_serves(store: VersionStore) -> None:
    assert store.current() is None
    assert store.versions() == []
    assert not store.folder.exists()


def test_versions_are_numbered_upwards_and_wait_to_be_promoted(store: VersionStore, adapter: Adapter) -> None:
    for count, name in enumerate(("0001", "0002", "0003"), start=1):
        assert store.add(adapter, {}, None) == name
        assert store.current() is None
        assert store.versions() == ["0001", "0002", "0003"][:count]
    store.promote("0002")
    assert store.current() == "0002"


def test_a_version_is_what_was_added_with_its_card(store: VersionStore, adapter: Adapter) -> None:
    added = {}
    for dice, parent in ((0.7, None), (0.8, "0001")):
        with torch.no_grad():
            for _, parameter in adapter.parameters():
                parameter.add_(dice)
        added[store.add(adapter, {"dice": dice}, parent)] = {n: t.clone() for n, t in adapter.state().items()}
    for name, parent, dice in (("0001", None, 0.7), ("0002", "0001", 0.8)):
        card = store.card(name)
        assert (card["version"], card["parent"], card["dice"]) == (name, parent, dice)
        assert json.loads((store.folder / name / "card.json").read_text()) == card == read_card(store.path(name))
        state = load(network(), store.path(name)).state()
        assert all(torch.equal(state[n], tensor) for n, tensor in added[name].items())


def test_adding_does_not_touch_earlier_versions(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 1)
    before = contents(store.folder)
    store.add(adapter, {}, "0001")
    after = contents(store.folder)
    assert before.items() <= after.items()
    assert set(after) - set(before) == {"0002/card.json", "0002/adapter.safetensors"}


def test_a_store_is_read_again_by_another_process(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 1)
    again = VersionStore(str(store.folder))
    assert (again.current(), again.versions()) == ("0001", ["0001"])
    assert again.add(adapter, {}, "0001") == "0002"
    assert store.versions() == ["0001", "0002"]


def test_rolling_back_goes_to_what_was_in_use_before_whatever_it_was_trained_on(
    store: VersionStore, adapter: Adapter
) -> None:
    grown(store, adapter, 2)
    store.promote(store.add(adapter, {}, None))
    store.promote("0003")
    store.promote(None)
    assert store.roll_back() == "0003" == store.current()
    assert store.roll_back() == "0002" == store.current()
    store.promote("0001")
    assert [store.roll_back() for _ in range(3)] == ["0002", "0001", None]
    assert store.current() is None
    assert store.versions() == ["0001", "0002", "0003"]
    with pytest.raises(VersionError, match="base is in use; there was no version before it"):
        store.roll_back()


def test_a_version_that_was_removed_is_passed_over_on_the_way_back(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 3)
    store.path("0002").unlink()
    assert store.roll_back() == "0001" == store.current()


def test_a_version_succeeds_none_but_the_one_it_was_judged_against(store: VersionStore, adapter: Adapter) -> None:
    assert store.succeed(store.add(adapter, {}, None), None)
    assert not store.succeed(store.add(adapter, {}, None), None)
    assert store.current() == "0001"
    assert store.succeed("0002", "0001")
    assert store.roll_back() == "0001"


def test_what_was_in_use_long_ago_is_forgotten(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 2)
    for number in range(300):
        store.promote(f"000{1 + number % 2}")
    assert len((store.folder / "current").read_text().split()) == 100


def test_a_version_that_is_not_there_cannot_be_promoted(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 1)
    with pytest.raises(VersionError, match=r"no version '0007'.*0001"):
        store.promote("0007")
    assert store.current() == "0001"


def test_a_version_that_was_cut_short_is_not_put_in_use(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 2)
    cut = store.path("0001")
    cut.write_bytes(cut.read_bytes()[:-10])
    with pytest.raises(AdapterError, match="damaged"):
        store.promote("0001")
    assert store.current() == "0002"


@pytest.mark.parametrize("name", ["../0001", "", "current", "0001/../0001"])
def test_names_lead_nowhere_else(store: VersionStore, adapter: Adapter, name: str) -> None:
    grown(store, adapter, 1)
    for ask in (store.promote, store.card, lambda name: store.export(name, store.folder / "out.safetensors")):
        with pytest.raises(VersionError):
            ask(name)


@pytest.mark.parametrize("content", ["0009\n", "", "\n", "base\n", "../0001\n"])
def test_a_current_version_that_is_not_there_is_none(store: VersionStore, adapter: Adapter, content: str) -> None:
    grown(store, adapter, 1)
    (store.folder / "current").write_text(content)
    assert store.current() is None


def test_an_adapter_goes_out_and_comes_back_as_a_new_version(
    store: VersionStore, adapter: Adapter, tmp_path: Path
) -> None:
    grown(store, adapter, 1)
    elsewhere = tmp_path / "sent" / "mine.safetensors"
    store.export("0001", elsewhere)
    assert elsewhere.read_bytes() == store.path("0001").read_bytes()
    assert store.take_in(elsewhere) == "0002"
    assert store.current() == "0001"
    card = store.card("0002")
    assert (card["version"], card["parent"], card["taken_in_from"]) == ("0002", None, "0001")
    assert (card["learned_until"], card["learned_in_part"], card["learned_whole"]) == (0, {}, [])
    assert (card["best"], card["first"]) == ({}, {})
    assert load(network(), store.path("0002")).state().keys() == adapter.state().keys()


def test_what_is_no_adapter_is_not_taken_in(store: VersionStore, adapter: Adapter, tmp_path: Path) -> None:
    grown(store, adapter, 1)
    stray = tmp_path / "stray.safetensors"
    stray.write_bytes(store.path("0001").read_bytes()[:100])
    with pytest.raises(AdapterError, match="stray"):
        store.take_in(stray)
    assert store.versions() == ["0001"]


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("failing", ["save", "written_whole", "os.rename"])
def test_a_disk_that_is_full_leaves_all_as_it_was(
    store: VersionStore, adapter: Adapter, monkeypatch: pytest.MonkeyPatch, failing: str, first: bool
) -> None:
    if not first:
        grown(store, adapter, 1)
    current, versions = store.current(), store.versions()
    before = contents(store.folder) if store.folder.exists() else {}
    with monkeypatch.context() as patch:
        patch.setattr(f"salt_monailabel.versions.store.{failing}", full)
        with pytest.raises(OSError, match="No space left"):
            store.add(adapter, {}, current)
    assert (store.current(), store.versions()) == (current, versions)
    assert contents(store.folder) == before
    assert store.add(adapter, {}, current) == ("0001" if first else "0002")


def test_a_promotion_that_fails_leaves_the_version_in_use(
    store: VersionStore, adapter: Adapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(store, adapter, 1)
    store.add(adapter, {}, "0001")
    before = contents(store.folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            store.promote("0002")
    assert store.current() == "0001"
    assert contents(store.folder) == before


def test_what_a_kill_left_half_made_is_no_version_and_is_cleared_away(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 1)
    half = store.folder / ".0002.partial"
    half.mkdir()
    (half / "adapter.safetensors").write_bytes(b"half")
    assert store.versions() == ["0001"]
    assert store.add(adapter, {}, "0001") == "0002"
    assert not half.exists()


def test_a_stray_folder_is_no_version(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 1)
    for stray in ("0001 (copy)", "0001_backup", "2nd"):
        (store.folder / stray).mkdir()
        (store.folder / stray / "card.json").write_text("{}")
    assert store.versions() == ["0001"]
    assert store.add(adapter, {}, None) == "0002"


def test_no_version_is_overwritten_after_the_9999th(store: VersionStore, adapter: Adapter) -> None:
    grown(store, adapter, 1)
    for name in ("9999", "10000"):
        (store.folder / name).mkdir()
        (store.folder / name / "card.json").write_text("{}")
    assert store.versions() == ["0001", "9999", "10000"]
    assert store.add(adapter, {}, None) == "10001"


WRITER = f"""
import sys, torch
from torch import nn
from salt_monailabel.adapters import AdapterConfig, attach
from salt_monailabel.versions import VersionStore
adapter = attach(nn.Sequential(nn.Linear(4, 3)), {CONFIG!r})
store = VersionStore(sys.argv[1])
print("ready", flush=True)
while True:
    store.promote(store.add(adapter, {{}}, store.current()))
"""


def test_writers_that_are_killed_at_any_moment_leave_whole_versions_only(tmp_path: Path) -> None:
    store = VersionStore(tmp_path)
    for seconds in (0.05, 0.11, 0.17):
        writers = [
            subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.communicate()
        versions = store.versions()
        assert versions == [f"{number:04d}" for number in range(1, len(versions) + 1)]
        assert store.current() in versions
        for name in versions:
            assert store.card(name)["version"] == name
            assert json.loads((tmp_path / name / "card.json").read_text()) == store.card(name)
