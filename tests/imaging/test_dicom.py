"""DICOM: what is decoded, how it is shown, and what its tags say."""

from __future__ import annotations

import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixel_data_handlers.rle_handler import rle_encode_frame
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from salt_monailabel.imaging import ImageError, read_study
from salt_monailabel.imaging.acquisition import MaskFrames

from ..dicom import COLUMNS, ROWS, item, run, written


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, DeflatedExplicitVRLittleEndian])
def test_a_run_keeps_its_depth_whatever_it_is_packed_in(tmp_path: Path, syntax: UID) -> None:
    pixels = run()
    study = read_study(written(tmp_path / "run.dcm", pixels, syntax))
    assert study.shape == pixels.shape
    assert study.pixels.dtype == np.uint16
    assert np.array_equal(np.asarray(study.pixels)[..., 0], pixels)


@pytest.mark.parametrize(("compressor", "syntax"), [("JPEG", JPEGLosslessSV1), ("JPEG2000", JPEG2000Lossless)])
def test_what_itk_packs_without_loss_comes_out_as_it_was(tmp_path: Path, compressor: str, syntax: UID) -> None:
    path, pixels = tmp_path / "packed.dcm", run(1)
    writer = sitk.ImageFileWriter()
    writer.SetFileName(str(path))
    writer.UseCompressionOn()
    writer.SetCompressor(compressor)
    writer.Execute(sitk.GetImageFromArray(pixels))
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(np.asarray(read_study(path).pixels)[..., 0], pixels)


def test_jpeg_ls_loses_nothing() -> None:
    plain, packed = (get_testdata_file(f"MR_small{kind}.dcm") for kind in ("", "_jpeg_ls_lossless"))
    assert dcmread(packed).file_meta.TransferSyntaxUID == JPEGLSLossless
    assert np.array_equal(read_study(packed).pixels, read_study(plain).pixels)


def test_colour_comes_out_as_it_went_in(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, ROWS, COLUMNS, 3)).astype(np.uint8)
    assert np.array_equal(np.asarray(read_study(written(tmp_path / "photo.dcm", pixels)).pixels), pixels)


@pytest.mark.parametrize(
    ("syntax", "colours", "coded"),
    [
        (JPEGBaseline8Bit, "YBR_FULL_422", {"format": "JPEG", "quality": 95, "subsampling": "4:2:2"}),
        (JPEGBaseline8Bit, "YBR_FULL", {"format": "JPEG", "quality": 95, "subsampling": "4:4:4"}),
        (JPEGBaseline8Bit, "RGB", {"format": "JPEG", "quality": 95, "keep_rgb": True}),
        (JPEG2000Lossless, "YBR_RCT", {"format": "JPEG2000", "no_jp2": True, "mct": 1}),
        (JPEG2000Lossless, "RGB", {"format": "JPEG2000", "no_jp2": True, "mct": 0}),
    ],
)
def test_colours_that_are_compressed_come_out_as_they_were(
    tmp_path: Path, syntax: UID, colours: str, coded: dict[str, Any]
) -> None:
    pixels = np.zeros((2, ROWS, COLUMNS, 3), np.uint8)
    # One above the other: side by side, their edge would be blurred.
    pixels[0, :8], pixels[0, 8:], pixels[1] = (200, 40, 30), (20, 90, 180), (60, 160, 20)
    frames = []
    for frame in pixels:
        buffer = BytesIO()
        Image.fromarray(frame).save(buffer, **coded)
        frames.append(buffer.getvalue())
    data = dcmread(written(tmp_path / "photo.dcm", pixels, PhotometricInterpretation=colours))
    data.file_meta.TransferSyntaxUID, data.PixelData = syntax, encapsulate(frames)
    data["PixelData"].is_undefined_length = True
    data.save_as(tmp_path / "photo.dcm")
    read = np.asarray(read_study(tmp_path / "photo.dcm").pixels)
    assert np.abs(read.astype(int) - pixels).max() <= (0 if syntax == JPEG2000Lossless else 6)


def test_luminance_with_chrominance_becomes_rgb(tmp_path: Path) -> None:
    gray = np.full((1, ROWS, COLUMNS, 3), 128, np.uint8)
    gray[0, :, :16, 0] = 30
    shown = read_study(written(tmp_path / "ybr.dcm", gray, PhotometricInterpretation="YBR_FULL")).frame(0)
    assert np.array_equal(np.unique(shown), [30, 128])
    assert (shown[..., 0] == shown[..., 2]).all()


