"""What of a run is looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from salt_monailabel.imaging import ImageError, Study, read_study
from salt_monailabel.imaging.run import KEPT, RunView
from salt_monailabel.imaging.subtraction import subtract

from ..dicom import COLUMNS, ROWS, item, run, written
from .test_projection import SIDE, anatomy, vessels

FRAMES = 12
# Contrast medium arrives in frame 6 and fills a vessel by frame 8.
FILLED = np.clip((np.arange(FRAMES) - 5) / 3, 0, 1)


@pytest.fixture
def vessel() -> np.ndarray:
    place = np.zeros((ROWS, COLUMNS), bool)
    place[10:13] = True
    return place


@pytest.fixture
def cine(tmp_path: Path, vessel: np.ndarray) -> Path:
    """Write a run over bone that is darker on the right."""
    bone = np.linspace(3000, 1500, COLUMNS) * np.ones((ROWS, 1))
    frames = bone * (1 - 0.4 * FILLED[:, None, None] * vessel)
    return written(tmp_path / "cine.dcm", frames.astype(np.uint16), FrameTime=33)


def images(study: Study, **wanted: Any) -> list[tuple[list[int], np.ndarray]]:
    view = RunView(**wanted)
    return [(list(frames), image) for frames, image in view.images(view.seen(study))]


def test_frame_by_frame_each_is_as_it_is_shown(cine: Path) -> None:
    study = read_study(cine)
    assert [frames for frames, _ in images(study)] == [[i] for i in range(FRAMES)]
    ((frames, image),) = images(study, first=7, last=7)
    assert frames == [7]
    assert np.array_equal(image, study.frame(7))


def test_subtracted_the_vessel_alone_remains(cine: Path, vessel: np.ndarray) -> None:
    ((frames, image),) = images(read_study(cine), first=9, last=9, subtracted=True)
    assert frames == [9]
    assert np.ptp(image[~vessel]) < 0.01
    assert image[vessel].max() < image[~vessel].min() - 0.4


@pytest.mark.parametrize("tags", [{"PhotometricInterpretation": "MONOCHROME1"}, {"PixelIntensityRelationshipSign": -1}])
@pytest.mark.parametrize("signed", [False, True])
def test_a_run_that_is_stored_as_a_negative_is_subtracted_alike(
    cine: Path, tmp_path: Path, tags: dict[str, Any], signed: bool
) -> None:
    pixels = np.asarray(read_study(cine).pixels)[..., 0]
    negative = -1 - pixels.astype(np.int16) if signed else 4095 - pixels
    stored = {"PixelRepresentation": int(signed), "BitsStored": 16 if signed else 12}
    study = read_study(written(tmp_path / "negative.dcm", negative, FrameTime=33, **stored, **tags))
    for wanted in ({"first": 9, "last": 9}, {"projection": "minimum"}, {"projection": "peak"}):
        ((frames, image),) = images(study, subtracted=True, **wanted)
        ((expected, positive),) = images(read_study(cine), subtracted=True, **wanted)
        assert list(frames) == list(expected)
        assert np.array_equal(image, positive)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    ("tags", "shown_dark"),
    [
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PixelIntensityRelationshipSign": -1}, False),
        ({"PixelIntensityRelationshipSign": -1, "RescaleSlope": -1, "RescaleIntercept": 0}, True),
        ({"PixelIntensityRelationshipSign": -1, "PhotometricInterpretation": "MONOCHROME1"}, True),
    ],
)
def test_the_projection_of_a_negative_shows_the_vessel(
    cine: Path, tmp_path: Path, tags: dict[str, Any], shown_dark: bool, signed: bool
) -> None:
    pixels = np.asarray(read_study(cine).pixels)[..., 0]
    negative = -1 - pixels.astype(np.int16) if signed else 4095 - pixels
    stored = {"PixelRepresentation": int(signed), "BitsStored": 16 if signed else 12}
    study = read_study(written(tmp_path / "negative.dcm", negative, FrameTime=33, **stored, **tags))
    ((_, image),) = images(study, projection="minimum")
    ((_, positive),) = images(read_study(cine), projection="minimum")
    difference = image - positive if shown_dark else image + positive
    assert np.ptp(difference) == 0


def test_the_peak_of_a_negative_is_that_of_the_positive(cine: Path, tmp_path: Path) -> None:
    negative = 4095 - np.asarray(read_study(cine).pixels)[..., 0]
    study = read_study(written(tmp_path / "negative.dcm", negative, PhotometricInterpretation="MONOCHROME1"))
    ((frames, _),), ((expected, _),) = (images(each, projection="peak") for each in (study, read_study(cine)))
    assert frames == expected


def test_the_sign_of_the_intensity_comes_before_how_it_is_shown(cine: Path, tmp_path: Path) -> None:
    pixels = np.asarray(read_study(cine).pixels)[..., 0]
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PixelIntensityRelationshipSign": 1}
    study = read_study(written(tmp_path / "white.dcm", pixels, FrameTime=33, **tags))
    ((_, image),) = images(study, first=9, last=9, subtracted=True)
    ((_, expected),) = images(read_study(cine), first=9, last=9, subtracted=True)
    assert np.array_equal(image, expected)


def test_the_darkest_over_time_stands_for_all_frames(cine: Path, vessel: np.ndarray) -> None:
    ((frames, image),) = images(read_study(cine), first=2, projection="minimum")
    assert frames == list(range(2, FRAMES))
    assert np.array_equal(image, np.asarray(read_study(cine).pixels)[2:].min(axis=0))


def test_the_peak_is_a_frame_in_which_the_vessel_is_filled(cine: Path) -> None:
    ((frames, _),) = images(read_study(cine), projection="peak")
    assert frames[0] >= 8


def test_the_mask_the_file_names_is_subtracted_unless_another_is_chosen(cine: Path, tmp_path: Path) -> None:
    pixels = np.asarray(read_study(cine).pixels)[..., 0]
    tagged = item(MaskOperation="AVG_SUB", MaskFrameNumbers=[12])
    study = read_study(written(tmp_path / "tagged.dcm", pixels, MaskSubtractionSequence=[tagged]))
    ((_, last),) = images(study, first=11, last=11, subtracted=True)
    assert np.ptp(last) == 0
    ((_, chosen),) = images(study, first=11, last=11, subtracted=True, mask=0)
    assert np.ptp(chosen) > 0.4


def test_each_frame_has_the_mask_that_the_file_names_for_it(cine: Path, tmp_path: Path) -> None:
    pixels = np.asarray(read_study(cine).pixels)[..., 0]
    first = item(MaskOperation="AVG_SUB", MaskFrameNumbers=[1], ApplicableFrameRange=[2, 6])
    second = item(MaskOperation="AVG_SUB", MaskFrameNumbers=[7], ApplicableFrameRange=[7, 8, 11, 12])
    study = read_study(written(tmp_path / "tagged.dcm", pixels, MaskSubtractionSequence=[first, second]))
    seen = RunView(subtracted=True).seen(study)
    # Frame 10 has none, and gets the first.
    for index, mask in {1: 0, 5: 0, 6: 6, 7: 6, 9: 0, 10: 6, 11: 6}.items():
        assert np.array_equal(seen.frame(index)[..., 0], subtract(pixels[[index]], pixels[mask])[0]), index


def test_a_projection_compares_frames_in_one_window(cine: Path, tmp_path: Path) -> None:
    still = np.asarray(read_study(cine).pixels)[:1, ..., 0].repeat(3, axis=0)
    centers = np.percentile(still, (30, 60, 30)).tolist()
    windows = [item(FrameVOILUTSequence=[item(WindowCenter=center, WindowWidth=500)]) for center in centers]
    study = read_study(written(tmp_path / "windows.dcm", still, PerFrameFunctionalGroupsSequence=windows))
    assert not np.array_equal(study.frame(0), study.frame(1))
    ((_, darkest),) = images(study, projection="minimum")
    assert np.array_equal(darkest, study.frame(0).astype(np.float32))


def test_a_mask_for_each_frame_takes_no_more_memory_than_a_few(cine: Path, tmp_path: Path) -> None:
    pixels = np.asarray(read_study(cine).pixels)[..., 0]
    own = [
        item(MaskOperation="AVG_SUB", MaskFrameNumbers=[number], ApplicableFrameRange=[number, number])
        for number in range(1, FRAMES + 1)
    ]
    study = read_study(written(tmp_path / "tagged.dcm", pixels, MaskSubtractionSequence=own))
    seen = RunView(subtracted=True).seen(study)
    assert not any(seen.frame(index).any() for index in range(FRAMES))
    assert seen.pixels.nbytes == study.pixels.nbytes + KEPT * pixels[0].size * 4


def test_what_is_subtracted_follows_the_patient_if_that_is_asked_for(tmp_path: Path) -> None:
    mask = 3000 * anatomy(SIDE)
    moved = ndimage.shift(mask, (4, -3), order=3, mode="nearest")
    vessel = vessels(SIDE)
    frames = np.stack([mask, moved, moved * np.exp(-0.5 * vessel)]).astype(np.uint16)
    study = read_study(written(tmp_path / "moving.dcm", frames))
    outside = np.s_[16:-16, 16:-16]
    left = {}
    for register in (False, True):
        ((_, image),) = images(study, first=2, subtracted=True, mask=0, registered=register)
        left[register] = np.abs(image[..., 0][outside][vessel[outside] < 0.01]).mean()
        ((shown, darkest),) = images(study, first=1, subtracted=True, mask=0, registered=register, projection="minimum")
        assert list(shown) == [1, 2]
        assert (darkest <= image).all()
    assert left[True] < 0.4 * left[False]


@pytest.mark.parametrize("view", [{"first": 12}, {"first": -1}, {"first": 5, "last": 3}, {"last": 12}, {"last": -5}])
def test_frames_there_are_not_are_named(cine: Path, view: dict[str, int]) -> None:
    with pytest.raises(ImageError, match=r"cine\.dcm has the frames 0 to 11"):
        images(read_study(cine), **view)


def test_a_single_image_is_no_run(tmp_path: Path) -> None:
    study = read_study(written(tmp_path / "one.dcm", run(1)))
    with pytest.raises(ImageError, match=r"one\.dcm is no run"):
        images(study, projection="minimum")
