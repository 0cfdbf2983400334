"""Input that cannot be used is refused with its reason, and leaves no trace."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .viewer import Upload, Viewer, contents, drawing, nrrd, one_slice, png, serving

IMAGE, VESSELS = drawing(rows=96, columns=128)
WITH_NAN = IMAGE[..., 1].astype(np.float32)
WITH_NAN[5, 5] = np.nan
HALF = VESSELS[:48]
OUTSIDE = ["../../x", "..", ".hidden", "a/b", "a\\b", "/etc/x"]
BAD_IMAGES = [
    pytest.param(("photo.png", b"these are words, no pixels"), "cannot be read", id="text named .png"),
    pytest.param(("photo.png", b""), "empty", id="empty file"),
    pytest.param(("photo.png", png(IMAGE)[1][:400]), "", id="truncated PNG"),
    pytest.param(nrrd(WITH_NAN), "NaN", id="NaN pixels"),
    pytest.param(png(np.full((64, 64, 3), 7, np.uint8)), "constant", id="constant"),
    pytest.param(nrrd(np.arange(256, dtype=np.int16).reshape(2, 2, 8, 8)), "only images and stacks", id="4D"),
]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("refusals") / "studies"


@pytest.fixture(scope="module")
def viewer(studies: Path) -> Iterator[Viewer]:
    """Connect to a server with one labelled image."""
    with serving(studies) as connected:
        connected.put_image("one", png(IMAGE))
        connected.put_label("one", one_slice(VESSELS))
        assert connected.status() == {"total": 1, "completed": 1, "label_tags": {"final": 1}}
        yield connected


@pytest.fixture(autouse=True)
def _unchanged(viewer: Viewer, studies: Path) -> Iterator[None]:
    """Check after every test that neither the files nor the index of the store have changed."""
    before, index = contents(studies.parent), viewer.send("GET", "/datastore/", params={"output": "all"}).json()
    yield
    assert contents(studies.parent) == before
    assert viewer.send("GET", "/datastore/", params={"output": "all"}).json() == index


def assert_refused(reply: Any, *words: str, status: int = 400) -> None:
    assert reply.status_code == status, reply.text
    detail = reply.json()["detail"]
    assert all(word in detail for word in words), detail


@pytest.mark.parametrize(("image", "reason"), BAD_IMAGES)
def test_an_image_that_cannot_be_used_is_not_segmented(viewer: Viewer, image: Upload, reason: str) -> None:
    assert_refused(viewer.infer("salt", image), reason)


@pytest.mark.parametrize(("image", "reason"), BAD_IMAGES)
def test_an_image_that_cannot_be_used_is_not_stored(viewer: Viewer, image: Upload, reason: str) -> None:
    assert_refused(viewer.put_image("two", image), reason)


def test_the_refusal_of_an_image_names_it_as_its_sender_does(viewer: Viewer) -> None:
    assert_refused(viewer.put_image("patient_7", ("photo.png", b"")), "patient_7", "empty")


@pytest.mark.parametrize("upload", [png(np.zeros((9, 9), np.uint8)), ("photo.png", b"words")])
def test_a_refused_upload_does_not_stay_on_the_disk(
    viewer: Viewer, upload: Upload, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert_refused(viewer.infer("salt", upload))
    assert_refused(viewer.put_image("two", upload))
    assert_refused(viewer.put_label("one", upload))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("label", "info", "words"),
    [
        pytest.param(one_slice(HALF), [{"name": "vessel", "idx": 1}], ("48 x 128", "96 x 128"), id="wrong size"),
        pytest.param(
            nrrd(np.stack([VESSELS, VESSELS]).astype(np.uint8)), [], ("2 x 96 x 128", "1 x 96 x 128"), id="two slices"
        ),
        pytest.param(one_slice(VESSELS & False), [{"name": "vessel", "idx": 1}], ("no vessel",), id="no vessel"),
        pytest.param(one_slice(VESSELS), [{"name": "vessel", "idx": 3}], ("no vessel",), id="segment without pixels"),
        pytest.param(one_slice(VESSELS), [{"name": "bone", "idx": 1}], ("bone", "vessel"), id="unknown label"),
        pytest.param(nrrd(3 * VESSELS[None].astype(np.uint8)), [], ("value 3",), id="unknown value"),
        pytest.param(nrrd(0.5 * VESSELS[None].astype(np.float32)), [], ("whole numbers",), id="fractions"),
        pytest.param(("label.nrrd", b"words"), [], ("cannot be read",), id="text"),
        pytest.param(("label.nrrd", b""), [], ("empty",), id="empty"),
        pytest.param(one_slice(VESSELS), [{"name": "vessel", "idx": "first"}], ("label_info",), id="no number"),
        pytest.param(one_slice(VESSELS), ["vessel"], ("label_info",), id="names alone"),
    ],
)
def test_a_label_that_cannot_be_learned_from_is_not_stored(
    viewer: Viewer, label: Upload, info: list[object], words: tuple[str, ...]
) -> None:
    assert_refused(viewer.put_label("one", label, info), *words)


def test_a_label_of_no_image_is_refused_by_name(viewer: Viewer) -> None:
    assert_refused(viewer.put_label("nobody", one_slice(VESSELS)), "nobody", status=404)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leaves_the_store_is_refused(viewer: Viewer, name: str) -> None:
    assert_refused(viewer.put_image(name, png(IMAGE)), name)
    assert_refused(viewer.put_label(name, one_slice(VESSELS)), name)
    assert_refused(viewer.put_label("one", one_slice(VESSELS), tag=name), name)


@pytest.mark.parametrize("model", ["salt", "salt_edit"])
def test_an_image_that_is_not_there_is_answered_404(viewer: Viewer, model: str) -> None:
    assert_refused(viewer.infer(model, "nobody"), "datastore", status=404)
    assert_refused(viewer.infer(model, "../../x"), "datastore", status=404)


def test_a_path_on_the_server_is_not_the_name_of_an_image(viewer: Viewer, tmp_path: Path) -> None:
    private = tmp_path / "private.png"
    private.write_bytes(png(IMAGE)[1])
    assert_refused(viewer.infer("salt", str(private), output="json"), "datastore", status=404)
    assert_refused(viewer.infer("salt", "one", output="json", image=str(private)), "datastore", status=404)


def test_a_temporary_file_of_another_program_is_neither_read_nor_removed(
    viewer: Viewer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    image, text = tmp_path / "private.png", tmp_path / "notes.txt"
    image.write_bytes(png(IMAGE)[1])
    text.write_text("no pixels")
    for path in (image, text):
        assert_refused(viewer.infer("salt", "one", output="json", image=str(path)), "datastore", status=404)
        assert path.is_file()


def test_a_name_longer_than_any_file_may_have_is_answered_404(viewer: Viewer) -> None:
    assert_refused(viewer.infer("salt", "x" * 5000), "datastore", status=404)


@pytest.mark.parametrize(
    ("correction", "words"),
    [
        pytest.param({"foreground": [[128, 5, 0]]}, ("click", "128 x 96"), id="beyond the columns"),
        pytest.param({"foreground": [[5, 96, 0]]}, ("click", "128 x 96"), id="beyond the rows"),
        pytest.param({"background": [[5, 5, 1]]}, ("click", "x 1"), id="beyond the frames"),
        pytest.param({"background": [[-1, 5, 0]]}, ("click",), id="before the first column"),
        pytest.param({"vessel": [[500, 500, 0]]}, ("click",), id="outside, under the name of the label"),
        pytest.param({"foreground": [[5]]}, ("foreground", "[i, j, k]"), id="half a click"),
        pytest.param({"foreground": [["a", "b", "c"]]}, ("foreground", "[i, j, k]"), id="letters"),
        pytest.param({"foreground": [5, 5, 0]}, ("foreground", "[i, j, k]"), id="click not in a list"),
        pytest.param({"foreground": 5}, ("foreground", "[i, j, k]"), id="number"),
        pytest.param({"foreground": [[5, float("nan"), 0]]}, ("click",), id="click that is no number"),
        pytest.param({"roi": [10, 10, 0, 50, 0, 0]}, ("region", "empty"), id="region without width"),
        pytest.param({"roi": [20, 10, 0, 50, 0, 0]}, ("region", "empty"), id="region turned over"),
        pytest.param({"roi": [200, 220, 0, 50, 0, 0]}, ("region", "outside"), id="region beside the image"),
        pytest.param({"roi": [10, 20, 0, 50, 3, 4]}, ("region", "outside"), id="region on no frame"),
        pytest.param({"roi": [10, 20, 0]}, ("roi", "i0"), id="half a region"),
        pytest.param({"roi": [10, 20, 0, 50, 0, float("inf")]}, ("roi",), id="endless region"),
        pytest.param({"foreground": [[5, 5, 0]], "label": "bone"}, ("bone", "vessel"), id="unknown label"),
        pytest.param({"foreground": [[5, 5, 0]], "label_name": "bone"}, ("bone", "vessel"), id="unknown label name"),
    ],
)
def test_a_correction_that_cannot_be_meant_is_refused(
    viewer: Viewer, correction: dict[str, object], words: tuple[str, ...]
) -> None:
    assert_refused(viewer.infer("salt_edit", "one", **correction), *words)


def test_a_previous_mask_of_another_size_is_refused(viewer: Viewer) -> None:
    reply = viewer.infer("salt_edit", "one", one_slice(HALF), label_name="vessel", foreground=[[5, 5, 0]])
    assert_refused(reply, "48 x 128", "96 x 128")


def test_an_unknown_model_is_answered_404_with_those_there_are(viewer: Viewer) -> None:
    assert_refused(viewer.infer("deepedit", "one"), "deepedit", "salt_edit", status=404)


def test_an_unknown_strategy_is_answered_404_with_those_there_are(viewer: Viewer) -> None:
    assert_refused(viewer.next_sample("wisest"), "wisest", "first", status=404)
