"""What leaves a server: adapters, reports and data sets say nothing of whom they are of, and can still be used."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from fastapi import HTTPException
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from typer.testing import CliRunner

from salt_monailabel.adapters import AdapterConfig, read_card
from salt_monailabel.cli import app
from salt_monailabel.imaging import read_mask, read_study, synthesize, write_mask
from salt_monailabel.imaging.pseudonyms import KEY_FILE
from salt_monailabel.inference import adapted_model, card_of, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.serving.datastore import VesselDatastore
from salt_monailabel.serving.export import export_dataset
from salt_monailabel.serving.host import ModelHost
from salt_monailabel.serving.options import Options
from salt_monailabel.serving.report.findings import report_of
from salt_monailabel.serving.sharing import pseudonyms_of
from salt_monailabel.versions import VersionStore

from ..identified import SECRETS, identified, secrets_in
from .viewer import our_server

# All of one patient; the first is held back from learning.
NAMED = ("Zebrowska_Kunigunde", "px4839201 (2)", "1954-03-02_rca", "run-4")
PLAIN = "coronary-7"
BURNED = "Zebrowska-screen"
PNG, NRRD = "Zebrowska_fundus", "zebrowska.octa"


def mask(path: Path) -> Path:
    """Write a label of an image, in the way of a program that says in its header what it is of."""
    study = read_study(path)
    drawn = np.zeros(study.shape, np.uint8)
    drawn[:, 4:12, 8:20] = 1
    target = path.parent / "label.nrrd"
    write_mask(drawn, study, target)
    image = sitk.ReadImage(str(target))
    image.SetMetaData("Segment0_Name", "Zebrowska")
    sitk.WriteImage(image, str(target))
    return target


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return studies of one patient, each with a label, and two versions that have learned from them."""
    folder = tmp_path_factory.mktemp("export") / "studies"
    folder.mkdir()
    for number, name in enumerate((*NAMED, PLAIN), start=1):
        identified(folder / f"{name}.dcm", number)
    identified(folder / f"{BURNED}.dcm", 9, BurnedInAnnotation="YES")
    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", "Kunigunde Zebrowska, 20210317")
    Image.fromarray(synthesize(1, 128, "fundus").image).save(folder / f"{PNG}.png", pnginfo=about)
    volume = sitk.GetImageFromArray(synthesize(2, 128, "octa").image[None, ..., 0])
    volume.SetSpacing((0.01, 0.02, 1.5))
    volume.SetMetaData("0010|0010", "Zebrowska^Kunigunde")
    sitk.WriteImage(volume, str(folder / f"{NRRD}.nrrd"))
    with our_server(folder) as viewer:
        for name in list(viewer.send("GET", "/datastore/", params={"output": "all"}).json()["objects"]):
            file = next(folder.glob(f"{name}.*"))
            label = mask(file)
            assert viewer.segment("salt", name).labels.size
            upload = {"label": ("label.nrrd", label.read_bytes())}
            info = {"params": json.dumps({"comment": "Zebrowska", "label_info": []})}
            query = {"image": name, "tag": "final"}
            assert viewer.send("PUT", "/datastore/label", params=query, data=info, files=upload).status_code == 200
            label.unlink()
    # One that was laid there.
    label = mask(folder / f"{PLAIN}.dcm")
    label.rename(folder / "labels" / "final" / f"{PLAIN}.nrrd")
    learned(folder)
    return folder


def learned(folder: Path) -> None:
    store = VersionStore(folder / "adapters")
    adapter = fresh_adapter("vessel_t", ["vessel"], AdapterConfig(method="bias"))
    model = adapter.model
    assert isinstance(model, VesselSam)
    score = {"dice": 0.8, "cl_dice": 0.7}
    judged = {"rule": "images", "tolerance": 0.002, "before": score, "after": score}
    card = {
        **card_of("vessel_t", model),
        "created": "2021-03-17T10:15:33+00:00",
        "asked_by": "Quackenbush",
        "images": sorted(NAMED),
        "labels_sha256": dict.fromkeys(NAMED, "0" * 64),
        "learned_until": 1_615_976_133,
        "patient": "Zebrowska",
        "training": {
            "mode": "update",
            "images": 4,
            "seconds": 18.0,
            "skipped": ["Zebrowska-screen.dcm is constant"],
            "promoted": True,
            "held_back": judged,
        },
    }
    store.promote(store.add(adapter, card, None))


@pytest.fixture
def store(studies: Path) -> VesselDatastore:
    return VesselDatastore(str(studies), ["vessel"], auto_reload=False)


