"""How much images are magnified, and where a point of them lies then."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from salt_monailabel.imaging import magnification
from salt_monailabel.imaging.magnify import moved, resized

sides = st.integers(8, 4000)
small = st.tuples(st.integers(8, 40), st.integers(8, 40))


@pytest.mark.parametrize(
    ("shape", "expected"), [((304, 304), 1.5), ((584, 565), 1.5), ((960, 680), 1.25), ((2336, 3504), 1.0)]
)
def test_small_images_are_magnified_and_large_ones_left_alone(shape: tuple[int, int], expected: float) -> None:
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
