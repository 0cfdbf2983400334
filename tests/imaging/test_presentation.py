"""Tables and windows of DICOM are read as the file holds them, and are not applied where they are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from salt_monailabel.imaging import ImageError, read_study
from salt_monailabel.imaging.dicom import DicomFrames

from ..dicom import COLUMNS, ROWS, item, run, written

TABLE = np.arange(4096, dtype="<u2") * 3 + 7


def table(kind: str, entries: int = 4096, bits: int = 16) -> Dataset:
    """Return a lookup table of 4096 entries, as words or as numbers, that says it has so many of so many bits."""
    made = item(LUTDescriptor=[entries, 0, bits])
    made["LUTDescriptor"].VR = "US"
    made.add_new("LUTData", kind, TABLE.tobytes() if kind == "OW" else TABLE.tolist())
    return made


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("kind", ["OW", "US"])
def test_a_table_is_the_same_as_words_and_as_numbers(tmp_path: Path, keyword: str, kind: str) -> None:
    tags = {"SOPClassUID": DigitalXRayImageStorageForPresentation, keyword: [table(kind)]}
    frame = read_study(written(tmp_path / "a.dcm", run(), **tags)).frame(0)
    assert np.array_equal(frame[..., 0], TABLE[run()[0]])


@pytest.mark.parametrize("keyword", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("damaged", [item(), table("OW", entries=65535), table("OW", bits=99)], ids=range(3))
def test_a_damaged_table_is_not_applied(tmp_path: Path, keyword: str, damaged: Dataset) -> None:
    tags = {"SOPClassUID": DigitalXRayImageStorageForPresentation, keyword: [damaged]}
    frame = read_study(written(tmp_path / "a.dcm", run(), **tags)).frame(0)
    assert np.array_equal(frame[..., 0], run()[0])


@pytest.mark.parametrize(
    "kind", [XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage, "1.2.840.10008.5.1.4.1.1.12.3"]
)
def test_the_table_of_an_angiogram_from_logarithms_to_intensity_is_not_for_the_eye(tmp_path: Path, kind: str) -> None:
    tags = {"SOPClassUID": kind, "PixelIntensityRelationship": "LOG", "ModalityLUTSequence": [table("OW")]}
    window = {"WindowCenter": 2048, "WindowWidth": 1000}
    shown = read_study(written(tmp_path / "a.dcm", run(), **tags, **window)).frame(0)
    assert np.array_equal(shown, read_study(written(tmp_path / "b.dcm", run(), **window)).frame(0))
    rescaled = read_study(written(tmp_path / "c.dcm", run(), **tags, RescaleSlope=2, RescaleIntercept=5)).frame(0)
    assert np.array_equal(rescaled[..., 0], 2 * run()[0] + 5)


@pytest.mark.parametrize("slope", [0, float("nan"), float("inf"), 1e306])
def test_a_slope_that_leaves_nothing_to_be_seen_is_not_applied(tmp_path: Path, slope: float) -> None:
    frame = read_study(written(tmp_path / "a.dcm", run(), RescaleSlope=slope, RescaleIntercept=5)).frame(0)
    assert np.array_equal(frame[..., 0], run()[0])


def test_the_window_of_a_frame_is_found_beside_groups_that_all_frames_share(tmp_path: Path) -> None:
    window = item(FrameVOILUTSequence=[item(WindowCenter=2048, WindowWidth=1000)])
    groups = {"SharedFunctionalGroupsSequence": [item()], "PerFrameFunctionalGroupsSequence": [window] * 3}
    shown = read_study(written(tmp_path / "a.dcm", run(), **groups)).frame(0)
    assert (shown == shown.min()).mean() > 0.3


def test_each_frame_has_the_window_of_its_own_group(tmp_path: Path) -> None:
    shared = item(FrameVOILUTSequence=[item(WindowCenter=1000, WindowWidth=200)])
    own = [item(FrameVOILUTSequence=[item(WindowCenter=center, WindowWidth=400)]) for center in (500, 3000)]
    groups = {"SharedFunctionalGroupsSequence": [shared], "PerFrameFunctionalGroupsSequence": [*own, item()]}
    study = read_study(written(tmp_path / "a.dcm", run(), **groups))
    for index, center in enumerate((500, 3000, 1000)):
        shown, stored = study.frame(index)[..., 0], run()[index]
        assert (shown[stored > center + 200] == shown.max()).all()
        assert (shown[stored < center - 200] == shown.min()).all()


def test_a_damaged_group_does_not_hide_its_frame(tmp_path: Path) -> None:
    path = written(tmp_path / "a.dcm", run(), PerFrameFunctionalGroupsSequence=[item()])
    data = dcmread(path)
    del data.PerFrameFunctionalGroupsSequence
    data.add_new("PerFrameFunctionalGroupsSequence", "OB", b"nothing.")
    data.save_as(path)
    assert np.array_equal(read_study(path).frame(0)[..., 0], run()[0])


def test_numbers_with_the_large_byte_first_become_those_of_this_computer(tmp_path: Path) -> None:
    data = dcmread(written(tmp_path / "a.dcm", run()))
    data.PixelData = run().astype(">u2").tobytes()
    data.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    data.is_little_endian = False
    data.save_as(tmp_path / "a.dcm")
    study = read_study(tmp_path / "a.dcm")
    assert np.array_equal(np.asarray(study.pixels)[..., 0], run())
    assert study.pixels.dtype == np.uint16
    assert study.pixels.dtype.isnative


EDGE = 10
SHUTTER = {
    "ShutterShape": "RECTANGULAR",
    "ShutterUpperHorizontalEdge": 0,
    "ShutterLowerHorizontalEdge": ROWS + 1,
    "ShutterLeftVerticalEdge": EDGE,
    "ShutterRightVerticalEdge": COLUMNS + 1,
}


@pytest.mark.parametrize("shutter", [SHUTTER, {}], ids=["tagged", "not tagged"])
def test_the_window_of_another_image_is_not_applied_though_it_shows_a_collimator(
    tmp_path: Path, shutter: dict[str, object]
) -> None:
    pixels = run() // 2 + 2000
    # A tagged one may let through as much as the window is wide.
    pixels[..., :EDGE] = run()[..., :EDGE] // 64 if shutter else 0
    shown = read_study(written(tmp_path / "a.dcm", pixels, WindowCenter=40, WindowWidth=80, **shutter)).frame(0)
    assert np.array_equal(shown[:, EDGE:, 0], pixels[0, :, EDGE:])


def test_an_image_of_black_and_white_keeps_its_window(tmp_path: Path) -> None:
    pixels = np.where(run() > 2000, 3000, 1000).astype(np.uint16)
    shown = read_study(written(tmp_path / "a.dcm", pixels, WindowCenter=2000, WindowWidth=500)).frame(0)
    assert np.array_equal(np.unique(shown), [0, 4095])


@pytest.mark.parametrize(
    "window", [{"WindowCenter": 3000, "WindowWidth": 1500}, {"WindowCenter": 40, "WindowWidth": 80}]
)
def test_all_frames_of_a_run_are_shown_in_its_window_or_all_without(tmp_path: Path, window: dict[str, int]) -> None:
    pixels = run(12) // 2 + 2000
    # The first frame would be black in the one window, and fit the other.
    pixels[0] //= 64
    study = read_study(written(tmp_path / "a.dcm", pixels, FrameTime=33, **window))
    plain = read_study(written(tmp_path / "b.dcm", pixels, FrameTime=33))
    windowed = {not np.array_equal(study.frame(index), plain.frame(index)) for index in range(12)}
    assert windowed == {window["WindowWidth"] == 1500}


def test_a_damaged_frame_does_not_keep_the_others_from_being_shown_in_their_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read_study(written(tmp_path / "a.dcm", run(12), FrameTime=33, WindowCenter=2048, WindowWidth=1000))
    expected, decode = study.frame(0), DicomFrames._decode

    def damaged(frames: DicomFrames, index: int) -> np.ndarray:
        if index == 2:
            raise ImageError("frame 3 of a.dcm cannot be decoded")
        return decode(frames, index)

    monkeypatch.setattr(DicomFrames, "_decode", damaged)
    assert np.array_equal(read_study(tmp_path / "a.dcm").frame(0), expected)


def test_a_window_as_narrow_as_a_radiologist_may_choose_is_applied(tmp_path: Path) -> None:
    shown = read_study(written(tmp_path / "a.dcm", run(), WindowCenter=2048, WindowWidth=300)).frame(0)[..., 0]
    assert ((shown == shown.min()) | (shown == shown.max())).mean() > 0.9