@pytest.fixture
def opened(store: VesselDatastore, tmp_path: Path) -> Iterator[Path]:
    """Return the folder an export was unpacked to."""
    path = Path(export_dataset(store))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
        archive.extractall(tmp_path / "opened")
    yield tmp_path / "opened"
    path.unlink()


def everything(folder: Path) -> bytes:
    """Return all there is in a folder, names of files too."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return b"\n".join(str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)


def kept(store: VesselDatastore, image: str) -> str:
    return pseudonyms_of(store).case(image)


def test_a_data_set_holds_nothing_of_the_patient(studies: Path, opened: Path) -> None:
    assert len(secrets_in(everything(studies))) == len(SECRETS)
    assert secrets_in(everything(opened)) == []
    for path in opened.glob("*/*.nrrd"):
        image = sitk.ReadImage(str(path))
        values = [image.GetMetaData(key) for key in image.GetMetaDataKeys()]
        assert secrets_in(" ".join(values).encode()) == [], path
    for path in opened.glob("*/*.png"):
        with Image.open(path) as picture:
            assert not {"Comment", "exif"} & picture.info.keys()


def test_its_images_and_labels_are_those_of_the_store(studies: Path, opened: Path, store: VesselDatastore) -> None:
    for name in (*NAMED, PLAIN, PNG, NRRD):
        source, case = next(studies.glob(f"{name}.*")), kept(store, name)
        before, after = read_study(source), read_study(next((opened / "image").glob(f"{case}.*")))
        assert np.array_equal(np.asarray(before.pixels), np.asarray(after.pixels))
        assert before.spacing == after.spacing
        for kind, tag in (("label", "final"), ("proposal", "original")):
            drawn = read_mask(studies / "labels" / tag / f"{name}.nrrd", before)
            assert np.array_equal(read_mask(opened / kind / f"{case}.nrrd", after), drawn)


def test_it_says_what_it_is_and_what_was_left_out(opened: Path, store: VesselDatastore) -> None:
    told = json.loads((opened / "metadata.json").read_text())
    assert told["labels"] == {"vessel": 1}
    assert list(told["left_out"]) == [kept(store, BURNED)]
    case = told["cases"][kept(store, NAMED[0])]
    assert (opened / case["image"]).is_file()
    assert {"changed", "vessel", "version"} <= case.keys()
    assert kept(store, BURNED) in (opened / "README.txt").read_text()
    assert not list(opened.glob(f"*/{kept(store, BURNED)}.*"))


def test_files_of_one_patient_still_are_and_the_next_export_calls_him_otherwise(
    opened: Path, store: VesselDatastore
) -> None:
    path = Path(export_dataset(store, limit=7))
    with zipfile.ZipFile(path) as archive:
        sent = [name for name in archive.namelist() if name.startswith("image/")]
        with archive.open(next(name for name in sent if name.endswith(".dcm"))) as file:
            again = dcmread(file)
    path.unlink()
    assert len(sent) <= 7
    objects = [dcmread(file) for file in (opened / "image").glob("*.dcm")]
    assert len({data.PatientID for data in objects}) == len({data.StudyInstanceUID for data in objects}) == 1
    assert len({data.SOPInstanceUID for data in objects}) == len(objects) == 5
    assert again.PatientID != objects[0].PatientID


def test_what_seems_to_have_text_is_named(store: VesselDatastore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salt_monailabel.imaging.burned_in.has_text", lambda image: image.shape[-1] == 3)
    path = Path(export_dataset(store))
    with zipfile.ZipFile(path) as archive:
        readme = archive.read("README.txt").decode()
    path.unlink()
    assert f"text in: {kept(store, PNG)}\n" in readme


def test_what_is_damaged_is_left_out_and_the_rest_is_there(studies: Path, store: VesselDatastore) -> None:
    damaged = {studies / f"{NAMED[1]}.dcm": NAMED[1], studies / "labels" / "final" / f"{NRRD}.nrrd": NRRD}
    proposal = studies / "labels" / "original" / f"{PNG}.nrrd"
    contents = {path: path.read_bytes() for path in (*damaged, proposal)}
    for path, content in contents.items():
        path.write_bytes(content[:300])
    path = Path(export_dataset(store))
    for file, content in contents.items():
        file.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        told = json.loads(archive.read("metadata.json"))
    path.unlink()
    assert set(told["left_out"]) == {kept(store, name) for name in (*damaged.values(), BURNED)}
    assert "proposal" not in told["cases"][kept(store, PNG)]
    assert secrets_in(json.dumps(told).encode()) == []


def test_without_labels_there_is_nothing_to_export(tmp_path: Path) -> None:
    with pytest.raises(HTTPException) as refused:
        export_dataset(VesselDatastore(str(tmp_path / "new"), ["vessel"], auto_reload=False))
    assert refused.value.status_code == 404


def test_an_adapter_says_nothing_of_the_patient_and_can_be_taken_in(
    studies: Path, store: VesselDatastore, tmp_path: Path
) -> None:
    by_command, by_request, elsewhere = tmp_path / "0001.safetensors", tmp_path / "sent.safetensors", tmp_path / "b"
    result = CliRunner().invoke(app, ["adapters", "export", str(studies), "0001", str(by_command)])
    assert result.exit_code == 0, result.output
    with our_server(studies) as viewer:
        by_request.write_bytes(viewer.send("GET", "/salt/adapters/0001/file").content)
    assert by_command.read_bytes() == by_request.read_bytes()
    content = by_command.read_bytes()
    assert secrets_in(content) == []
    for gone in (b"asked_by", b"learned_until", b"2021-03", b"1615976133", b"constant"):
        assert gone not in content
    card = read_card(by_command)
    assert set(card["images"]) == set(card["labels_sha256"]) == {kept(store, name) for name in NAMED}
    assert (card["created"], card["training"]["held_back"]["after"]["dice"]) == ("2021", 0.8)
    with our_server(elsewhere) as viewer:
        files = {"file": ("0001.safetensors", content)}
        assert viewer.send("POST", "/salt/adapters/import", files=files).json() == {"version": "0001"}
    here, there = (adapted_model(path).state() for path in (studies / "adapters/0001/adapter.safetensors", by_command))
    assert here.keys() == there.keys()
    assert all(np.array_equal(here[name].numpy(), there[name].numpy()) for name in here)


def test_its_own_card_keeps_the_names(studies: Path) -> None:
    assert VersionStore(studies / "adapters").card("0001")["images"] == sorted(NAMED)


@pytest.fixture
def all_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("salt_monailabel.serving.report.findings.images_held_back", sorted)
    monkeypatch.setattr("salt_monailabel.serving.report.rendering.SHOWN", 8)


def host(studies: Path) -> ModelHost:
    return ModelHost(Options(), VersionStore(studies / "adapters"))


@pytest.mark.usefixtures("all_held_back")
def test_a_report_to_be_passed_on_names_nobody(studies: Path, store: VesselDatastore) -> None:
    html = report_of(store, host(studies))
    said = re.sub(r"data:[^\"]*", "", html)
    assert secrets_in(said.encode()) == []
    for gone in (PLAIN, NAMED[3], "studies", "2021-03", *(str(year) + "-" for year in range(2024, 2060))):
        assert gone not in said
    assert all(kept(store, name) in said for name in (*NAMED, PLAIN, PNG, NRRD, BURNED))
    assert "<td>day 1</td>" in said
    # What says it has text burned in is named, but not shown.
    _, _, after = said.partition(f"<h4>{kept(store, BURNED)}")
    assert "its pictures must not be passed on" in after.partition("<h4>")[0]
    assert "<img" not in after.partition("<h4>")[0]


@pytest.mark.usefixtures("all_held_back")
def test_a_report_on_the_server_names_images_unless_their_names_are_those_of_patients(
    studies: Path, store: VesselDatastore
) -> None:
    with our_server(studies) as viewer:
        html = viewer.send("GET", "/salt/report").text
    said = re.sub(r"data:[^\"]*", "", html)
    for name in (NAMED[0], NAMED[1], NAMED[2], PNG, NRRD, BURNED):
        assert name not in said
        assert kept(store, name) in said
    for name in (NAMED[3], PLAIN):
        assert name in said
        assert kept(store, name) not in said
    assert set(secrets_in(said.encode())) == {"Quackenbush"}


def test_the_house_can_say_which_image_is_meant(studies: Path, store: VesselDatastore) -> None:
    result = CliRunner().invoke(app, ["adapters", "names", str(studies)])
    assert result.exit_code == 0, result.output
    rows = [row for row in result.output.splitlines() if kept(store, NAMED[0]) in row]
    assert [NAMED[0] in row for row in rows] == [True]


def test_the_key_is_no_image_and_is_not_sent(studies: Path, store: VesselDatastore) -> None:
    key = (studies / KEY_FILE).read_bytes()
    assert KEY_FILE not in str(store.json())
    path = Path(export_dataset(store))
    with zipfile.ZipFile(path) as archive:
        sent: Any = b"".join(archive.read(name) for name in archive.namelist())
    path.unlink()
    assert key not in sent
    with our_server(studies) as viewer:
        for name in (KEY_FILE, KEY_FILE.removesuffix(".key")):
            assert viewer.send("GET", "/datastore/image", params={"image": name}).status_code == 404
