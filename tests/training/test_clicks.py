"""Simulated clicks: on what is wrong, the worst first, in the middle, and of the right kind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from salt_monailabel.training.clicks import BACKGROUND, FOREGROUND, PADDING, simulate_clicks


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Draw a prediction and a truth."""
    shape = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    return draw(arrays(bool, shape)), draw(arrays(bool, shape))


def wrong_regions(prediction: np.ndarray, truth: np.ndarray) -> list[np.ndarray]:
    """Return the coordinates of every connected region of one kind of error, the largest first."""
    regions = []
    for wrong in (truth & ~prediction, prediction & ~truth):
        labels, count = ndimage.label(wrong, np.ones((3, 3)))
        regions += [np.argwhere(labels == i + 1) for i in range(count)]
    return sorted(regions, key=len, reverse=True)


@settings(deadline=None, max_examples=200)
@given(answers(), st.integers(1, 6))
def test_clicks_fall_on_errors_of_their_kind_and_the_rest_is_padding(
    answer: tuple[np.ndarray, np.ndarray], count: int
) -> None:
    prediction, truth = answer
    clicks = simulate_clicks(prediction, truth, count)
    real = min(count, len(wrong_regions(prediction, truth)))
    assert clicks.points.shape == (count, 2)
    assert (clicks.labels[:real] != PADDING).all()
    assert (clicks.labels[real:] == PADDING).all()
    for (x, y), label in zip(clicks.points[:real].astype(int), clicks.labels, strict=False):
        assert (prediction[y, x], truth[y, x]) == ((False, True) if label == FOREGROUND else (True, False))
        assert clicks.regions[y, x]


@settings(deadline=None, max_examples=200)
@given(answers(), st.integers(1, 6))
def test_the_largest_errors_are_clicked_at_once_each(answer: tuple[np.ndarray, np.ndarray], count: int) -> None:
    prediction, truth = answer
    clicks = simulate_clicks(prediction, truth, count)
    regions = wrong_regions(prediction, truth)[:count]
    assert not (clicks.regions & (prediction == truth)).any()
    assert clicks.regions.sum() == sum(len(region) for region in regions)
    points = {(int(y), int(x)) for (x, y), label in zip(clicks.points, clicks.labels, strict=True) if label != PADDING}
    assert len(points) == len(regions)


@pytest.mark.parametrize(("missed", "label"), [(True, FOREGROUND), (False, BACKGROUND)])
def test_a_click_is_in_the_middle_of_a_round_error(missed: bool, label: int) -> None:
    error = np.zeros((20, 30), bool)
    error[4:11, 12:19] = True
    prediction, truth = (~error & False, error) if missed else (error, ~error & False)
    clicks = simulate_clicks(prediction, truth, 1)
    assert clicks.points.tolist() == [[15, 7]]
    assert clicks.labels.tolist() == [label]


def test_an_error_at_the_border_is_clicked_at_inside_it() -> None:
    truth = np.zeros((20, 30), bool)
    truth[:, :3] = True
    (x, y), *_ = simulate_clicks(np.zeros_like(truth), truth, 1).points
    assert x == 1
    assert 1 <= y <= 18


def test_missed_vessel_that_touches_excess_is_another_error() -> None:
    truth, prediction = np.zeros((9, 20), bool), np.zeros((9, 20), bool)
    truth[3:6, :10], prediction[3:6, 10:] = True, True
    assert sorted(simulate_clicks(prediction, truth, 4).labels.tolist()) == [-1, -1, 0, 1]


def test_nothing_wrong_is_all_padding() -> None:
    truth = np.eye(8, dtype=bool)
    clicks = simulate_clicks(truth, truth, 3)
    assert (clicks.labels == PADDING).all()
    assert not clicks.regions.any()
