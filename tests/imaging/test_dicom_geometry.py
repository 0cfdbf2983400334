"""Where a DICOM image lies is told from a few of its tags, as SimpleITK tells it from the file itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, EnhancedXAImageStorage

from salt_monailabel.imaging import read_study, write_mask
from salt_monailabel.imaging.geometry import Geometry

from ..dicom import COLUMNS, ROWS, item, run, written
from .stored import geometry


def told(path: str | Path) -> Geometry:
    """Return what SimpleITK says of the file itself."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO("GDCMImageIO")
    reader.ReadImageInformation()
    return Geometry.of(reader)


@pytest.mark.parametrize(
    "name",
    ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "rtdose.dcm", "image_dfl.dcm",
     "JPEG2000.dcm", "J2K_pixelrep_mismatch.dcm", "SC_rgb_small_odd_jpeg.dcm"],
)  # fmt: skip
def test_it_is_what_simpleitk_says(name: str) -> None:
    path = get_testdata_file(name)
    assert read_study(path).geometry == told(path)


def frame(position: tuple[float, ...], turn: np.ndarray) -> Dataset:
    return item(
        PlanePositionSequence=[item(ImagePositionPatient=list(position))],
        PlaneOrientationSequence=[item(ImageOrientationPatient=turn[:, :2].T.ravel().round(6).tolist())],
    )


@pytest.mark.parametrize("kind", [EnhancedMRImageStorage, EnhancedXAImageStorage])
def test_enhanced_objects_say_it_in_their_functional_groups(tmp_path: Path, kind: str) -> None:
    path = written(
        tmp_path / "run.dcm",
        run(),
        SharedFunctionalGroupsSequence=[item(PixelMeasuresSequence=[item(PixelSpacing=[0.4, 0.3], SliceThickness=2)])],
        PerFrameFunctionalGroupsSequence=[frame((1, 2, 3 + 2 * k), np.eye(3)[:, [1, 0, 2]]) for k in range(3)],
    )
    dataset = dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = kind
    dataset.save_as(path)
    assert told(path).size == (COLUMNS, ROWS, 3)
    assert read_study(path).geometry == told(path)
    if kind == EnhancedMRImageStorage:
        image = sitk.ReadImage(str(path))
        assert read_study(path).geometry == Geometry.of(image)
        assert image.GetSpacing() == pytest.approx((0.3, 0.4, 2))
        assert image.GetOrigin() == pytest.approx((1, 2, 3))


def test_a_run_over_time_lies_as_it_did(tmp_path: Path) -> None:
    path = written(tmp_path / "run.dcm", run(), ImagerPixelSpacing=[0.2, 0.3], FrameTime=33)
    assert read_study(path).geometry == told(path)


@pytest.mark.parametrize("keyword", ["PixelSpacing", "ImagerPixelSpacing", "SpacingBetweenSlices"])
def test_a_damaged_place_is_unknown_and_the_image_is_read(tmp_path: Path, keyword: str) -> None:
    whole = read_study(written(tmp_path / "run.dcm", run()))
    path = written(tmp_path / "damaged.dcm", run(), **{keyword: "1.25"})
    path.write_bytes(path.read_bytes().replace(b"1.25", b"\x81\x82\x83\x84"))
    study = read_study(path)
    assert study.geometry == whole.geometry
    assert np.array_equal(study.frame(1), whole.frame(1))


@pytest.mark.parametrize(
    "tags",
    [
        {"FrameTime": 0, "FrameIncrementPointer": 0x00181063},
        {"FrameTime": -33, "FrameIncrementPointer": 0x00181063},
        {"SpacingBetweenSlices": 0},
        {"ImagerPixelSpacing": [-1, 2]},
        {"ImagerPixelSpacing": [1e30, 1e-30]},
        {"PixelSpacing": ["1e999", "1e999"]},
    ],
)
def test_distances_that_cannot_be_are_unknown_and_a_mask_is_written(tmp_path: Path, tags: dict[str, Any]) -> None:
    path = written(tmp_path / "run.dcm", run(), **tags)
    study = read_study(path)
    assert study.spacing is None or min(study.spacing) > 0
    write_mask(np.ones(study.shape, np.uint8), study, tmp_path / "mask.mha")
    mask = sitk.ReadImage(str(tmp_path / "mask.mha"))
    try:
        image = sitk.ReadImage(str(path))
    # Zero is no distance that SimpleITK can have.
    except RuntimeError:
        assert mask.GetSpacing() == (1, 1, 1)
    else:
        assert geometry(mask) == geometry(image)
