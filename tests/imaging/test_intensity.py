"""What the model sees does not depend on exposure, window or bit depth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.draw import disk

from salt_monailabel.imaging import model_input, to_rgb
from salt_monailabel.imaging.intensity import evened

from .test_field import camera, overlap


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


@pytest.mark.parametrize("side", [100, 200])
def test_the_few_pixels_that_differ_from_all_others_are_seen(side: int) -> None:
    pixels = np.full((side, side, 3), 50, np.uint8)
    pixels[7, :40] = 200, 20, 50
    rgb = to_rgb(pixels)
    assert np.array_equal(rgb[..., 0], pixels[..., 0] == 200)
    assert np.array_equal(rgb[..., 1], pixels[..., 1] == 50)
    assert not rgb[..., 2].any()


def test_a_large_image_is_scaled_as_by_all_of_its_pixels() -> None:
    pixels = np.random.default_rng(0).normal(100, 20, (300, 200))
    low, high = np.percentile(pixels, (1, 99))
    np.testing.assert_allclose(to_rgb(pixels)[..., 0], np.clip((pixels - low) / (high - low), 0, 1), atol=0.04)


@settings(deadline=None)
@given(images())
def test_whatever_the_model_is_shown_lies_between_0_and_1(pixels: np.ndarray) -> None:
    for seen in (model_input(pixels), evened(pixels)):
        assert seen.shape == (*pixels.shape[:2], 3)
        assert seen.dtype == np.float32
        assert seen.min() >= 0
        assert seen.max() <= 1


def test_gray_images_are_scaled_alone_in_three_channels_too() -> None:
    gray = np.random.default_rng(0).integers(0, 256, (140, 150), np.uint8)
    assert np.array_equal(model_input(gray), to_rgb(gray))
    assert np.array_equal(model_input(np.dstack([gray] * 3)), to_rgb(gray))


def photograph() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a photograph in colours, its field of view, and the thin dark lines on it."""
    field = np.zeros((300, 360), bool)
    field[disk((150, 180), 140)] = True
    lines = np.zeros_like(field)
    lines[::30] = lines[1::30] = True
    gray = camera(field)[0].astype(np.float64) - 15 * (lines & field)[..., None]
    return gray * (1, 0.8, 0.5), field, lines & field


def test_shading_of_a_photograph_drops_out() -> None:
    pixels, field, lines = photograph()
    shaded = pixels * (1 - 0.5 * np.linspace(0, 1, pixels.shape[1])[None, :, None])

    def unevenness(rgb: np.ndarray) -> float:
        """Return by how much the ground differs from left to right, beside how much the lines stand out from it."""
        ground = [rgb[:, i][(field & ~lines)[:, i]].mean() for i in (100, 180, 260)]
        return float(np.ptp(ground) / (rgb[field & ~lines].mean() - rgb[lines].mean()))

    assert unevenness(to_rgb(shaded)) > 3
    assert 0 < unevenness(model_input(shaded)) < 0.5


def test_outside_of_the_field_of_a_photograph_the_model_sees_nothing() -> None:
    pixels, field, _ = photograph()
    assert overlap(model_input(pixels).any(axis=-1), field) > 0.95
