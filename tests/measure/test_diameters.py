"""Diameters are those the tubes were drawn with, whichever way they lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.measurements import tube
from salt_monailabel.imaging import synthesize
from salt_monailabel.measure import Segment, measure

LENGTH = 80.0
widths, angles = st.floats(3, 20), st.floats(0, 180)
shifts = st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))


def longest(mask: np.ndarray, spacing: tuple[float, float] | None = None) -> Segment:
    return max(measure(mask, spacing).segments, key=lambda segment: segment.length)


@settings(max_examples=25)
@given(widths, angles, st.floats(35, 60), shifts)
def test_a_curved_tube_is_as_wide_as_it_was_drawn(
    width: float, angle: float, radius: float, shift: tuple[float, float]
) -> None:
    # Long enough to lie in many ways to the grid of pixels.
    segment = longest(tube(width, angle, radius, 110, shift))
    assert segment.mean_diameter == pytest.approx(width, abs=0.25)
    assert np.nanmean(abs(segment.diameters - width)) < 0.25
    assert segment.min_diameter <= segment.mean_diameter <= segment.max_diameter


@settings(max_examples=25)
@given(widths, angles, shifts)
def test_a_straight_tube_is_as_wide_as_its_mask(width: float, angle: float, shift: tuple[float, float]) -> None:
    # Along an axis or a diagonal, a mask is up to a pixel wider or narrower than what it was made of.
    mask = tube(width, angle, length=LENGTH, shift=shift)
    assert longest(mask).mean_diameter == pytest.approx(mask.sum() / LENGTH, abs=0.25)


@pytest.mark.parametrize("width", [3, 5, 8, 13, 20])
@pytest.mark.parametrize("angle", [0, 10, 33, 71, 81])
def test_a_straight_tube_of_whole_pixels_is_as_wide_as_it_was_drawn(width: int, angle: float) -> None:
    assert longest(tube(width, angle, length=LENGTH, shift=(0.2, 0.4))).mean_diameter == pytest.approx(width, abs=0.25)


@pytest.mark.parametrize("turned", [np.rot90, np.flipud, np.fliplr, np.transpose])
@pytest.mark.parametrize("style", ["fundus", "octa", "angiogram"])
def test_a_turned_or_flipped_mask_measures_the_same(turned: Callable[[np.ndarray], np.ndarray], style: str) -> None:
    mask = synthesize(1, 192, style).mask
    before, after = measure(mask), measure(turned(mask))
    assert after.mean_diameter == pytest.approx(before.mean_diameter, abs=0.05)
    assert after.total_length == pytest.approx(before.total_length, rel=0.02)
    assert after.fractal_dimension == pytest.approx(before.fractal_dimension, abs=0.03)
    assert len(after.segments) == pytest.approx(len(before.segments), rel=0.1, abs=2)


def test_millimetres_are_pixels_times_their_size() -> None:
    mask = tube(8, 30, 60, LENGTH)
    pixels, millimetres = measure(mask), measure(mask, (0.25, 0.25))
    assert (pixels.unit, millimetres.unit) == ("px", "mm")
    assert millimetres.mean_diameter == pytest.approx(pixels.mean_diameter / 4)
    assert millimetres.total_length == pytest.approx(pixels.total_length / 4)
    assert millimetres.skeleton_density == pytest.approx(pixels.skeleton_density * 4)
    assert millimetres.density == pixels.density


@pytest.mark.parametrize("angle", [0, 30, 60, 90, 120])
def test_pixels_that_are_not_square_measure_the_same(angle: float) -> None:
    mask = tube(16, angle, 90, LENGTH)
    whole, halved = longest(mask, (0.1, 0.1)), longest(mask[::2], (0.2, 0.1))
    assert halved.mean_diameter == pytest.approx(whole.mean_diameter, abs=0.05)
    # How near a line comes to the ends of a tube differs.
    assert halved.length == pytest.approx(whole.length, abs=1.6)


@pytest.mark.parametrize("width", [1, 2])
def test_vessels_narrower_than_the_blur_are_measured_too(width: int) -> None:
    mask = np.zeros((40, 60), bool)
    mask[20 : 20 + width] = True
    assert longest(mask).mean_diameter == pytest.approx(width, abs=0.1)


def test_near_branching_points_and_tips_there_is_no_diameter() -> None:
    y, x = np.mgrid[:120, :160]
    mask = ((abs(y - 40) < 5) & (abs(x - 80) < 70)) | ((abs(x - 60 - y / 2) < 4) & (y > 40) & (y < 110))
    measured = measure(mask)
    fork = measured.branching_points[0]
    for segment in measured.segments:
        near = np.hypot(*(segment.points - fork).T) < 4
        assert np.isnan(segment.diameters[near]).all()
        assert not np.isnan(segment.diameters).all()
        assert segment.max_diameter < 11
