"""The images of an archive, a real one, on this computer."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fastapi import HTTPException
from filelock import FileLock

from salt_monailabel.imaging import read_study
from salt_monailabel.serving.app import SaltApp
from salt_monailabel.serving.archive import room
from salt_monailabel.serving.archive.client import Archive, ArchiveError
from salt_monailabel.serving.archive.datastore import ArchiveDatastore
from salt_monailabel.serving.archive.opening import searches_of

from ...dicom import COLUMNS, ROWS, run
from ..viewer import our_server
from .orthanc import Orthanc
from .proxy import Proxy
from .steps import Open, put, random_mask, soon, submit


def test_images_are_found_by_their_modality_and_fetched_when_they_are_used(
    orthanc: Orthanc, opened: Open, tmp_path: Path
) -> None:
    runs = put(orthanc, tmp_path, 3, frames=2)
    put(orthanc, tmp_path, Modality="CT")
    store = opened("here")
    assert sorted(store.get_unlabeled_images()) == sorted(store.list_images()) == sorted(runs)
    assert not list(store.folder.rglob("*.dcm"))
    path = store.get_image_uri(runs[1])
    assert np.array_equal(np.asarray(read_study(path).pixels)[..., 0], run(2, seed=1))
    assert {place.stat().st_mode & 0o777 for place in (store.folder, store.folder / "studies")} == {0o700}
    orthanc.kill()
    assert store.get_image_uri(runs[1]) == path
    with pytest.raises(ArchiveError) as error:
        store.get_image_uri(runs[0])
    assert error.value.status_code == 503
    assert orthanc.address in error.value.detail
    assert store.status()["total"] == 3


def test_images_that_come_and_go_are_seen_without_a_restart(orthanc: Orthanc, opened: Open, tmp_path: Path) -> None:
    (gone,) = put(orthanc, tmp_path)
    store = opened("here")
    assert store.get_unlabeled_images() == [gone]
    orthanc.remove(gone)
    with pytest.raises(ArchiveError) as error:
        store.get_image_uri(gone)
    assert error.value.status_code == 404
    new = put(orthanc, tmp_path, 2)
    store.refresh()
    soon(lambda: sorted(store.get_unlabeled_images()) == sorted(new))


def test_ten_thousand_images_are_listed_page_by_page(
    orthanc: Orthanc, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salt_monailabel.serving.archive.client.PAGE", 3)
    images = put(orthanc, tmp_path, 8)
    assert sorted(opened("here").get_unlabeled_images()) == sorted(images)


def test_nobody_waits_while_an_image_is_fetched_slowly(orthanc: Orthanc, opened: Open, tmp_path: Path) -> None:
    first, second = put(orthanc, tmp_path, 2)
    proxy = Proxy(orthanc.port)
    store = opened("here", archive=Archive(f"http://127.0.0.1:{proxy.port}/dicom-web"))
    store.get_unlabeled_images()
    store.get_image_uri(first)
    proxy.open.clear()
    fetching = threading.Thread(target=store.get_image_uri, args=(second,))
    fetching.start()
    started = time.monotonic()
    assert store.status()["total"] == len(store.json()["objects"]) == 2
    assert store.get_unlabeled_images()
    submit(store, first, random_mask(1), tmp_path)
    assert time.monotonic() - started < 2
    assert fetching.is_alive()
    proxy.close()
    fetching.join(30)
    assert Path(store.get_image_uri(second)).is_file()


def test_an_instance_that_is_too_large_is_not_fetched(orthanc: Orthanc, opened: Open, tmp_path: Path) -> None:
    (image,) = put(orthanc, tmp_path, frames=8)
    store = opened("here", largest=8 * ROWS * COLUMNS)
    store.get_unlabeled_images()
    with pytest.raises(ArchiveError) as error:
        store.get_image_uri(image)
    assert error.value.status_code == 413
    assert not list(store.folder.rglob("*.dcm"))


def test_what_was_not_used_for_longest_makes_room_unless_it_has_a_label(
    orthanc: Orthanc, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labelled, idle, busy, new = put(orthanc, tmp_path, 4)
    store = opened("here")
    store.get_unlabeled_images()
    submit(store, labelled, random_mask(1), tmp_path)
    for image in (idle, busy):
        store.get_image_uri(image)
    fetched = {path.stem: path for path in (store.folder / "studies").glob("*.dcm")}
    assert fetched.keys() == {labelled, idle, busy}
    monkeypatch.setattr(room, "MOST", 3 * fetched[idle].stat().st_size)
    for hours, image in ((4, labelled), (3, busy), (2, idle)):
        os.utime(fetched[image], (time.time() - 3600 * hours,) * 2)
    store.get_image_uri(busy)
    store.get_image_uri(new)
    assert [fetched[image].is_file() for image in (labelled, idle, busy)] == [True, False, True]
    assert store.get_labeled_images() == [labelled]
    assert {*store.get_unlabeled_images()} == {idle, busy, new}
    # All others are in use, so for a while there is more than is to be kept.
    assert Path(store.get_image_uri(idle)).is_file()
    assert len(list((store.folder / "studies").glob("*.dcm"))) == 4


def test_the_address_of_orthanc_itself_is_said_to_be_none(orthanc: Orthanc, opened: Open, tmp_path: Path) -> None:
    put(orthanc, tmp_path)
    store = opened("here", archive=Archive(orthanc.root))
    with pytest.raises(ArchiveError, match="often ends in /dicom-web"):
        store.get_unlabeled_images()
    assert "often ends in /dicom-web" in store.status()["archive"]["warning"]


def test_images_are_not_added_to_an_archive_nor_removed(orthanc: Orthanc, opened: Open, tmp_path: Path) -> None:
    (image,) = put(orthanc, tmp_path)
    store = opened("here")
    with pytest.raises(HTTPException, match="in the archive itself"):
        store.add_image("other", str(tmp_path / "image.dcm"), {})
    with pytest.raises(HTTPException, match="in the archive itself"):
        store.remove_image(image)


@pytest.mark.parametrize("password", ["right", "wrong"])
def test_a_password_is_asked_for_and_never_said(
    started: Callable[..., Orthanc], opened: Open, tmp_path: Path, password: str, caplog: pytest.LogCaptureFixture
) -> None:
    orthanc = started(reader="right")
    put(orthanc, tmp_path)
    store = opened("here", archive=Archive(orthanc.address, "reader", password))
    if password == "right":
        assert len(store.get_unlabeled_images()) == 1
    else:
        with pytest.raises(ArchiveError, match="refuses the user and password") as error:
            store.get_unlabeled_images()
        assert "MONAI_LABEL_DICOMWEB_PASSWORD" in error.value.detail
        assert "wrong" not in caplog.text + json.dumps(store.status())


def test_the_searches_are_those_of_the_settings() -> None:
    assert [search["Modality"] for search in searches_of({"Modality": "CT"})][:2] == ["XA", "RF"]
    chosen = {"Modality": "XA, OP", "StudyDate": "20260101-"}
    assert searches_of(chosen) == [{**chosen, "Modality": "XA"}, {**chosen, "Modality": "OP"}]
    assert searches_of({**chosen, "Modality": ["XA", "OP"]}) == searches_of(chosen)
    assert searches_of({"PatientID": "7"}) == [{"PatientID": "7"}]


def test_a_server_that_ends_leaves_the_archive_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = ArchiveDatastore(Archive("http://127.0.0.1:9/dicom-web"), ("vessel",), tmp_path / "cache", [], largest=1)
    monkeypatch.setattr(SaltApp, "init_datastore", lambda app: store)
    with our_server(tmp_path / "studies"):
        assert "looking through http://127.0.0.1:9/dicom-web" in [thread.name for thread in threading.enumerate()]
    with FileLock(tmp_path / "cache" / ".lock", timeout=0):
        assert not [thread for thread in threading.enumerate() if store.archive.address in thread.name]
