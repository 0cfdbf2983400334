"""What goes wrong with the server's disks is said with the place and the remedy, and leaves nothing behind."""

from __future__ import annotations

import errno
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from fastapi import HTTPException

from salt_monailabel.adapters import AdapterError
from salt_monailabel.inference import Predictor
from salt_monailabel.serving.errors import explained, without_folders

from .viewer import Viewer, contents, drawing, one_slice, our_server, png

IMAGE, VESSELS = drawing(rows=96, columns=128)
# As those of a photograph are; smaller ones are not written to the disk before they are looked at.
LARGE = ("large.png", bytes(2_000_000))
FAULTS = [
    pytest.param(errno.ENOSPC, 507, "free some space", id="full"),
    pytest.param(errno.EDQUOT, 507, "free some space", id="over quota"),
    pytest.param(errno.EROFS, 503, "folder 'final' is read-only; make it writable", id="read-only"),
    pytest.param(errno.EACCES, 503, "folder 'final' may not be used by the server; give", id="closed"),
    pytest.param(errno.EPERM, 503, "folder 'final' may not be used by the server; give", id="not permitted"),
    pytest.param(errno.EIO, 503, "folder 'final' cannot be read or written; check its disk", id="broken"),
]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("disks") / "studies"


@pytest.fixture(scope="module")
def viewer(studies: Path) -> Iterator[Viewer]:
    with our_server(studies) as connected:
        assert connected.put_image("one", png(IMAGE)).status_code == 200
        yield connected


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def damaged(*arguments: object) -> None:
    raise AdapterError("/srv/studies/adapters/0001/adapter.safetensors is damaged")


def test_a_version_that_is_damaged_is_no_fault_of_a_request(viewer: Viewer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salt_monailabel.serving.app.SaltApp.next_sample", damaged)
    reply = viewer.send("POST", "/activelearning/random")
    assert (reply.status_code, reply.json()["detail"]) == (503, "0001/adapter.safetensors is damaged")


def failing(code: int, *place: str) -> Any:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(code, os.strerror(code), *place)

    return fail


@pytest.mark.parametrize(("code", "status", "said"), FAULTS)
def test_a_label_that_cannot_be_written_is_answered_with_the_place_and_the_remedy(
    viewer: Viewer, studies: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, code: int, status: int, said: str
) -> None:
    before = contents(studies)
    where = studies / "labels" / "final" / ".partial-0-one.nrrd"
    monkeypatch.setattr("salt_monailabel.serving.datastore.write_mask", failing(code, str(where)))
    reply = viewer.put_label("one", one_slice(VESSELS))
    assert reply.status_code == status
    assert said in reply.json()["detail"]
    assert (contents(studies), list(temporary.iterdir())) == (before, [])


@pytest.mark.parametrize(("code", "status", "said"), FAULTS)
def test_an_image_that_cannot_be_written_is_answered_with_the_place_and_the_remedy(
    viewer: Viewer, studies: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, code: int, status: int, said: str
) -> None:
    before = contents(studies)
    monkeypatch.setattr(shutil, "copyfile", failing(code, str(studies / ".partial-0-two.png")))
    reply = viewer.put_image("two", png(IMAGE))
    assert reply.status_code == status
    assert said.replace("'final'", "'studies'") in reply.json()["detail"]
    assert (contents(studies), list(temporary.iterdir())) == (before, [])


def test_a_fault_of_no_known_place_is_one_of_the_disk() -> None:
    with pytest.raises(HTTPException) as told, explained():
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert (told.value.status_code, told.value.detail.startswith("the server's disk cannot be read")) == (503, True)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "/srv/dr smith/adapters/0001/a.safetensors is damaged (bad/worse); restore it",
            "0001/a.safetensors is damaged",
        ),
        ("C:\\studies\\of ann\\a.pt holds another model", "a.pt holds another model"),
        ("there is no version '9' in /srv/studies; it has none", "there is no version '9' in studies; it has none"),
        ("fetch https://example.org/a/b.pt and place it at /srv/b.pt", "fetch https://example.org/a/b.pt and place"),
        ("labels/masks of 1/2 and ../a stay", "labels/masks of 1/2 and ../a stay"),
    ],
)
def test_of_files_the_names_alone_are_told(message: str, told: str) -> None:
    assert without_folders(message).startswith(told)
    assert "srv" not in without_folders(message)


def test_a_fault_that_nobody_can_explain_stays_what_it_is() -> None:
    with pytest.raises(OSError, match="Too many open files"), explained():
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.parametrize("shortage", [MemoryError, torch.OutOfMemoryError])
def test_an_image_for_which_memory_does_not_suffice_is_answered_503_and_the_next_is_outlined(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch, shortage: type[Exception]
) -> None:
    def fail(*arguments: object) -> None:
        raise shortage

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "outline", fail)
        reply = viewer.infer("salt", "one")
    assert (reply.status_code, "try a smaller one" in reply.json()["detail"]) == (503, True), reply.text
    assert viewer.infer("salt", "one").status_code == 200


def test_an_upload_for_which_there_is_no_room_is_answered_507_and_leaves_nothing(
    viewer: Viewer, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = len(png(IMAGE)[1]) - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    monkeypatch.setattr(shutil, "copyfileobj", copied_by_half)
    for reply in (viewer.put_image("two", png(IMAGE)), viewer.infer("salt", png(IMAGE))):
        assert reply.status_code == 507
        assert "free some space" in reply.json()["detail"]
    assert list(temporary.iterdir()) == []


def test_a_disk_that_fills_up_while_an_upload_is_copied_is_answered_507(
    viewer: Viewer, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "copyfileobj", copied_by_half)
    reply = viewer.put_image("two", png(IMAGE))
    assert (reply.status_code, "free some space" in reply.json()["detail"]) == (507, True)


def test_an_upload_that_finds_no_room_as_it_arrives_is_not_blamed_on_its_sender(
    viewer: Viewer, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", failing(errno.ENOSPC))
    reply = viewer.put_image("two", LARGE)
    assert (reply.status_code, "free some space" in reply.json()["detail"]) == (507, True)


def test_a_body_that_is_none_is_still_blamed_on_its_sender(viewer: Viewer) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    reply = viewer.send("PUT", "/datastore/image", content=b"no parts", headers=headers)
    assert 400 <= reply.status_code < 500


def copied_by_half(source: io.IOBase, target: io.IOBase, *_: object) -> None:
    target.write(source.read(100))
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
