"""Projections over time, on drawn runs of which everything is known."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from salt_monailabel.imaging import synthesize
from salt_monailabel.imaging.projection import minimum_intensity, peak_opacification
from salt_monailabel.imaging.subtraction import subtract

SIDE = 256


def anatomy(side: int, seed: int = 0) -> np.ndarray:
    """Return soft tissue and ribs, (side, side) in 0.3..1."""
    rng = np.random.default_rng(seed)
    tissue = sum(ndimage.gaussian_filter(rng.normal(0, sigma, (side, side)), sigma) for sigma in (1, 4, 16))
    ribs = np.sin(np.add.outer(np.arange(side) / 9, np.arange(side) / 31)) > 0.6
    return np.clip(0.75 + 0.1 * tissue - 0.15 * ndimage.gaussian_filter(ribs.astype(float), 1.5), 0.3, 1)


def vessels(side: int) -> np.ndarray:
    """Return how much vessel each pixel shows, (side, side) in 0..1."""
    return ndimage.gaussian_filter(synthesize(6, side, "angiogram").mask.astype(float), 0.8)


def drawn_run(side: int, arrival: int, leaving: int = 99, count: int = 24, motion: float = 0.0) -> np.ndarray:
    """Return frames in which contrast medium comes from above, stays or leaves; a heart beats by `motion` pixels."""
    rng = np.random.default_rng(0)
    ground, vessel = anatomy(side), vessels(side)
    rows = np.arange(side)[:, None] - np.flatnonzero(vessel.any(axis=1))[0]
    frames = []
    for time in range(count):
        filled = np.clip(((time - arrival + 1) * side / 6 - rows) / (side / 8), 0, 1) * np.clip(
            (leaving + 3 - time) / 3, 0, 1
        )
        beat = motion * np.sin(2 * np.pi * time / 7)
        still = ndimage.shift(ground * np.exp(-0.5 * vessel * filled), (beat, beat / 2), order=1, mode="nearest")
        frames.append(still * 200 + rng.normal(0, 2, still.shape))
    return np.clip(frames, 0, 255).round().astype(np.uint8)


@given(arrays.arrays(st.sampled_from([np.uint8, np.uint16, np.float32]), (4, 3, 5), elements=st.integers(0, 255)))
def test_the_darkest_of_all_times_is_kept(frames: np.ndarray) -> None:
    darkest = minimum_intensity(frames)
    assert darkest.dtype == frames.dtype
    assert (darkest <= frames).all()
    assert (darkest == frames).any(axis=0).all()


def test_the_darkest_is_found_without_keeping_the_frames() -> None:
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(6, 8)).astype(np.float32) for _ in range(5)]
    kept = [weakref.ref(frame) for frame in frames]
    expected = np.min(frames, axis=0)

    def one_by_one() -> Iterator[np.ndarray]:
        while frames:
            # Two may still be compared.
            assert sum(frame() is not None for frame in kept) <= len(frames) + 2
            yield frames.pop()

    assert np.array_equal(minimum_intensity(one_by_one()), expected)


@pytest.mark.parametrize("motion", [0.0, 2.0])
@pytest.mark.parametrize("raw", [True, False])
def test_vessels_are_fullest_after_contrast_came_and_before_it_left(motion: float, raw: bool) -> None:
    frames = drawn_run(SIDE, arrival=4, leaving=14, motion=motion)
    assert 9 <= peak_opacification(frames if raw else subtract(frames, frames[0])) <= 14


def test_neither_a_bright_frame_nor_a_spoilt_one_is_the_fullest() -> None:
    frames = drawn_run(SIDE, arrival=4, leaving=14)
    frames[1] = np.minimum(frames[1] * 1.25, 255)
    frames[18] = np.random.default_rng(1).integers(0, 255, frames[18].shape)
    assert 9 <= peak_opacification(frames) <= 14


def test_of_frames_that_are_alike_the_first_is_the_fullest() -> None:
    assert peak_opacification(np.full((3, 20, 20), 5, np.uint16)) == 0
