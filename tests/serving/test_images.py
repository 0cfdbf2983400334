"""The images of a server: which there are, whose they are, and each as the model is shown it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from salt_monailabel.imaging import read_study
from salt_monailabel.serving.access.tokens import Role, TokenFile

from ..dicom import ROWS, run, written
from .audited import entries
from .laid import lay
from .viewer import Upload, Viewer, drawing, nrrd, one_slice, our_server, png, read

IMAGE, VESSELS = drawing(rows=96, columns=128)
GRAY = IMAGE[..., 1]
# Turned about two axes: no axis of the image is one of the patient.
ASLANT = (0.8, -0.48, 0.36, 0.6, 0.64, -0.48, 0.0, 0.6, 0.8)
PLACE = {"spacing": (0.3, 0.2, 2.0), "origin": (10.0, -20.0, 5.0), "direction": ASLANT}


def dicom(folder: Path, **tags: Any) -> Upload:
    path = written(folder / "run.dcm", np.stack([GRAY, GRAY[::-1]]).astype(np.uint16) * 16, **tags)
    return path.name, path.read_bytes()


KINDS: dict[str, Callable[[Path], Upload]] = {
    "gray PNG": lambda folder: png(GRAY),
    "colour PNG": lambda folder: png(IMAGE),
    "oblique NIfTI": lambda folder: nrrd(np.stack([GRAY, GRAY[::-1]]), **PLACE, name="volume.nii.gz"),
    "DICOM run": lambda folder: dicom(folder, PhotometricInterpretation="MONOCHROME1", WindowCenter=9, WindowWidth=99),
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("images") / "studies"


@pytest.fixture(scope="module")
def viewer(studies: Path) -> Iterator[Viewer]:
    """Connect to a server with images in folders of folders."""
    lay(studies, "patient/study/IM2.png", "patient/study/IM10.png", "patient/study/IM1.png")
    with our_server(studies) as connected:
        yield connected


def listed(viewer: Viewer, **query: str) -> dict[str, dict[str, bool]]:
    reply = viewer.send("GET", "/salt/images", params=query)
    assert reply.status_code == 200, reply.text
    return {image.pop("id"): image for image in reply.json()["images"]}


def fetched(viewer: Viewer, image: str) -> sitk.Image:
    reply = viewer.send("GET", f"/salt/images/{image}")
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/octet-stream"
    assert f'"{image}.nrrd"' in reply.headers["content-disposition"]
    return read(("volume.nrrd", reply.content))


def test_images_are_listed_with_whose_they_are_and_whether_they_are_done(viewer: Viewer) -> None:
    names = [f"patient_study_IM{number}" for number in (1, 2, 10)]
    assert list(listed(viewer)) == names
    nobodys = {"done": False, "mine": False, "taken": False}
    assert set(map(str, listed(viewer).values())) == {str(nobodys)}
    first = viewer.send("POST", "/activelearning/first", json={"client_id": "here"}).json()["id"]
    assert first == "patient_study_IM1"
    assert listed(viewer, client_id="here")[first] == {"done": False, "mine": True, "taken": False}
    assert listed(viewer)[first] == listed(viewer, client_id="there")[first] == {**nobodys, "taken": True}
    shape = sitk.GetArrayFromImage(fetched(viewer, first)).shape
    mask = np.zeros(shape[1:], np.uint8)
    mask[3:5] = 1
    assert viewer.put_label(first, one_slice(mask)).status_code == 200
    assert listed(viewer)[first] == {"done": True, "mine": False, "taken": False}
    assert [image["done"] for image in listed(viewer).values()] == [True, False, False]


@pytest.mark.parametrize("kind", list(KINDS))
def test_an_image_is_what_the_model_is_shown_where_masks_lie(
    viewer: Viewer, studies: Path, kind: str, tmp_path: Path
) -> None:
    upload = KINDS[kind](tmp_path)
    assert viewer.put_image("shown", upload).status_code == 200
    try:
        image = fetched(viewer, "shown")
        study = read_study(next(path for path in studies.glob("shown.*")))
        shown = np.stack(list(study.frames()))
        pixels = sitk.GetArrayFromImage(image)
        assert image.GetNumberOfComponentsPerPixel() == shown.shape[-1]
        assert np.array_equal(pixels.reshape(shown.shape), shown.astype(pixels.dtype))
        assert image.GetMetaData("name") == "shown"
        # A line from pixel to pixel, of clicks, has its ends at these pixels of the mask that is answered.
        start, end = (20, 7, len(pixels) - 1), (90, 60, len(pixels) - 1)
        empty = nrrd(np.zeros(pixels.shape[:3], np.uint8))
        answer = viewer.segment("salt_edit", "shown", empty, label_name="vessel", bridge=[start, end])
        mask = sitk.GetArrayFromImage(answer.image).reshape(pixels.shape[:3])
        assert [tuple(place) for place in np.argwhere(mask)[[0, -1]][:, ::-1].tolist()] == [start, end]
        if answer.image.GetDimension() == 3:
            for place in (start, end):
                there = answer.image.TransformIndexToPhysicalPoint(place)
                assert image.TransformIndexToPhysicalPoint(place) == pytest.approx(there)
    finally:
        viewer.send("DELETE", "/datastore/image", params={"id": "shown"})


def test_an_oblique_image_lies_where_it_was(viewer: Viewer) -> None:
    volume = nrrd(np.stack([GRAY, GRAY[::-1]]), **PLACE, name="volume.nii.gz")
    viewer.put_image("aslant", volume)
    image, source = fetched(viewer, "aslant"), read(volume)
    assert image.GetDirection() == pytest.approx(ASLANT, abs=1e-6)
    for place in ((0, 0, 0), (100, 7, 1)):
        there = source.TransformIndexToPhysicalPoint(place)
        assert image.TransformIndexToPhysicalPoint(place) == pytest.approx(there, abs=1e-4)
    viewer.send("DELETE", "/datastore/image", params={"id": "aslant"})


@pytest.mark.parametrize("image", ["nobody", "patient/study/IM1", "..%2F..%2Fx", "%2E%2E", "patient%2Fstudy%2FIM1"])
def test_an_image_there_is_not_is_not_sent(viewer: Viewer, image: str) -> None:
    assert viewer.send("GET", f"/salt/images/{image}").status_code in (400, 404)


def test_an_image_whose_file_is_gone_is_404(viewer: Viewer, studies: Path) -> None:
    viewer.put_image("gone", png(IMAGE))
    (studies / "gone.png").unlink()
    reply = viewer.send("GET", "/salt/images/gone")
    assert (reply.status_code, "'gone'" in reply.json()["detail"]) == (404, True)


def test_a_damaged_image_is_named_as_the_list_names_it_and_leaves_nothing_behind(
    viewer: Viewer, studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "run.dcm", run(4))
    viewer.put_image("damaged", (path.name, path.read_bytes()))
    (studies / "damaged.dcm").write_bytes(path.read_bytes()[: -ROWS * 10])
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    reply = viewer.send("GET", "/salt/images/damaged")
    assert reply.status_code == 400
    assert "'damaged' cannot be shown" in reply.json()["detail"]
    assert fetched(viewer, "patient_study_IM10").GetSize()[2] == 1
    assert list((tmp_path / "temporary").iterdir()) == []
    viewer.send("DELETE", "/datastore/image", params={"id": "damaged"})


# Servers of their own, last: in one process, MONAI Label knows one app.


def test_thousands_of_images_are_listed_at_once_and_none_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = tmp_path / "studies"
    content = png(GRAY[:8, :8])[1]
    studies.mkdir()
    for number in range(3000):
        (studies / f"IM{number}.png").write_bytes(content)
    with our_server(studies) as viewer:
        monkeypatch.setattr("salt_monailabel.serving.studies.read_study", lambda path: pytest.fail(path))
        started = time.perf_counter()
        images = list(listed(viewer))
        took = time.perf_counter() - started
    assert images == [f"IM{number}" for number in range(3000)]
    assert took < 2


def test_readers_fetch_images_and_it_is_on_record_who_did(tmp_path: Path) -> None:
    studies = tmp_path / "studies"
    lay(studies, "one.png")
    token = TokenFile(tmp_path / "tokens.json").add("ann", Role.READER, 1)
    with our_server(studies, tokens="always") as viewer:
        assert viewer.send("GET", "/salt/images").status_code == 401
        assert viewer.send("GET", "/salt/images/one").status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert viewer.send("GET", "/salt/images", headers=bearer).status_code == 200
        assert viewer.send("GET", "/salt/images/one", headers=bearer).status_code == 200
        assert viewer.send("GET", "/salt/images/two", headers=bearer).status_code == 404
    lines = entries(studies / "adapters" / "audit.jsonl")
    fetches = [(line["who"], line["image"]) for line in lines if line["action"] == "fetch"]
    assert fetches == [("ann", "one")]
