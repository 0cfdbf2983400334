"""Metrics: literal definitions, and numbers also where a mask is empty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from salt_monailabel.training.metrics import cl_dice, dice, hd95

METRICS = (dice, cl_dice, hd95)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of one shape, empty ones among them."""
    shape = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    masks = st.one_of(arrays(bool, shape), st.just(np.zeros(shape, bool)))
    return draw(masks), draw(masks)


def border(mask: np.ndarray) -> np.ndarray:
    """Return the coordinates of pixels of which one of the four neighbours is outside the mask."""
    padded = np.pad(mask, 1)
    around = [padded[1:-1, :-2], padded[1:-1, 2:], padded[:-2, 1:-1], padded[2:, 1:-1]]
    return np.argwhere(mask & ~np.all(around, axis=0))


def tube(shape: tuple[int, int] = (20, 60), half: int = 2, start: int = 5, end: int = 55) -> np.ndarray:
    """Return a straight vessel of 2·half + 1 pixels."""
    mask = np.zeros(shape, bool)
    mask[10 - half : 11 + half, start:end] = True
    return mask


@settings(deadline=None)
@given(pairs())
def test_dice_is_twice_the_common_part_over_the_sum(masks: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = ({tuple(index) for index in np.argwhere(mask)} for mask in masks)
    assert dice(*masks) == pytest.approx(2 * len(a & b) / (len(a) + len(b)) if a or b else 1)


@settings(deadline=None, max_examples=200)
@given(pairs())
def test_hd95_is_the_percentile_of_all_distances_between_borders(masks: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = masks
    if a.any() and b.any():
        distances = cdist(border(a), border(b))
        expected = np.percentile(np.concatenate([distances.min(axis=1), distances.min(axis=0)]), 95)
    else:
        expected = 0 if a.any() == b.any() else np.hypot(*a.shape)
    assert hd95(a, b) == pytest.approx(expected)


@settings(deadline=None)
@given(pairs())
def test_metrics_are_finite_symmetric_and_best_for_the_truth_itself(masks: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = masks
    for metric in METRICS:
        assert np.isfinite(metric(a, b))
        assert metric(a, b) == pytest.approx(metric(b, a))
        assert metric(a, a) == (0 if metric is hd95 else 1)
    assert 0 <= dice(a, b) <= 1
    assert 0 <= cl_dice(a, b) <= 1
    assert 0 <= hd95(a, b) <= np.hypot(*a.shape)


def test_a_missed_vessel_is_as_bad_as_can_be_and_no_vessel_rightly_seen_as_good() -> None:
    vessel, nothing = tube(), np.zeros((20, 60), bool)
    assert (dice(vessel, nothing), cl_dice(vessel, nothing)) == (0, 0)
    assert hd95(vessel, nothing) == hd95(nothing, vessel) == pytest.approx(np.hypot(20, 60))
    assert (dice(nothing, nothing), cl_dice(nothing, nothing), hd95(nothing, nothing)) == (1, 1, 0)


@pytest.mark.parametrize("shift", [1, 4])
def test_hd95_of_a_shifted_line_is_the_shift(shift: int) -> None:
    line = tube(half=0, start=0, end=60)
    assert hd95(np.roll(line, shift, axis=0), line) == shift


def test_hd95_leaves_a_few_outliers_out() -> None:
    line = tube(half=0, start=0, end=60)
    spot = line.copy()
    spot[0, 0] = True
    assert hd95(spot, line) == 0


def test_cl_dice_does_not_mind_the_width_of_a_vessel_as_dice_does() -> None:
    thick, thin = tube(half=3), tube(half=1)
    assert dice(thick, thin) < 0.75
    assert cl_dice(thick, thin) > 0.9


def test_cl_dice_of_half_a_vessel_is_its_formula() -> None:
    whole, half = tube(half=0), tube(half=0, end=30)
    precision, sensitivity = 1, 25 / 50
    assert cl_dice(half, whole) == pytest.approx(2 * precision * sensitivity / (precision + sensitivity))
