"""What the model sees does not depend on exposure, window or bit depth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from salt_monailabel.imaging import to_rgb


@st.composite
def images(draw: st.DrawFn) -> np.ndarray:
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=12)) + draw(st.sampled_from([(), (1,), (3,)]))
    return draw(arrays(draw(st.sampled_from([np.uint8, np.uint16, np.int16])), shape))


@settings(deadline=None)
@given(images())
def test_any_image_becomes_rgb_from_0_to_1(pixels: np.ndarray) -> None:
    before = pixels.copy()
    rgb = to_rgb(pixels)
    assert rgb.shape == (*pixels.shape[:2], 3)
    assert rgb.dtype == np.float32
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert np.array_equal(pixels, before)


@settings(deadline=None)
@given(images(), st.floats(0.1, 50), st.integers(-2000, 2000))
def test_exposure_and_window_drop_out(pixels: np.ndarray, slope: float, intercept: int) -> None:
    # Rounding to float32 is large beside the contrast of an image that has almost none.
    recorded = pixels.astype(np.float64) * slope + intercept
    contrast = np.ptp(recorded, axis=(0, 1)).min() if np.ptp(pixels) else 0.0
    tolerance = 1e-5 + 1e-6 * np.abs(recorded).max() / max(contrast, 1e-3)
    np.testing.assert_allclose(to_rgb(recorded), to_rgb(pixels), atol=max(tolerance, 2e-3))


def test_bit_depth_drops_out() -> None:
    eight = np.random.default_rng(0).integers(0, 256, (40, 50), dtype=np.uint8)
    np.testing.assert_allclose(to_rgb(eight.astype(np.uint16) * 257), to_rgb(eight), atol=1e-5)


def test_the_first_and_last_percent_are_cut() -> None:
    ramp = np.arange(1000.0).reshape(25, 40)
    rgb = to_rgb(ramp)[..., 0].ravel()
    assert (rgb == 0).sum() == pytest.approx(10, abs=1)
    assert (rgb == 1).sum() == pytest.approx(10, abs=1)
    assert np.all(np.diff(rgb) >= 0)


def test_a_few_burnt_pixels_do_not_darken_the_rest() -> None:
    pixels = np.random.default_rng(0).integers(0, 200, (60, 60)).astype(np.uint16)
    burnt = pixels.copy()
    burnt[0, :10] = 65535
    np.testing.assert_allclose(to_rgb(burnt)[1:], to_rgb(pixels)[1:], atol=0.02)


def test_the_channels_of_a_gray_image_are_alike() -> None:
    rgb = to_rgb(np.arange(12).reshape(3, 4))
    assert np.array_equal(rgb[..., 0], rgb[..., 1])
    assert np.array_equal(rgb[..., 0], rgb[..., 2])


def test_each_channel_of_a_colour_image_is_scaled_by_itself() -> None:
    ramp = np.arange(1000.0).reshape(25, 40)
    rgb = to_rgb(np.stack([ramp, 5 * ramp - 90, -ramp], axis=-1))
    np.testing.assert_allclose(rgb[..., 1], rgb[..., 0], atol=1e-5)
    np.testing.assert_allclose(rgb[..., 2], 1 - rgb[..., 0], atol=1e-5)


def test_a_constant_channel_becomes_zero() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3))
    pixels[..., 1] = 200
    rgb = to_rgb(pixels)
    assert not rgb[..., 1].any()
    assert rgb[..., 0].any()


def test_a_large_image_is_scaled_as_by_all_of_its_pixels() -> None:
    pixels = np.random.default_rng(0).normal(100, 20, (300, 200))
    low, high = np.percentile(pixels, (1, 99))
    np.testing.assert_allclose(to_rgb(pixels)[..., 0], np.clip((pixels - low) / (high - low), 0, 1), atol=0.04)
