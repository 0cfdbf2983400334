"""Subtraction, its mask and the motion of the patient, on drawn runs of which everything is known."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from salt_monailabel.imaging import ImageError
from salt_monailabel.imaging.subtraction import averaged, mask_frame, registered, shifted, subtract

from .test_projection import SIDE, anatomy, drawn_run, vessels

images = arrays.arrays(np.float32, (9, 7), elements=st.floats(0.25, 1, width=32))
runs = arrays.arrays(np.float32, (3, 9, 7), elements=st.floats(0.25, 1, width=32))


@given(
    arrays.arrays(st.sampled_from([np.uint8, np.int16, np.uint16, np.float32]), (5, 6), elements=st.integers(0, 255))
)
def test_a_frame_minus_itself_is_nothing(frame: np.ndarray) -> None:
    difference = subtract(frame[None], frame)
    assert difference.dtype == np.float32
    assert not difference.any()


@given(runs, images, images)
def test_what_lies_before_and_behind_the_vessels_drops_out(
    frames: np.ndarray, mask: np.ndarray, anatomy: np.ndarray
) -> None:
    assert subtract(frames * anatomy, mask * anatomy) == pytest.approx(subtract(frames, mask), abs=1e-4)


@given(runs, images, st.floats(0.5, 2))
def test_a_change_of_exposure_drops_out(frames: np.ndarray, mask: np.ndarray, exposure: float) -> None:
    assert subtract(frames * np.float32(exposure), mask) == pytest.approx(subtract(frames, mask), abs=1e-4)


@given(runs, images)
def test_logarithms_are_subtracted_as_they_are(frames: np.ndarray, mask: np.ndarray) -> None:
    assert subtract(np.log(frames), np.log(mask), logarithmic=True) == pytest.approx(subtract(frames, mask), abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "brightest"), [(np.uint8, 255), (np.uint16, 65535), (np.int16, 4095), (np.float32, 1)]
)
def test_vessels_are_as_dark_as_they_attenuate_and_the_rest_is_nothing(kind: type, brightest: float) -> None:
    vessel, ground = vessels(SIDE), anatomy(SIDE)
    frame, mask = ((image * brightest * 0.9).astype(kind) for image in (ground * np.exp(-0.4 * vessel), ground))
    difference = subtract(frame[None], mask)[0]
    assert np.abs(difference + 0.4 * vessel).mean() < 0.01


def test_each_frame_may_have_a_mask_of_its_own() -> None:
    frames = np.stack([anatomy(SIDE, seed) for seed in (1, 2)])
    assert not subtract(frames, frames).any()


def test_the_shadow_of_a_shutter_is_neutral_and_saturation_finite() -> None:
    rng = np.random.default_rng(0)
    frame, mask = (np.clip(rng.normal(200, 30, (64, 64)), 0, 255).astype(np.uint8) for _ in range(2))
    for image in (frame, mask):
        image[:20] = rng.integers(0, 3, (20, 64))
    difference = subtract(frame[None], mask)[0]
    assert not difference[:20].any()
    assert np.isfinite(difference).all()
    assert not subtract(frame[None], np.zeros_like(mask)).any()


def test_a_run_of_three_seconds_takes_less_than_two_and_a_gigabyte() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (96, 512, 512), np.uint8)
    tracemalloc.start()
    subtract(frames[:2], frames[0])
    per_frame = tracemalloc.get_traced_memory()[1] / 2
    tracemalloc.stop()
    started = time.process_time()
    result = subtract(frames, frames[0])
    assert time.process_time() - started < 2
    assert result.nbytes + 8 * per_frame + frames.nbytes < 1e9


def test_a_mask_is_the_mean_of_the_frames_named() -> None:
    frames = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    mask = averaged(frames, [1, 3])
    assert mask.dtype == np.float32
    assert np.array_equal(mask, (frames[1] / 2.0 + frames[3] / 2.0))


@pytest.mark.parametrize(("indices", "said"), [([0, 4], "frames 0 to 3; got 4"), ([-1], "got -1"), ([], "name at")])
def test_a_mask_of_frames_that_do_not_exist_is_refused(indices: list[int], said: str) -> None:
    with pytest.raises(ImageError, match=said):
        averaged(np.zeros((4, 2, 3), np.uint8), indices)


def test_a_mask_is_shifted_downwards_and_to_the_left_and_its_edges_are_repeated() -> None:
    mask = np.zeros((8, 9), np.uint16)
    mask[2, 6], mask[0] = 100, 7
    moved = shifted(mask, 2, 3)
    assert moved[4, 3] == pytest.approx(100, abs=1e-3)
    assert moved[:2] == pytest.approx(np.full((2, 9), 7), abs=1e-3)


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_a_shift_forth_and_back_changes_little(rows: float, columns: float) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(1).random((40, 40), np.float32), 2)
    again = shifted(shifted(mask, rows, columns), -rows, -columns)
    assert np.abs(again - mask)[5:-5, 5:-5].max() < 0.05 * np.ptp(mask)


@pytest.mark.parametrize("arrival", [1, 3, 8, 15])
@pytest.mark.parametrize("motion", [0.0, 2.0])
def test_the_mask_is_the_last_frame_before_contrast(arrival: int, motion: float) -> None:
    frames = drawn_run(SIDE, arrival=arrival, motion=motion)
    assert arrival - 2 <= mask_frame(frames) <= arrival


def test_frames_while_the_exposure_is_regulated_are_no_mask() -> None:
    frames = drawn_run(SIDE, arrival=8)
    frames[0] = np.minimum(frames[0] * 1.4, 255)
    assert 6 <= mask_frame(frames) <= 8


def test_without_frames_before_contrast_the_emptiest_is_taken() -> None:
    frames = drawn_run(SIDE, arrival=0, leaving=10)
    assert mask_frame(frames) >= 14


@pytest.mark.parametrize("count", [1, 2, 3])
def test_frames_that_are_alike_have_the_first_as_mask(count: int) -> None:
    assert mask_frame(np.full((count, 40, 40), 90, np.uint8)) == 0


def bent(image: np.ndarray, rows: float, columns: float, bend: float) -> np.ndarray:
    """Move an image by pixels, and bend it by up to as many."""
    row, column = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    wave = bend * np.sin(np.pi * row / len(image)) * np.sin(np.pi * column / len(image))
    return ndimage.map_coordinates(image, (row - rows + wave, column - columns - wave), order=3, mode="nearest")


@pytest.mark.parametrize(("motion", "elastic"), [((3.4, -5.2, 0.0), False), ((1.0, 2.0, 3.0), True)])
def test_a_mask_follows_the_patient(motion: tuple[float, float, float], elastic: bool) -> None:
    mask, vessel = 200 * anatomy(SIDE), vessels(SIDE)
    moved = bent(mask, *motion)
    frame = moved * np.exp(-0.4 * vessel)
    inside = np.s_[16:-16, 16:-16]
    before = np.abs(np.log(mask / moved))[inside].mean()
    after = np.abs(np.log(registered(mask, frame, elastic) / moved))[inside].mean()
    assert after < 0.25 * before


def test_contrast_alone_pulls_nothing() -> None:
    mask = 200 * anatomy(SIDE)
    frame = mask * np.exp(-0.5 * vessels(SIDE))
    assert np.abs(np.log(registered(mask, frame) / mask)).mean() < 0.005


def test_registration_is_repeatable_and_keeps_the_mask_where_it_cannot_do_better() -> None:
    frames = drawn_run(SIDE, arrival=3, motion=2.0)
    assert np.array_equal(registered(frames[0], frames[9]), registered(frames[0], frames[9]))
    assert np.array_equal(registered(frames[0], frames[0]), frames[0])
    constant = np.full((SIDE, SIDE), 7, np.uint8)
    assert np.array_equal(registered(constant, frames[9]), constant)
    assert np.array_equal(registered(frames[9], constant), frames[9])
    assert np.array_equal(registered(constant * 0, constant), constant * 0)


def test_a_mask_follows_a_turn() -> None:
    mask = 200 * anatomy(SIDE)
    frame = ndimage.rotate(mask, 3, reshape=False, order=3, mode="nearest")
    inside = np.s_[32:-32, 32:-32]
    before = np.abs(np.log(mask / frame))[inside].mean()
    assert np.abs(np.log(registered(mask, frame, elastic=False) / frame))[inside].mean() < 0.25 * before
