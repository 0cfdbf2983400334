"""Segmentations that an archive gives back, were they changed there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from salt_monailabel.imaging import ImageError
from salt_monailabel.imaging.run import RunView
from salt_monailabel.imaging.segmentation import write_segmentation
from salt_monailabel.serving.archive.segmentations import drawn_on, read_segmentation

from ...dicom import COLUMNS, ROWS, run, written

LABELS = ("artery", "vein")
SHAPE = (3, ROWS, COLUMNS)
VIEW = RunView(1, 2, subtracted=True, mask=0)
MASK = np.random.default_rng(0).integers(0, 3, SHAPE).astype(np.uint8)


@pytest.fixture
def image(tmp_path: Path) -> str:
    source = written(tmp_path / "run.dcm", run(3))
    write_segmentation(MASK, LABELS, source, tmp_path / "drawn.dcm", view=VIEW)
    return str(dcmread(source).SOPInstanceUID)


def test_the_label_map_is_read_by_the_names_of_its_segments(tmp_path: Path, image: str) -> None:
    found, view = read_segmentation(tmp_path / "drawn.dcm", image, SHAPE, ("vein", "other", "artery"))
    assert np.array_equal(found, np.array([0, 3, 1], np.uint8)[MASK])
    assert view == VIEW


@pytest.mark.parametrize("said", ["", "first=0", "sharpness=3,smoothing=2", "nothing", None])
def test_what_says_nothing_of_a_view_is_of_the_run_as_it_is(tmp_path: Path, image: str, said: str | None) -> None:
    drawn = dcmread(tmp_path / "drawn.dcm")
    for segment in drawn.SegmentSequence:
        segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters = said
    drawn.save_as(tmp_path / "drawn.dcm")
    mask, view = read_segmentation(tmp_path / "drawn.dcm", image, SHAPE, LABELS)
    assert np.array_equal(mask, MASK)
    assert view == RunView()


def test_only_segmentations_of_our_making_are_known_by_their_image(tmp_path: Path, image: str) -> None:
    drawn = dcmread(tmp_path / "drawn.dcm")
    assert drawn_on(drawn.to_json_dict()) == (image, f"{drawn.ContentDate}{drawn.ContentTime}")
    drawn.Manufacturer = "Somebody else"
    assert drawn_on(drawn.to_json_dict()) is None
    assert drawn_on({}) is None


def _other_rows(drawn: Dataset) -> None:
    drawn.Rows += 1


def _huge(drawn: Dataset) -> None:
    drawn.NumberOfFrames = 10**9


def _halved(drawn: Dataset) -> None:
    drawn.PixelData = drawn.PixelData[: len(drawn.PixelData) // 2]


def _another_frame(drawn: Dataset) -> None:
    _source(drawn).ReferencedFrameNumber = 4


def _another_image(drawn: Dataset) -> None:
    _source(drawn).ReferencedSOPInstanceUID = "1.2"


def _no_segments(drawn: Dataset) -> None:
    del drawn.SegmentSequence


def _source(drawn: Dataset) -> Dataset:
    return drawn.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]


@pytest.mark.parametrize("change", [_other_rows, _huge, _halved, _another_frame, _another_image, _no_segments])
def test_what_was_changed_is_an_error_that_names_the_image(
    tmp_path: Path, image: str, change: Callable[[Dataset], None]
) -> None:
    drawn = dcmread(tmp_path / "drawn.dcm")
    change(drawn)
    drawn.save_as(tmp_path / "drawn.dcm")
    with pytest.raises(ImageError, match=image):
        read_segmentation(tmp_path / "drawn.dcm", image, SHAPE, LABELS)


def test_what_is_no_dicom_is_an_error_too(tmp_path: Path, image: str) -> None:
    (tmp_path / "drawn.dcm").write_bytes(b"<html>")
    with pytest.raises(ImageError, match=image):
        read_segmentation(tmp_path / "drawn.dcm", image, SHAPE, LABELS)
