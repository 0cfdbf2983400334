"""Measuring: a data set in the paper's layout, inside the field of view."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from salt_monailabel.imaging import ImageError
from salt_monailabel.inference import Predictor
from salt_monailabel.models import VesselSam
from salt_monailabel.training import Case, Score, evaluate, mean_score, read_cases, score

SHAPE = (30, 40)
SPLIT = {"a.png": "train", "b.png": "test", "c.png": "test"}


def stored(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(path))
    return path


def photograph(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def vessel(row: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[row : row + 3, 4:36] = True
    return mask


def table(dataset: Path, lines: Iterable[str]) -> None:
    (dataset / "data_split.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Return the folder of a data set of three images."""
    for name in SPLIT:
        stored(tmp_path / "images" / name, photograph(*SHAPE))
        stored(tmp_path / "masks" / name, vessel(10).astype(np.uint8) * 255)
    table(tmp_path, ["imgs,split", *(f"{name},{split}" for name, split in SPLIT.items())])
    return tmp_path


class Oracle(Predictor):
    """A predictor that gives the answers it was told, one after another."""

    def __init__(self, model: VesselSam, answers: Iterable[np.ndarray]) -> None:
        super().__init__(model, overlap=16)
        self.answers = iter(answers)

    def segment(self, embedded: object, label: str) -> np.ndarray:
        return next(self.answers).astype(np.float32)


def test_the_images_of_a_split_are_listed_in_order(dataset: Path) -> None:
    assert read_cases(dataset, "test") == [
        Case(dataset / "images" / name, dataset / "masks" / name) for name in ("b.png", "c.png")
    ]


def test_a_mask_may_have_a_name_of_its_own(dataset: Path) -> None:
    (dataset / "masks" / "b.png").rename(dataset / "masks" / "b_mask.png")
    assert [case.mask.name for case in read_cases(dataset, "test")] == ["b_mask.png", "c.png"]


def test_a_field_of_view_is_found_where_there_is_one(dataset: Path) -> None:
    fov = stored(dataset / "fov" / "b.png", vessel(10).astype(np.uint8) * 255)
    assert [case.fov for case in read_cases(dataset, "test")] == [fov, None]


def test_a_table_as_a_spreadsheet_saves_it_is_read(dataset: Path) -> None:
    lines = (dataset / "data_split.csv").read_text().splitlines()
    (dataset / "data_split.csv").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    assert len(read_cases(dataset, "test")) == 2