def test_the_window_and_the_polarity_are_applied(tmp_path: Path) -> None:
    pixels = run()
    window = {"WindowCenter": 2048, "WindowWidth": 1000}
    shown = read_study(written(tmp_path / "a.dcm", pixels, **window)).frame(1)[..., 0]
    assert (shown[pixels[1] < 1548] == shown.min()).all()
    assert (shown[pixels[1] > 2548] == shown.max()).all()
    negative = read_study(written(tmp_path / "b.dcm", pixels, PhotometricInterpretation="MONOCHROME1", **window)).frame(
        1
    )[..., 0]
    assert (negative[pixels[1] < 1548] == negative.max()).all()


@pytest.mark.parametrize("window", [{"WindowCenter": 50_000, "WindowWidth": 10}, {"WindowCenter": 0, "WindowWidth": 0}])
def test_a_window_that_shows_nothing_is_not_applied(tmp_path: Path, window: dict[str, float]) -> None:
    pixels = run()
    assert np.array_equal(read_study(written(tmp_path / "a.dcm", pixels, **window)).frame(0)[..., 0], pixels[0])


def test_what_lies_under_a_shutter_is_not_seen(tmp_path: Path) -> None:
    pixels = run() // 2 + 2000
    pixels[:, :, :8] = 0
    edges = {"ShutterUpperHorizontalEdge": 0, "ShutterLowerHorizontalEdge": ROWS + 1}
    sides = {"ShutterLeftVerticalEdge": 8, "ShutterRightVerticalEdge": COLUMNS + 1}
    study = read_study(written(tmp_path / "a.dcm", pixels, ShutterShape="RECTANGULAR", **edges, **sides))
    assert study.acquisition.exposed is not None
    assert np.array_equal(study.acquisition.exposed.all(axis=0), np.arange(COLUMNS) >= 8)
    frame = study.frame(0)[..., 0]
    assert np.ptp(frame[:, :8]) == 0
    assert 2000 < frame[0, 0] < 4048
    assert np.array_equal(frame[:, 8:], pixels[0, :, 8:])


def test_round_and_many_sided_shutters_overlap(tmp_path: Path) -> None:
    corners = {"VerticesOfThePolygonalShutter": [1, 1, 1, COLUMNS, ROWS, COLUMNS, ROWS, 1]}
    circle = {"CenterOfCircularShutter": [12, 16], "RadiusOfCircularShutter": 10}
    study = read_study(written(tmp_path / "a.dcm", run(), ShutterShape=["CIRCULAR", "POLYGONAL"], **corners, **circle))
    exposed = study.acquisition.exposed
    assert exposed is not None
    assert exposed.sum() == pytest.approx(np.pi * 100, rel=0.05)
    assert exposed[11, 15]


def taken(*seconds: float) -> list[Dataset]:
    """Return what an enhanced object tells of frames of some seconds of the same minute."""
    moments = [item(FrameAcquisitionDateTime=f"202601021530{second:09.6f}") for second in seconds]
    return [item(FrameContentSequence=[moment]) for moment in moments]


@pytest.mark.parametrize(
    ("tags", "times"),
    [
        ({"PerFrameFunctionalGroupsSequence": taken(7, 7.04, 7.12)}, (0, 40, 120)),
        ({"PerFrameFunctionalGroupsSequence": taken(7, 7.04, 7.02)}, ()),
        ({"PerFrameFunctionalGroupsSequence": taken(7, 7.04)}, ()),
        ({"PerFrameFunctionalGroupsSequence": taken(7, 7.04, 7.12), "Modality": "OPT"}, ()),
        ({"FrameTime": 40}, (0, 40, 80)),
        ({"FrameTimeVector": [0, 30, 50]}, (0, 30, 80)),
        ({"CineRate": 10}, (0, 100, 200)),
        ({"FrameTime": 0}, ()),
        ({}, ()),
    ],
)
def test_the_times_of_frames(tmp_path: Path, tags: dict[str, Any], times: tuple[float, ...]) -> None:
    assert read_study(written(tmp_path / "a.dcm", run(), **tags)).acquisition.times == pytest.approx(times)


@pytest.mark.parametrize(
    ("tag", "modality"),
    [("XA", "xa"), ("RF", "xa"), ("OP", "fundus"), ("OPT", "octa"), ("OPTENF", "octa"), ("US", None)],
)
def test_the_modality_is_what_the_tag_says(tmp_path: Path, tag: str, modality: str | None) -> None:
    assert read_study(written(tmp_path / "a.dcm", run(1), Modality=tag)).acquisition.modality == modality


