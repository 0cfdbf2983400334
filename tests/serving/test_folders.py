"""Finding images in folders of folders, and what changes there."""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from salt_monailabel.serving import folders
from salt_monailabel.serving.datastore import VesselDatastore
from salt_monailabel.serving.folders import images_in
from salt_monailabel.whole_files import PARTIAL

from .laid import DICM, files_of, lay, opened


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    return folder


def test_what_is_no_image_of_the_folder_is_passed_over(
    studies: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lay(tmp_path, "elsewhere/secret.png", "elsewhere/deep/other.png")
    lay(studies, "in/eye.png")
    lay(studies, ".hidden.png", "in/.hidden/a.png", f"in/{PARTIAL}0-a.png", "labels/final/b.nrrd", "adapters/c.png")
    lay(studies, "site/labels/original/eye.nrrd", "site/adapters/d.png", "in/notes.txt", "in/README", "in/short")
    lay(studies, "set/masks/eye.png", "set/fov/eye.png")
    lay(studies, "in/DICOMDIR", "in/labels/final/e", content=DICM)
    (studies / "in" / "short").write_bytes(DICM[:131])
    os.mkfifo(studies / "in" / "pipe")
    (studies / "in" / "folder.png").mkdir()
    (studies / "in" / "circle").symlink_to(studies)
    (studies / "in" / "again").symlink_to("../in")
    (studies / "in" / "self.png").symlink_to("self.png")
    (studies / "in" / "gone.png").symlink_to("nowhere.png")
    (studies / "in" / "out.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (studies / "in" / "out").symlink_to(tmp_path / "elsewhere")
    (studies / "in" / "veiled.png").symlink_to(studies / ".hidden.png")
    (studies / "in" / "alias.png").symlink_to("eye.png")
    os.close(os.open(os.fsencode(studies) + b"/in/\xfcber.png", os.O_CREAT))
    with caplog.at_level(logging.WARNING):
        assert images_in(studies, ()) == {"in/eye.png", "in/alias.png"}
    assert "UTF-8" in caplog.text
    assert "out.png" in caplog.text
    assert set(opened(studies).list_images()) == {"in_eye", "in_alias"}


def test_dicom_is_known_by_its_preamble_whatever_it_is_called(studies: Path) -> None:
    names = "IM0001", "I10", "1.2.840.10008.7", "frame.ima", "p/s/I10"
    lay(studies, *names, content=DICM)
    lay(studies, "1.2.840.10008.8", "I11", content=b"no DICOM" * 50)
    assert set(files_of(opened(studies), studies).values()) == set(names)


def test_a_file_that_becomes_dicom_is_found(studies: Path) -> None:
    lay(studies, "p/IM1", content=DICM[:100])
    store = opened(studies)
    lay(studies, "p/IM1", content=DICM)
    store.refresh()
    assert store.list_images() == ["p_IM1"]


def test_many_images_are_there_soon_and_known_ones_are_not_opened_again(studies: Path) -> None:
    paths = [f"patient{i // 100}/study{i // 10}/IM{i % 10:04}" for i in range(1000)]
    lay(studies, *paths, content=DICM)
    lay(studies, "patient0/IM0.txt", content=b"no DICOM" * 50)
    started = time.process_time()
    store = opened(studies)
    assert time.process_time() - started < 2
    assert len(set(store.list_images())) == 1000
    looked_into: list[str] = []
    watching = [True]

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "open" and "IM0" in str(arguments[0]):
            looked_into.append(str(arguments[0]))

    sys.addaudithook(note)
    store.refresh()
    assert looked_into == []
    # As after a restart.
    folders._is_dicom.cache_clear()
    assert len(opened(studies).list_images()) == 1000
    watching.clear()
    assert [Path(path).name for path in looked_into] == ["IM0.txt"]


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until, "nothing was noticed"
        time.sleep(0.05)


@pytest.mark.parametrize("mounted", [False, True])
def test_changes_in_folders_are_noticed_while_it_is_served(
    studies: Path, tmp_path: Path, mounted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salt_monailabel.serving.watching.GATHERED", 0.1)
    monkeypatch.setattr("salt_monailabel.serving.watching.POLLED", 0.2)
    monkeypatch.setattr(VesselDatastore, "_is_on_mount", lambda self, path: mounted)
    lay(studies, "p/eye.png")
    for link in ("one", "two"):
        (studies / "p" / link).symlink_to(studies)
    store = opened(studies, auto_reload=True)
    lay(studies, "p/new/deep/IM1", content=DICM)
    eventually(lambda: set(store.list_images()) == {"p_eye", "p_new_deep_IM1"})
    lay(tmp_path, "q/a.png", "q/s/b.png")
    shutil.move(tmp_path / "q", studies / "q")
    eventually(lambda: {"q_a", "q_s_b"} <= set(store.list_images()))
    lay(studies, "q/s/late.png")
    (studies / "p" / "eye.png").rename(studies / "p" / ".eye.png")
    eventually(lambda: set(store.list_images()) == {"p_new_deep_IM1", "q_a", "q_s_b", "q_s_late"})
    lay(studies, "labels/final/q_a.nrrd", content=b"a label")
    eventually(lambda: store.get_labeled_images() == ["q_a"])
    shutil.rmtree(studies / "q")
    eventually(lambda: store.list_images() == ["p_new_deep_IM1"])


def test_the_store_does_not_wake_itself(studies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(studies, "p/eye.png")
    looks: list[float] = []
    monkeypatch.setattr("salt_monailabel.serving.watching.GATHERED", 0.05)
    monkeypatch.setattr(VesselDatastore, "refresh", lambda self: (looks.append(0), self._reconcile_datastore()))
    store = opened(studies, auto_reload=True)
    eventually(lambda: bool(looks))
    time.sleep(0.5)
    settled = len(looks)
    lay(studies, "adapters/leases.json", ".hidden/a.png", f"p/{PARTIAL}a.png")
    time.sleep(0.5)
    assert settled <= 2
    assert len(looks) == settled
    assert store.list_images() == ["p_eye"]
