"""How much images are magnified, and where a point of them lies then."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from salt_monailabel.imaging import magnification, magnify, reduced, reduced_labels
from salt_monailabel.imaging.magnify import moved, resized

sides = st.integers(8, 4000)
small = st.tuples(st.integers(8, 40), st.integers(8, 40))


@pytest.mark.parametrize(
    ("shape", "expected"), [((304, 304), 1.5), ((584, 565), 1.5), ((960, 680), 1.25), ((2336, 3504), 1.0)]
)
def test_small_images_are_magnified_and_others_are_not(shape: tuple[int, int], expected: float) -> None:
    assert magnification(shape) == pytest.approx(expected, rel=0.01)


@given(sides, sides)
def test_either_way_up_an_image_is_magnified_alike(rows: int, columns: int) -> None:
    assert magnification((rows, columns)) == magnification((columns, rows))
    assert 1 <= magnification((rows, columns)) <= 1.5


@given(small, small, st.floats(0, 7), st.floats(0, 7))
def test_a_point_comes_back_from_where_it_was_moved_to(
    before: tuple[int, int], after: tuple[int, int], x: float, y: float
) -> None:
    assert moved(*moved(x, y, before, after), after, before) == pytest.approx((x, y), abs=1e-6)


@given(small, st.sampled_from([1.0, 1.25, 1.5, 2.0]))
def test_a_point_is_moved_to_where_its_pixel_is_drawn(before: tuple[int, int], scale: float) -> None:
    after = round(before[0] * scale), round(before[1] * scale)
    row, column = before[0] // 2, before[1] // 2
    spot = torch.zeros(1, *before)
    spot[0, row, column] = 1
    large = resized(spot, after)[0]
    middle = [float((large.sum(1 - axis) * torch.arange(after[axis])).sum() / large.sum()) for axis in (0, 1)]
    assert moved(column, row, before, after) == pytest.approx(tuple(reversed(middle)), abs=0.35)


def test_what_has_the_size_already_is_left_as_it_is() -> None:
    image = torch.rand(3, 9, 7)
    assert resized(image, (9, 7)) is image


@pytest.mark.parametrize(("shape", "expected"), [((2336, 3504), (850, 1275)), ((3504, 2336), (1275, 850))])
def test_a_large_image_is_seen_at_the_size_of_others(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert reduced(np.zeros((*shape, 1), np.uint8)).shape == (*expected, 1)
    assert reduced_labels(np.zeros(shape, np.uint8)).shape == expected


@pytest.mark.parametrize("shape", [(850, 850), (584, 565), (100, 4000), (850, 2000)])
def test_what_is_no_larger_is_left_as_it_is(shape: tuple[int, int]) -> None:
    pixels, labels = np.zeros((*shape, 1), np.uint8), np.zeros(shape, np.uint8)
    assert reduced(pixels) is pixels
    assert reduced_labels(labels) is labels


@given(st.integers(20, 60), st.floats(0.3, 0.95), st.integers(0, 2**32 - 1))
def test_label_and_image_stay_together(side: int, scale: float, seed: int) -> None:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(side, side + 9)), 3)
    labels = (field > np.percentile(field, 70)).astype(np.uint8) * 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(magnify, "SIDE", int(side * scale))
        small, seen = reduced_labels(labels), reduced((labels > 0)[..., None].astype(np.uint16))[..., 0]
    assert small.dtype == np.uint8
    assert set(np.unique(small)) <= {0, 3}
    assert np.array_equal(small == 3, seen >= min(magnify.ENOUGH, seen.max() / 2))


@given(st.integers(20, 120), st.integers(0, 149))
def test_a_label_of_the_finest_vessels_alone_stays(side: int, row: int) -> None:
    labels = np.zeros((150, 160), np.uint8)
    labels[row] = 2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(magnify, "SIDE", side)
        small = reduced_labels(labels) == 2
    assert small.any(axis=0).all()
    assert abs(np.argwhere(small)[:, 0].mean() - (row + 0.5) * side / 150 + 0.5) <= 0.5


def test_the_finest_vessels_are_still_there_at_half_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((80, 90), np.uint8)
    for row in range(0, 80, 8):
        labels[row + row // 8 % 2] = 1 + row // 8 % 2
    monkeypatch.setattr(magnify, "SIDE", 40)
    small = reduced_labels(labels)
    assert small.shape == (40, 45)
    assert [value for value in small[:, 20] if value] == [1, 2] * 5
