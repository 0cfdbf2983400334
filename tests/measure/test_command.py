"""`salt measure`: tables and pictures for masks of all kinds, and one line for what cannot be measured."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from typer.testing import CliRunner, Result

from salt_monailabel.cli import app
from salt_monailabel.imaging import read_study
from salt_monailabel.imaging.result import write_result

from ..dicom import written


def salt(*arguments: object) -> Result:
    """Run the command on a wide terminal, so that no line of its output is broken."""
    return CliRunner(env={"COLUMNS": "500"}).invoke(app, ["measure", *map(str, arguments)])


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def vessels() -> np.ndarray:
    """Return a label map with a vessel of 6 pixels and one of 4."""
    mask = np.zeros((80, 120), np.uint8)
    mask[20:26, 10:110], mask[50:54, 10:110] = 1, 2
    return mask


@pytest.fixture
def folder(tmp_path: Path, vessels: np.ndarray) -> Path:
    """Return a folder of one picture, its mask and its field of view, each in a folder of its own."""
    for name, pixels in {"images": vessels * 90, "masks": vessels, "fov": np.full_like(vessels, 255)}.items():
        (tmp_path / name).mkdir()
        Image.fromarray(pixels).save(tmp_path / name / "eye.png")
    return tmp_path


def test_every_label_has_a_row_a_table_and_a_picture(folder: Path) -> None:
    out = folder / "out"
    result = salt(folder / "masks/eye.png", "--image", folder / "images", "--fov", folder / "fov", "--out", out)
    assert result.exit_code == 0, result.output
    rows = table(out / "summary.csv")
    assert [(row["mask"], row["label"], row["unit"]) for row in rows] == [
        ("eye.png", "1", "px"),
        ("eye.png", "2", "px"),
    ]
    assert [float(row["mean_diameter"]) for row in rows] == pytest.approx([6, 4], abs=0.1)
    for label in (1, 2):
        (segment,) = table(out / f"eye_label{label}_segments.csv")
        assert float(segment["length"]) == pytest.approx(95, abs=5)
        assert Image.open(out / f"eye_label{label}.png").width > 800


def test_a_profile_has_a_table_and_its_stenosis_is_in_the_summary(folder: Path) -> None:
    ends = ("--from", "20,23", "--to", "100,23")
    result = salt(folder / "masks/eye.png", "--label", 1, *ends, "--pixel-size", 0.5, "--out", folder / "out")
    assert result.exit_code == 0, result.output
    (row,) = table(folder / "out/summary.csv")
    assert row["unit"] == "mm"
    assert float(row["narrowest_diameter"]) == pytest.approx(3, abs=0.05)
    assert float(row["percent_stenosis"]) < 2
    assert float(table(folder / "out/eye_label1_profile.csv")[-1]["position"]) == pytest.approx(40, abs=1)


def test_a_run_of_frames_has_a_row_for_each_in_millimetres(tmp_path: Path, vessels: np.ndarray) -> None:
    run = sitk.GetImageFromArray(np.stack([vessels == 1, vessels == 0, vessels == 9]).astype(np.uint8))
    run.SetSpacing((0.2, 0.2, 1))
    sitk.WriteImage(run, str(tmp_path / "run.nrrd"))
    result = salt(tmp_path / "run.nrrd", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    rows = table(tmp_path / "out/summary.csv")
    assert [row["frame"] for row in rows] == ["1", "2", "3"]
    assert float(rows[0]["mean_diameter"]) == pytest.approx(1.2, abs=0.02)
    assert (rows[2]["total_length"], rows[2]["mean_diameter"]) == ("0", "")
    refused = salt(tmp_path / "run.nrrd", "--from", "1,1", "--to", "2,2", "--out", tmp_path / "out")
    assert refused.exit_code == 1
    assert "run.nrrd has 3 frames" in refused.output


@pytest.mark.parametrize("extension", [".nrrd", ".nii.gz", ".mha", ".dcm"])
@pytest.mark.parametrize(
    ("tags", "unit", "diameter"),
    [
        ({"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": 1.5}, "mm", 1.2),
        ({"ImagerPixelSpacing": [0.3, 0.3]}, "mm", 1.8),
        ({}, "px", 6),
    ],
)
def test_the_lengths_of_an_angiogram_are_the_same_with_it_and_without(
    tmp_path: Path, vessels: np.ndarray, extension: str, tags: dict[str, Any], unit: str, diameter: float
) -> None:
    image = written(tmp_path / "run.dcm", vessels[None].astype(np.uint16), **tags)
    mask = tmp_path / f"mask{extension}"
    write_result((vessels == 1)[None].astype(np.uint8), ["vessel"], read_study(image), image, mask)
    for out, beside in ((tmp_path / "alone", ()), (tmp_path / "with", ("--image", image))):
        result = salt(mask, *beside, "--out", out)
        assert result.exit_code == 0, result.output
        (row,) = table(out / "summary.csv")
        assert row["unit"] == unit
        assert float(row["mean_diameter"]) == pytest.approx(diameter, rel=0.02)


def test_a_mask_that_cannot_be_measured_is_named_and_the_others_are_measured(folder: Path) -> None:
    (folder / "masks/bad.png").write_bytes(b"no image")
    result = salt(folder / "masks/bad.png", folder / "masks/eye.png", "--out", folder / "out")
    assert result.exit_code == 1
    assert "bad.png cannot be read" in result.output
    assert len(table(folder / "out/summary.csv")) == 2


def test_an_empty_mask_has_a_row_of_zeros_with_an_image_and_without(folder: Path) -> None:
    Image.fromarray(np.zeros((80, 120), np.uint8)).save(folder / "masks/eye.png")
    for out, image in ((folder / "alone", ()), (folder / "with", ("--image", folder / "images"))):
        result = salt(folder / "masks/eye.png", *image, "--out", out)
        assert result.exit_code == 0, result.output
        (row,) = table(out / "summary.csv")
        assert (row["label"], row["segments"], row["total_length"], row["density"]) == ("1", "0", "0", "0")
        assert row["mean_diameter"] == ""
        assert Image.open(out / "eye_label1.png").width > 800


def test_a_mask_in_shades_of_gray_has_no_row_for_each(folder: Path) -> None:
    Image.fromarray(np.asarray(Image.open(folder / "masks/eye.png")) * 120).save(folder / "masks/eye.jpg")
    result = salt(folder / "masks/eye.jpg", "--out", folder / "out")
    assert result.exit_code == 1
    assert "eye.jpg marks in" in result.output
    assert table(folder / "out/summary.csv") == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--from", "20,23"), "needs both"),
        (("--from", "20", "--to", "3,4"), "two numbers"),
        (("--label", 3), "eye.png has no label 3, only 1, 2"),
        (("--from", "20,23", "--to", "100,52", "--label", 1), "eye_label1: there is no vessel within"),
    ],
)
def test_a_wish_that_cannot_be_met_is_explained(folder: Path, arguments: tuple[object, ...], expected: str) -> None:
    result = salt(folder / "masks/eye.png", *arguments, "--out", folder / "out")
    assert result.exit_code != 0
    assert expected in result.output


def test_results_never_lie_among_the_masks_nor_in_place_of_each_other(folder: Path) -> None:
    mask = folder / "masks/eye.png"
    assert "choose another folder" in salt(mask, "--out", folder / "masks").output
    assert "different folders" in salt(mask, folder / "images/eye.png", "--out", folder / "out").output
    result = salt(mask, "--image", folder, "--out", folder / "out")
    assert result.exit_code == 1
    assert "no files named eye" in result.output
