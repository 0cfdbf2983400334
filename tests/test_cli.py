"""The `salt` command."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from PIL import Image
from pydicom import dcmread
from rich.console import Console
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from salt_monailabel.adapters import copy, read_card
from salt_monailabel.adapters.file import FORMAT
from salt_monailabel.cli import app, commands
from salt_monailabel.cli.commands import modality_for
from salt_monailabel.cli.doctor import _torch
from salt_monailabel.cli.sheet import CELL, GAP
from salt_monailabel.imaging import synthesize
from salt_monailabel.imaging.synthetic import STYLES
from salt_monailabel.training import TrainingError
from salt_monailabel.training.pretrain import PretrainConfig
from salt_monailabel.whole_files import PARTIAL

from .dicom import written

COMMANDS = sorted(command.name or command.callback.__name__ for command in app.registered_commands if command.callback)
SIZE = 128


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep bases computed by training out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data set in the paper's layout: one image to train on, one to test on."""
    folder = tmp_path_factory.mktemp("cli") / "drawn"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rows = [{"imgs": "a.png", "split": "train"}, {"imgs": "b.png", "split": "test"}]
    for seed, row in enumerate(rows):
        image, mask, _ = synthesize(seed, SIZE, "fundus")
        Image.fromarray(image).save(folder / "images" / row["imgs"])
        name = row["imgs"] if row["split"] == "train" else f"{Path(row['imgs']).stem}_mask.png"
        Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / name)
    with open(folder / "data_split.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, ["imgs", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def adapter(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an adapter the command has trained, briefly."""
    path = tmp_path_factory.mktemp("adapter") / "drawn.safetensors"
    result = salt("train", dataset, "--out", path, "--seconds", 2, "--rank", 0.25, "--lora-rank", 4)
    assert result.exit_code == 0, result.output
    assert path.name in result.output
    return path


def salt(*arguments: object) -> Result:
    """Run the command on a wide terminal, so that no line of its output is broken."""
    return CliRunner(env={"COLUMNS": "500"}).invoke(app, [str(a) for a in arguments])


def labels(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def test_without_arguments_the_command_explains_its_first_steps() -> None:
    assert "salt doctor" in salt().output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    result = salt(command, "--help")
    assert result.exit_code == 0
    assert f"Usage: root {command}" in result.output
    assert "--help" in result.output


def test_the_commands_of_the_readme_are_there() -> None:
    assert {"demo", "serve", "predict", "evaluate", "train", "doctor"} <= set(COMMANDS)


def test_doctor_finds_this_installation_well_and_lists_what_it_looked_at() -> None:
    result = salt("doctor")
    assert result.exit_code == 0, result.output
    looked_at = ("Python", "torch", "GPU", "torchvision", "MONAI Label", "pydicom", "vessel_t", "disk", "cache")
    assert [what for what in looked_at if what not in result.output] == []


def test_doctor_names_a_clash_and_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.0.1" if name == "pydicom" else installed(name))
    result = salt("doctor")
    assert result.exit_code == 1
    line = next(line for line in result.output.splitlines() if "3.0.1" in line)
    assert "no" in line.split()
    assert "pip install 'pydicom>=2.4.5,<3'" in line


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16"])
def test_doctor_says_whether_the_processor_has_bfloat16(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for there, said in ((True, "CPU with bfloat16"), (False, "CPU without bfloat16")):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda there=there: {name: there})
        assert said in _torch().found


def test_doctor_survives_a_package_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    result = salt("doctor")
    assert result.exit_code == 1
    assert "PackageNotFoundError" in result.output
    assert "fresh environment" in result.output


def test_predict_writes_a_mask_and_an_overlay_of_the_size_of_the_image(dataset: Path, tmp_path: Path) -> None:
    result = salt("predict", dataset / "images" / "a.png", "--out", tmp_path / "new" / "out")
    assert result.exit_code == 0, result.output
    mask = labels(tmp_path / "new" / "out" / "a.nrrd")
    assert mask.shape == (SIZE, SIZE)
    assert set(np.unique(mask)) == {0, 1}
    with (
        Image.open(tmp_path / "new" / "out" / "a_overlay.png") as overlay,
        Image.open(dataset / "images" / "a.png") as image,
    ):
        assert overlay.size == image.size
        assert overlay.tobytes() != image.convert("RGB").tobytes()


def test_predict_is_told_what_the_images_are_of(dataset: Path, tmp_path: Path) -> None:
    outlined = []
    for modality in ("auto", "fundus", "octa"):
        result = salt("predict", dataset / "images" / "a.png", "--out", tmp_path / modality, "--modality", modality)
        assert result.exit_code == 0, result.output
        outlined.append(labels(tmp_path / modality / "a.nrrd"))
    assert np.array_equal(outlined[0], outlined[1])
    assert not np.array_equal(outlined[0], outlined[2])
    refused = salt("predict", dataset / "images" / "a.png", "--out", tmp_path, "--modality", "mri")
    assert refused.exit_code == 1
    assert "one of auto, fundus, octa" in refused.output


def test_images_are_what_those_were_that_taught_the_adapter(adapter: Path, tmp_path: Path) -> None:
    assert modality_for("auto", None) is None
    assert modality_for("auto", adapter) is None
    card = {**read_card(adapter), "modality": "octa"}
    save_file(load_file(adapter), tmp_path / "octa.safetensors", metadata={"card": json.dumps(card)})
    assert modality_for("auto", tmp_path / "octa.safetensors") == "octa"
    assert modality_for("fundus", tmp_path / "octa.safetensors") == "fundus"


def test_predict_names_a_bad_file_and_does_the_others(dataset: Path, tmp_path: Path) -> None:
    # Square brackets mean colours to the terminal library.
    bad = tmp_path / "bad[eye].png"
    bad.write_text("no pixels")
    images = [dataset / "images" / "a.png", bad, dataset / "images" / "b.png"]
    result = salt("predict", *images, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "bad[eye].png cannot be read" in result.output
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "a.nrrd",
        "a_overlay.png",
        "b.nrrd",
        "b_overlay.png",
    }


def test_results_are_found_beside_their_images_by_names_with_dots(dataset: Path, tmp_path: Path) -> None:
    stripes = (np.indices((1, SIZE, SIZE))[2] // 9 % 2 * 500 + 200).astype(np.uint16)
    (tmp_path / "images").mkdir()
    images = [written(tmp_path / "images" / f"1.2.840.{number}", stripes) for number in (1, 2)]
    images.append(tmp_path / "images" / "eye.nii.gz")
    sitk.WriteImage(sitk.GetImageFromArray(stripes[0]), str(images[-1]))
    out = tmp_path / "out"
    result = salt("predict", *images, "--out", out)
    assert result.exit_code == 0, result.output
    names = {"1.2.840.1", "1.2.840.2", "eye"}
    assert {path.name for path in out.iterdir()} == {f"{n}{end}" for n in names for end in (".nrrd", "_overlay.png")}
    masks = sorted(out.glob("*.nrrd"))
    measured = salt("measure", *masks, "--image", tmp_path / "images", "--out", tmp_path / "figures")
    assert "no files named" not in measured.output


def test_predict_keeps_images_of_one_name_but_several_formats_apart(dataset: Path, tmp_path: Path) -> None:
    with Image.open(dataset / "images" / "b.png") as image:
        image.save(tmp_path / "a.bmp")
    result = salt("predict", dataset / "images" / "a.png", tmp_path / "a.bmp", "--out", tmp_path / "out")
    # Either both are kept, or the clash is refused; one mask in the place of two is neither.
    assert result.exit_code != 0 or len(list((tmp_path / "out").glob("*.nrrd"))) == 2


def test_predict_never_writes_over_an_image(dataset: Path) -> None:
    image = dataset / "images" / "a.png"
    before = image.read_bytes()
    result = salt("predict", image, "--out", dataset / "images", "--format", ".png")
    assert result.exit_code == 1
    assert "a.png would be overwritten" in " ".join(result.output.split())
    assert image.read_bytes() == before
    assert not (dataset / "images" / "a_overlay.png").exists()


def test_predict_writes_a_dicom_segmentation_of_dicom_alone(dataset: Path, tmp_path: Path) -> None:
    stripes = np.indices((1, SIZE, SIZE))[2] // 9 % 2 * 500 + 200
    source = written(tmp_path / "run.dcm", stripes.astype(np.uint16))
    images = [source, dataset / "images" / "a.png"]
    result = salt("predict", *images, "--out", tmp_path / "out", "--format", ".dcm")
    assert result.exit_code == 1
    assert "a.png is no DICOM image" in result.output
    assert dcmread(tmp_path / "out" / "run.dcm").Modality == "SEG"


def test_evaluate_writes_the_scores_as_json(dataset: Path, tmp_path: Path) -> None:
    result = salt("evaluate", dataset, "--out", tmp_path / "scores.json")
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert [image["name"] for image in scores["images"]] == ["b.png"]
    assert 0 < scores["mean"]["dice"] <= 1
    assert {"dice", "cl_dice", "hd95"} <= scores["mean"].keys()
    assert f"{scores['mean']['dice']:.4f}" in result.output


def test_train_writes_an_adapter_with_its_card(adapter: Path) -> None:
    card = read_card(adapter)
    assert (card["base"], card["labels"], card["config"]["method"]) == ("vessel_t", ["vessel"], "salt")
    assert card["config"]["lora_rank"] == 4
    assert (card["training"]["dataset"], card["training"]["images"]) == ("drawn", 1)
    assert card["training"]["steps"] >= 1


def test_predict_uses_the_adapter(adapter: Path, dataset: Path, tmp_path: Path) -> None:
    image = dataset / "images" / "a.png"
    base, adapted = (
        salt("predict", image, "--out", tmp_path / name, *options)
        for name, options in (("base", ()), ("adapted", ("--adapter", adapter, "--base", "vessel_t")))
    )
    assert (base.exit_code, adapted.exit_code) == (0, 0), adapted.output
    assert not np.array_equal(labels(tmp_path / "base" / "a.nrrd"), labels(tmp_path / "adapted" / "a.nrrd"))


def test_an_adapter_is_not_used_with_another_base(dataset: Path, tmp_path: Path) -> None:
    large = tmp_path / "large.safetensors"
    card = {"format": FORMAT, "config": {}, "base_fingerprint": "", "base": "vit_b"}
    save_file({"weight": torch.zeros(1)}, large, metadata={"card": json.dumps(card)})
    for command in (("predict", dataset / "images" / "a.png", "--out", tmp_path), ("evaluate", dataset)):
        refused = salt(*command, "--adapter", large, "--base", "vessel_t")
        assert refused.exit_code == 1
        assert f"{large} is for the base vit_b, not vessel_t; leave out --base" in refused.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(("--base", "vit_x"), ("vit_x", "vessel_t", "vit_b"), id="unknown base"),
        pytest.param(("--adapter", "nowhere.safetensors"), ("nowhere.safetensors", "no adapter"), id="no adapter"),
        pytest.param(("--weights", "nowhere.safetensors"), ("nowhere.safetensors", "no weights"), id="no weights"),
        pytest.param(("--device", "toaster"), ("toaster", "'auto'"), id="unknown device"),
    ],
)
def test_a_model_that_cannot_be_had_is_explained_in_one_line(
    dataset: Path, tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = salt("predict", dataset / "images" / "a.png", "--out", tmp_path, *arguments)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert len(result.output.strip().splitlines()) == 1
    assert [word for word in words if word not in result.output] == []


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param(("evaluate", "nowhere"), ("nowhere", "data_split.csv"), id="no data set"),
        pytest.param(("evaluate", "DATASET", "--split", "val"), ("'val'", "test", "train"), id="no such split"),
        pytest.param(("evaluate", "DATASET", "--label", "bone"), ("bone", "vessel"), id="unknown label"),
        pytest.param(("train", "DATASET", "--out", "x", "--method", "dora"), ("dora", "lora"), id="unknown method"),
        pytest.param(("train", "nowhere", "--out", "x"), ("nowhere", "data_split.csv"), id="nothing to train on"),
        pytest.param(("train", "DATASET", "--out", "x", "--labels", "a,a"), ("distinct",), id="one label twice"),
    ],
)
def test_a_command_that_cannot_be_done_is_explained_in_one_line(
    dataset: Path, command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = salt(*(dataset if word == "DATASET" else word for word in command))
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert len([line for line in result.output.splitlines() if line.strip()]) == 1, result.output
    assert [word for word in words if word not in result.output] == []


def test_a_contact_sheet_shows_real_images_above_drawn_ones(dataset: Path, tmp_path: Path) -> None:
    result = salt("sheet", tmp_path / "sheet.png", "--real", f"fundus={dataset / 'images'}", "--columns", 2)
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "sheet.png") as sheet:
        columns, rows = (round((side + GAP) / (CELL + GAP)) for side in sheet.size)
        assert (columns, rows) == (2, 1 + 2 * len(STYLES))
        assert np.ptp(np.asarray(sheet), axis=(0, 1)).min() > 100