def test_spacing_modality_and_mask_frames(tmp_path: Path) -> None:
    subtraction = item(MaskOperation="AVG_SUB", MaskFrameNumbers=[1, 2, 9], MaskSubPixelShift=[0.5, -1.25])
    study = read_study(
        written(tmp_path / "a.dcm", run(), ImagerPixelSpacing=[0.2, 0.3], MaskSubtractionSequence=[subtraction])
    )
    acquisition = study.acquisition
    assert (acquisition.modality, acquisition.spacing) == ("xa", (0.2, 0.3))
    assert acquisition.masks == (MaskFrames((0, 1), (0.5, -1.25)),)


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [
        ({}, 0.3),
        ({"EstimatedRadiographicMagnificationFactor": 1.5}, 0.2),
        ({"DistanceSourceToDetector": 1200, "DistanceSourceToPatient": 800}, 0.2),
        ({"EstimatedRadiographicMagnificationFactor": 1.5, "DistanceSourceToDetector": 900,
          "DistanceSourceToPatient": 300}, 0.2),
        ({"EstimatedRadiographicMagnificationFactor": 0.5}, 0.3),
        ({"DistanceSourceToDetector": 1200, "DistanceSourceToPatient": 0}, 0.3),
        ({"DistanceSourceToDetector": 1200}, 0.3),
        ({"EstimatedRadiographicMagnificationFactor": 1.5, "PixelSpacing": [0.25, 0.25]}, 0.25),
    ],
)  # fmt: skip
def test_spacing_at_the_detector_is_divided_by_the_magnification(
    tmp_path: Path, tags: dict[str, Any], spacing: float
) -> None:
    study = read_study(written(tmp_path / "a.dcm", run(), ImagerPixelSpacing=[0.3, 0.3], **tags))
    assert study.acquisition.spacing == pytest.approx((spacing, spacing))


@pytest.mark.parametrize("ends", [2, [3, 1, 2]])
def test_mask_frames_of_a_damaged_range_are_not_known_and_others_are(tmp_path: Path, ends: Any) -> None:
    damaged = item(MaskOperation="AVG_SUB", MaskFrameNumbers=1, ApplicableFrameRange=ends)
    sound = item(MaskOperation="AVG_SUB", MaskFrameNumbers=2)
    study = read_study(written(tmp_path / "a.dcm", run(), MaskSubtractionSequence=[damaged, sound]))
    assert study.acquisition.masks == (MaskFrames((1,)),)


def test_enhanced_objects_say_it_in_functional_groups(tmp_path: Path) -> None:
    group = item(
        PixelMeasuresSequence=[item(PixelSpacing=[0.4, 0.4])],
        FrameVOILUTSequence=[item(WindowCenter=2048, WindowWidth=1000)],
    )
    study = read_study(written(tmp_path / "a.dcm", run(), SharedFunctionalGroupsSequence=[group]))
    assert study.acquisition.spacing == (0.4, 0.4)
    shown = study.frame(0)
    assert (shown == shown.min()).mean() > 0.3


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("signed", [False, True])
def test_bits_above_those_stored_are_no_part_of_a_value(tmp_path: Path, syntax: UID, signed: bool) -> None:
    values = run().astype(np.int16) - 2048 * signed
    # An overlay, as it was stored in former days.
    pixels = (values.view(np.uint16) & 0x0FFF) | (run(seed=1) << 12)
    study = read_study(written(tmp_path / "a.dcm", pixels, syntax, PixelRepresentation=int(signed)))
    assert study.pixels.dtype == (np.int16 if signed else np.uint16)
    assert np.array_equal(np.asarray(study.pixels)[..., 0], values)


def test_frames_that_are_missing_are_missed(tmp_path: Path) -> None:
    path = written(tmp_path / "cut.dcm", run())
    content = path.read_bytes()
    path.write_bytes(content.replace(run()[2].tobytes(), b""))
    with pytest.raises(ImageError, match=r"cut\.dcm"):
        read_study(path)


def test_a_damaged_frame_is_named_when_it_is_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path / "run.dcm", run(5), RLELossless)
    content = bytearray(path.read_bytes())
    second = content.find(rle_encode_frame(run(5)[1]))
    # A segment that begins beyond the frame.
    content[second + 4 : second + 8] = b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    study = read_study(path)
    with pytest.raises(ImageError, match=r"frame 2 of run\.dcm"):
        study.frame(1)
    assert np.array_equal(study.frame(3)[..., 0], run(5)[3])


def test_an_object_without_pixels_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "report.dcm", run())
    data = dcmread(path)
    del data.PixelData
    data.save_as(path)
    with pytest.raises(ImageError, match=r"report\.dcm"):
        read_study(path)


def test_a_long_run_opens_without_decoding_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 4096, (1, ROWS, COLUMNS)).astype(np.uint16).repeat(2000, axis=0)
    path = written(tmp_path / "run.dcm", pixels, RLELossless)
    started = time.process_time()
    study = read_study(path)
    opening = time.process_time() - started
    started = time.process_time()
    np.asarray(study.pixels)
    assert opening < (time.process_time() - started) / 2