def test_a_folder_without_a_table_is_refused_and_the_layout_told(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no data_split\.csv.*images/, masks/.*imgs,split"):
        read_cases(tmp_path, "test")


@pytest.mark.parametrize("lines", [["image,split", "a.png,test"], ["a.png;test"], [""], ["imgs,split"]])
def test_a_table_of_other_columns_or_none_is_refused(dataset: Path, lines: list[str]) -> None:
    table(dataset, lines)
    with pytest.raises(ImageError, match=r"data_split\.csv needs the columns imgs and split"):
        read_cases(dataset, "test")


def test_an_unknown_split_is_refused_and_the_known_ones_named(dataset: Path) -> None:
    with pytest.raises(ImageError, match=r"no image in the split 'val'; it has \['test', 'train'\]"):
        read_cases(dataset, "val")


def test_a_missing_mask_is_named(dataset: Path) -> None:
    (dataset / "masks" / "c.png").unlink()
    with pytest.raises(ImageError, match=r"c\.png has no mask: neither c\.png nor c_mask\.png in masks/"):
        read_cases(dataset, "test")


def test_a_missing_image_is_named(dataset: Path) -> None:
    (dataset / "images" / "c.png").unlink()
    with pytest.raises(ImageError, match=r"c\.png"):
        read_cases(dataset, "test")


def test_each_image_is_scored_against_its_mask(dataset: Path, tiny_sam: VesselSam) -> None:
    first, second = evaluate(Oracle(tiny_sam, [vessel(10), vessel(12)]), read_cases(dataset, "test"), "vessel")
    assert first == Score("b.png", 1.0, 1.0, 0.0, 1.0)
    assert second.name == "c.png"
    assert second.dice == pytest.approx(1 / 3)
    assert second.hd95 == 2


def test_only_the_field_of_view_counts(dataset: Path, tiny_sam: VesselSam) -> None:
    fov = np.zeros(SHAPE, np.uint8)
    fov[:15] = 255
    stored(dataset / "fov" / "b.png", fov)
    wrong_below = vessel(10) | vessel(20)
    within, without = evaluate(Oracle(tiny_sam, [wrong_below] * 2), read_cases(dataset, "test"), "vessel")
    assert (within.dice, within.cl_dice, within.hd95) == (1, 1, 0)
    assert without.dice == pytest.approx(2 / 3)
    assert within.dice_full_frame == without.dice_full_frame == without.dice


def test_the_threshold_of_the_predictor_is_used(dataset: Path, tiny_sam: VesselSam) -> None:
    scores = []
    for threshold in (0.5, 0.7):
        oracle = Oracle(tiny_sam, [vessel(10) * 0.6] * 2)
        oracle.threshold = threshold
        scores.append([s.dice for s in evaluate(oracle, read_cases(dataset, "test"), "vessel")])
    assert scores == [[1, 1], [0, 0]]


def test_a_label_is_scored_against_its_own_value(dataset: Path, tiny_sam: VesselSam) -> None:
    model = VesselSam(tiny_sam.architecture, ("vessel", "stenosis"))
    for name in ("b.png", "c.png"):
        stored(dataset / "masks" / name, vessel(10).astype(np.uint8) + 2 * vessel(20).astype(np.uint8))
    for label, row in (("vessel", 10), ("stenosis", 20)):
        scores = evaluate(Oracle(model, [vessel(row)] * 2), read_cases(dataset, "test"), label)
        assert [s.dice for s in scores] == [1, 1]


@pytest.mark.parametrize("part", ["masks", "fov"])
def test_a_mask_or_field_of_view_in_shades_of_gray_is_named_not_scored(
    dataset: Path, tiny_sam: VesselSam, part: str
) -> None:
    gray = ndimage.uniform_filter(vessel(10) * 255.0, 3).astype(np.uint8)
    stored(dataset / part / "b.png", gray)
    with pytest.raises(ImageError, match=r"b\.png marks in \d+ shades of gray"):
        list(evaluate(Oracle(tiny_sam, [vessel(10)] * 2), read_cases(dataset, "test"), "vessel"))


def test_every_frame_of_a_stack_is_scored(tmp_path: Path, tiny_sam: VesselSam) -> None:
    masks = np.stack([vessel(5), vessel(15), vessel(25)])
    case = Case(stored(tmp_path / "a.nrrd", photograph(3, *SHAPE)), stored(tmp_path / "m.nrrd", masks.astype(np.uint8)))
    scores = list(evaluate(Oracle(tiny_sam, [vessel(5), vessel(15), vessel(5)]), [case], "vessel"))
    assert [s.dice for s in scores] == [1, 1, 0]


def test_a_model_is_measured_from_files(dataset: Path, tiny_sam: VesselSam) -> None:
    scores = list(evaluate(Predictor(tiny_sam, overlap=16), read_cases(dataset, "test"), "vessel"))
    assert [s.name for s in scores] == ["b.png", "c.png"]
    assert all(np.isfinite([s.dice, s.cl_dice, s.hd95, s.dice_full_frame]).all() for s in scores)
    # The images and masks are the same.
    assert scores[0].dice == scores[1].dice


def test_an_unknown_label_is_refused(dataset: Path, tiny_sam: VesselSam) -> None:
    with pytest.raises(ValueError, match="unknown label 'stent'"):
        list(evaluate(Predictor(tiny_sam, overlap=16), read_cases(dataset, "test"), "stent"))


def test_the_mean_is_of_each_column() -> None:
    scores = [Score("a", 1.0, 0.5, 0.0, 0.2), Score("b", 0.5, 0.1, 10.0, 0.4)]
    assert mean_score(scores) == Score("mean", 0.75, pytest.approx(0.3), 5.0, pytest.approx(0.3))
    assert mean_score([score("a", vessel(10), vessel(10))], "alone") == Score("alone", 1.0, 1.0, 0.0, 1.0)