@pytest.mark.parametrize(
    ("real", "reason"),
    [
        ("mri={}", "unknown style 'mri'"),
        ("fundus={}", "there is no image in"),
        ("fundus={}/none", "there is no image in"),
        ("fundus", "STYLE=FOLDER"),
    ],
)
def test_a_contact_sheet_says_what_it_cannot_show(tmp_path: Path, real: str, reason: str) -> None:
    # What a killed process left of an image is none.
    (tmp_path / f"{PARTIAL}0-image.png").touch()
    result = salt("sheet", tmp_path / "sheet.png", "--real", real.format(tmp_path))
    assert result.exit_code != 0
    assert reason in " ".join(result.output.split())
    assert not (tmp_path / "sheet.png").exists()


def test_serve_listens_on_this_computer_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[tuple[object, ...]] = []
    monkeypatch.setattr("salt_monailabel.serving.launch.start_server", lambda *arguments: started.append(arguments))
    result = salt("serve", tmp_path, "--conf", "labels=artery,vein", "--conf", "weights=/a=b")
    assert started == [(tmp_path, "127.0.0.1", 8000, {"labels": "artery,vein", "weights": "/a=b"})]
    assert "http://127.0.0.1:8000" in result.output


def test_serve_names_the_computer_where_it_listens_on_all_addresses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("start_server", "first_token"):
        monkeypatch.setattr(f"salt_monailabel.serving.launch.{name}", lambda *arguments: None)
    monkeypatch.setattr("socket.gethostname", lambda: "reading-room")
    for host, named in (("0.0.0.0", "reading-room"), ("::", "reading-room"), ("10.0.0.7", "10.0.0.7")):
        assert f"http://{named}:8000 " in salt("serve", tmp_path, "--host", host).output


