"""Uncertainty: what is doubted counts, what is clear does not, and numbers stay numbers."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from salt_monailabel.inference.uncertainty import GAP, LIKELY, Uncertainty, assess, descriptor, uncertainty

SHAPE = (48, 64)
probabilities = arrays(np.float32, (12, 15), elements=st.floats(0, 1, width=32))


def line(*gaps: slice) -> np.ndarray:
    """Return the probability of a horizontal vessel with gaps."""
    probability = np.zeros(SHAPE, np.float32)
    probability[20:23, 8:56] = 1
    for gap in gaps:
        probability[:, gap] = 0
    return probability


def both(probability: np.ndarray) -> Uncertainty:
    """Return the uncertainty if both looks agree."""
    return uncertainty(probability, probability)


def test_a_clear_whole_line_is_not_doubted() -> None:
    assert both(line()) == Uncertainty(0, 0, 0, foreground=3 * 48 / (48 * 64))
    assert both(line()).score == 0


def test_ends_at_a_gap_are_counted_among_all_ends() -> None:
    assert both(line(slice(30, 33))).gaps == 2 / 4
    assert both(line(slice(20, 23), slice(40, 43))).gaps == 4 / 6


@pytest.mark.parametrize(("wide", "gaps"), [(GAP - 3, 0.5), (GAP + 4, 0.0)])
def test_pieces_far_apart_are_vessels_of_their_own(wide: int, gaps: float) -> None:
    assert both(line(slice(30, 30 + wide))).gaps == gaps


def test_a_branch_that_does_not_reach_its_vessel_is_a_gap() -> None:
    connected, broken = line(), line()
    connected[23:44, 30:33], broken[26:44, 30:33] = 1, 1
    assert both(connected).gaps == 0
    assert both(broken).gaps == 1 / 4


def test_a_blurred_answer_has_more_entropy_than_a_sharp_one() -> None:
    blurred = [both(ndimage.gaussian_filter(line(), sigma)).entropy for sigma in (0, 0.5, 1, 2)]
    assert blurred == sorted(blurred)
    assert blurred[0] == 0 < blurred[1] < blurred[3]


def test_entropy_is_that_of_the_pixels_around_what_may_be_vessel() -> None:
    undecided = np.zeros(SHAPE, np.float32)
    undecided[20, 30] = 0.5
    assert both(undecided).entropy == pytest.approx(1 / 49)
    small = np.zeros((7, 7), np.float32)
    small[3, 3] = 0.5
    assert both(small).entropy == both(undecided).entropy


def test_what_is_hardly_likely_is_not_asked() -> None:
    assert astuple(both(np.full(SHAPE, 0.99 * LIKELY, np.float32))) == (0, 0, 0, 0)


def test_looks_that_differ_disagree_the_more_the_more_they_do() -> None:
    moved = [uncertainty(line(), np.roll(line(), rows, axis=0)).disagreement for rows in range(4)]
    assert moved == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert uncertainty(line(), np.zeros(SHAPE, np.float32)).disagreement == 1


def test_looks_of_different_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="rows, columns"):
        uncertainty(line(), line().T)


@given(probabilities, probabilities)
def test_all_numbers_are_from_0_to_1(one: np.ndarray, other: np.ndarray) -> None:
    found = uncertainty(one, other)
    assert all(0 <= number <= 1 for number in (*astuple(found), found.score))


@given(probabilities)
def test_the_same_look_twice_does_not_disagree(probability: np.ndarray) -> None:
    assert both(probability).disagreement == 0


@given(probabilities, probabilities)
def test_a_mirrored_image_is_as_uncertain(one: np.ndarray, other: np.ndarray) -> None:
    found, mirrored = uncertainty(one, other), uncertainty(one[:, ::-1], other[:, ::-1])
    # Centrelines are thinned from one side first, and may end elsewhere.
    for name in ("entropy", "disagreement", "foreground"):
        assert getattr(found, name) == pytest.approx(getattr(mirrored, name))


def test_what_exceeds_1_by_a_rounding_is_certain() -> None:
    assert both(np.nextafter(np.float32(1), np.float32(2)) * line()) == both(line())


def test_a_descriptor_has_length_1_and_tells_images_apart_whatever_their_size() -> None:
    rng = np.random.default_rng(0)
    one, other = (rng.normal(mean, 1, (3, 8, 16, 16)).astype(np.float32) for mean in (0.2, 1))
    assert descriptor(one).shape == (16,)
    assert np.linalg.norm(descriptor(one)) == pytest.approx(1)
    near = np.linalg.norm(descriptor(one[:1, :, :8]) - descriptor(one))
    assert near < 0.5 * np.linalg.norm(descriptor(other) - descriptor(one))


def test_the_descriptor_of_nothing_is_finite() -> None:
    assert np.array_equal(descriptor(np.zeros((1, 4, 2, 2), np.float32)), np.zeros(8, np.float32))


def test_an_image_is_looked_at_as_it_is_and_mirrored() -> None:
    pixels = np.random.default_rng(0).random((*SHAPE, 3), np.float32)

    def one_sided(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # A model that trusts the left half alone.
        return shown[..., 0] * (np.arange(SHAPE[1]) < SHAPE[1] // 2), shown.transpose(2, 0, 1)[None]

    def even(shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return shown[..., 0], shown.transpose(2, 0, 1)[None]

    assert assess(one_sided, pixels)[0].disagreement == 1
    found, described = assess(even, pixels)
    assert found == both(pixels[..., 0])
    assert np.array_equal(described, descriptor(pixels.transpose(2, 0, 1)[None]))
