"""A DICOM segmentation gives back the pixels it was written from, to readers that are not ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom_seg
import pytest
from highdicom.seg import segread
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom import dcmread
from pydicom.uid import EnhancedXAImageStorage, generate_uid

from salt_monailabel.imaging import ImageError
from salt_monailabel.imaging.run import PROJECTIONS, RunView
from salt_monailabel.imaging.segmentation import view_of, write_segmentation

from ..dicom import COLUMNS, ROWS, item, run, written

LABELS = ("vessel", "artery", "catheter")
PLACE = {
    "FrameOfReferenceUID": generate_uid(),
    "ImagePositionPatient": [1.5, -20, 3],
    "ImageOrientationPatient": [1, 0, 0, 0, 0, -1],
    "PixelSpacing": [0.3, 0.2],
    "SliceThickness": 1,
}


def masks(frames: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.uint8, (frames, ROWS, COLUMNS), elements=st.integers(0, 3), fill=st.just(0)).filter(np.any)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mask=masks(4))
def test_a_run_without_a_place_comes_back_frame_by_frame(tmp_path: Path, mask: np.ndarray) -> None:
    source = written(tmp_path / "run.dcm", run(4), ImagerPixelSpacing=[0.2, 0.2])
    write_segmentation(mask, LABELS, source, tmp_path / "mask.dcm")
    identifier = dcmread(source).SOPInstanceUID
    found = segread(tmp_path / "mask.dcm").get_pixels_by_source_frame(
        identifier, [1, 2, 3, 4], ignore_spatial_locations=True, assert_missing_frames_are_empty=True
    )
    present = [value for value in (1, 2, 3) if (mask == value).any()]
    assert np.array_equal(found, np.stack([mask == value for value in present], axis=-1))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mask=masks(5), empty=st.sets(st.integers(0, 4), max_size=3))
def test_another_reader_sees_the_same_frames_one_behind_the_other(
    tmp_path: Path, mask: np.ndarray, empty: set[int]
) -> None:
    mask[sorted(empty)] = 0
    assume(mask.any())
    source = written(tmp_path / "run.dcm", run(5), ImagerPixelSpacing=[0.2, 0.2])
    write_segmentation(mask, LABELS, source, tmp_path / "mask.dcm")
    read = pydicom_seg.MultiClassReader().read(dcmread(tmp_path / "mask.dcm"))
    drawn = np.flatnonzero(mask.any(axis=(1, 2)))
    present, numbered = np.unique(mask), np.zeros(4, np.uint8)
    numbered[present[present > 0]] = np.arange(1, (present > 0).sum() + 1)
    assert np.array_equal(read.data, numbered[mask[drawn[0] : drawn[-1] + 1]])


def test_an_image_with_a_place_is_referred_to_there(tmp_path: Path) -> None:
    source = written(tmp_path / "slice.dcm", run(1), **PLACE)
    mask = np.zeros((1, ROWS, COLUMNS), np.uint8)
    mask[0, 3:9, 5:20] = 1
    write_segmentation(mask, LABELS, source, tmp_path / "mask.dcm")
    stored = dcmread(tmp_path / "mask.dcm")
    assert stored.FrameOfReferenceUID == PLACE["FrameOfReferenceUID"]
    read = pydicom_seg.MultiClassReader().read(stored)
    assert np.array_equal(read.data, mask)
    assert read.image.GetOrigin() == pytest.approx((1.5, -20, 3))
    assert read.image.GetSpacing()[:2] == pytest.approx((0.2, 0.3))


@pytest.mark.parametrize("reference", [{"FrameOfReferenceUID": generate_uid()}, {}], ids=["in a frame", "in none"])
def test_an_enhanced_run_without_planes_has_a_segmentation_frame_by_frame(
    tmp_path: Path, reference: dict[str, str]
) -> None:
    groups = {
        "SharedFunctionalGroupsSequence": [item(PixelMeasuresSequence=[item(PixelSpacing=[0.3, 0.2])])],
        "PerFrameFunctionalGroupsSequence": [item(FrameContentSequence=[item()]) for _ in range(4)],
    }
    source = written(tmp_path / "run.dcm", run(4), SOPClassUID=EnhancedXAImageStorage, **groups, **reference)
    mask = np.zeros((4, ROWS, COLUMNS), np.uint8)
    mask[1:3, 3:9, 5:20] = 1
    write_segmentation(mask, LABELS, source, tmp_path / "mask.dcm")
    read = pydicom_seg.MultiClassReader().read(dcmread(tmp_path / "mask.dcm"))
    assert np.array_equal(read.data, mask[1:3])
    assert read.image.GetSpacing()[:2] == pytest.approx((0.2, 0.3))


def test_an_enhanced_image_with_planes_is_referred_to_there(tmp_path: Path) -> None:
    measures = item(PixelSpacing=[0.3, 0.2], SliceThickness=2, SpacingBetweenSlices=2)
    orientation = item(ImageOrientationPatient=PLACE["ImageOrientationPatient"])
    shared = item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])
    each = [item(PlanePositionSequence=[item(ImagePositionPatient=[1.5, -20 + 2 * z, 3])]) for z in range(2)]
    groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": each}
    reference = PLACE["FrameOfReferenceUID"]
    source = written(tmp_path / "scan.dcm", run(2), FrameOfReferenceUID=reference, **groups)
    mask = np.ones((2, ROWS, COLUMNS), np.uint8)
    write_segmentation(mask, LABELS, source, tmp_path / "mask.dcm")
    stored = dcmread(tmp_path / "mask.dcm")
    assert stored.FrameOfReferenceUID == reference
    assert pydicom_seg.MultiClassReader().read(stored).image.GetOrigin() == pytest.approx((1.5, -20, 3))


def test_the_segments_are_named_and_coded(tmp_path: Path) -> None:
    mask = np.zeros((1, ROWS, COLUMNS), np.uint8)
    mask[0, 0], mask[0, 5] = 1, 3
    source = written(tmp_path / "slice.dcm", run(1))
    write_segmentation(mask, LABELS, source, tmp_path / "mask.dcm", "0007")
    stored = dcmread(tmp_path / "mask.dcm")
    assert [(s.SegmentNumber, s.SegmentLabel) for s in stored.SegmentSequence] == [(1, "vessel"), (2, "catheter")]
    kinds = [segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for segment in stored.SegmentSequence]
    assert kinds == ["Blood vessel", "Catheter"]
    assert stored.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmVersion == "0007"
    assert stored.StudyInstanceUID == dcmread(source).StudyInstanceUID


views = st.builds(
    RunView, st.integers(0, 99), st.integers(-1, 99), st.booleans(), st.none() | st.integers(0, 99),
    st.sampled_from(PROJECTIONS), st.booleans(),
)  # fmt: skip


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(view=views)
def test_how_the_run_was_looked_at_is_read_back(tmp_path: Path, view: RunView) -> None:
    source, mask = written(tmp_path / "run.dcm", run(2)), np.ones((2, ROWS, COLUMNS), np.uint8)
    write_segmentation(mask, LABELS, source, tmp_path / "mask.dcm", view=view)
    # Of a run that was looked at as it is, nothing need be said.
    assert view_of(dcmread(tmp_path / "mask.dcm")) == (RunView() if view.plain else view)
    algorithm = segread(tmp_path / "mask.dcm").get_segment_description(1).algorithm_identification
    assert (algorithm.parameters is None) == view.plain


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    source = written(tmp_path / "run.dcm", run(2))
    (tmp_path / "photo.png").write_bytes(b"no dicom")
    empty = np.zeros((2, ROWS, COLUMNS), np.uint8)
    with pytest.raises(ImageError, match=r"run\.dcm is empty"):
        write_segmentation(empty, LABELS, source, tmp_path / "mask.dcm")
    with pytest.raises(ImageError, match="frames, rows, columns"):
        write_segmentation(empty[:1] + 1, LABELS, source, tmp_path / "mask.dcm")
    with pytest.raises(ImageError, match=r"photo\.png is no DICOM image"):
        write_segmentation(empty, LABELS, tmp_path / "photo.png", tmp_path / "mask.dcm")
    assert not (tmp_path / "mask.dcm").exists()