@pytest.mark.parametrize("command", ["serve", "report"])
def test_a_setting_without_a_value_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str) -> None:
    monkeypatch.setattr("salt_monailabel.serving.launch.start_server", lambda *arguments: pytest.fail("started"))
    result = salt(command, tmp_path, "--conf", "labels")
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.output


def test_versions_are_taken_in_put_in_use_shown_sent_out_and_rolled_back(adapter: Path, tmp_path: Path) -> None:
    assert "base is in use" in salt("adapters", "list", tmp_path).output
    for number in (1, 2):
        assert f"version 000{number}" in salt("adapters", "import", tmp_path, adapter).output
    assert "0002 is in use" in salt("adapters", "promote", tmp_path, "0002").output
    listed = [line for line in salt("adapters", "list", tmp_path).output.splitlines() if "000" in line]
    assert ["*" in line for line in listed] == [False, True]
    assert json.loads(salt("adapters", "show", tmp_path, "0002").output)["version"] == "0002"
    out = tmp_path / "sent.safetensors"
    assert salt("adapters", "export", tmp_path, "0001", out).exit_code == 0
    assert read_card(out)["version"] == "0001"
    salt("adapters", "promote", tmp_path, "0001")
    for before in ("0002", "base"):
        assert f"{before} is in use" in salt("adapters", "rollback", tmp_path).output


def test_a_version_that_is_damaged_hides_no_other(adapter: Path, tmp_path: Path) -> None:
    sent = tmp_path / "sent.safetensors"
    for judged in ({}, {"after": {"dice": 0.625}}, "by nobody"):
        told = {"training": {"held_back": judged}}
        copy(adapter, sent, lambda card, told=told: {**card, **told})
        assert salt("adapters", "import", tmp_path, sent).exit_code == 0
    (tmp_path / "adapters" / "0001" / "adapter.safetensors").write_bytes(b"")
    listed = salt("adapters", "list", tmp_path)
    rows = [line for line in listed.output.splitlines() if "000" in line]
    assert (listed.exit_code, ["damaged" in row for row in rows]) == (0, [True, False, True])
    assert "0.625" in rows[1]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        pytest.param(("promote", "STUDIES", "0007"), ("0007", "none"), id="no such version"),
        pytest.param(("show", "STUDIES", "../x"), ("../x",), id="a path"),
        pytest.param(("rollback", "STUDIES"), ("base is in use",), id="nothing to go back to"),
        pytest.param(("import", "STUDIES", "nowhere.safetensors"), ("nowhere.safetensors",), id="no file"),
    ],
)
def test_what_cannot_be_done_with_versions_is_explained_in_one_line(
    tmp_path: Path, command: tuple[str, ...], words: tuple[str, ...]
) -> None:
    result = salt("adapters", *(tmp_path if word == "STUDIES" else word for word in command))
    assert result.exit_code == 1
    assert len(result.output.strip().splitlines()) == 1, result.output
    assert [word for word in words if word not in result.output] == []


def test_processes_that_pretrain_together_can_be_given_what_they_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []

    def together(count: int, work: Callable[..., None], *arguments: object) -> None:
        given.append(pickle.dumps((work, arguments)))
        raise RuntimeError("that is enough")

    monkeypatch.setattr(commands, "together", together)
    with pytest.raises(TrainingError, match="that is enough"):
        commands.pretrain_base("vessel_t", PretrainConfig(), None, "cpu", 2, tmp_path / "base.safetensors", Console())
    assert given


def test_the_report_of_a_folder_nothing_was_learned_in_says_so(tmp_path: Path) -> None:
    (tmp_path / "studies").mkdir()
    page = tmp_path / "report.html"
    done = CliRunner().invoke(app, ["report", str(tmp_path / "studies"), "--out", str(page)])
    assert done.exit_code == 0, done.output
    assert "How the model has learned" in page.read_text()


def test_the_report_of_a_folder_there_is_not_is_an_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(tmp_path / "missing")])
    assert done.exit_code == 1
    assert "there is no folder" in done.output
