"""Bridges: a gap is closed where the vessel was and as wide as it was, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage.morphology import skeletonize

from benchmarks.measurements import tube
from salt_monailabel.inference.bridge import REACH, bridge

SIDE = 120
EIGHT = np.ones((3, 3))
BOTH_SIDES = ((30.0, 60.0), (90.0, 60.0))


def line(start: tuple[float, float], end: tuple[float, float], half_width: float, other: float = 0) -> np.ndarray:
    """Return a vessel with round tips, from and to (x, y), whose half width changes to `other` if that is given."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    (x0, y0), (x1, y1) = start, end
    along = np.clip(((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / np.hypot(x1 - x0, y1 - y0) ** 2, 0, 1)
    allowed = half_width + ((other or half_width) - half_width) * along
    return np.hypot(x - x0 - along * (x1 - x0), y - y0 - along * (y1 - y0)) <= allowed


def seen(mask: np.ndarray) -> np.ndarray:
    """Return probabilities of a model that sees a mask and nothing else."""
    return np.where(mask, 0.97, 0.01)


def assert_within_a_pixel(closed: np.ndarray, vessel: np.ndarray) -> None:
    assert not (closed & ~ndimage.binary_dilation(vessel, EIGHT)).any()
    assert not (ndimage.binary_erosion(vessel, EIGHT) & ~closed).any()


def joined(mask: np.ndarray, start: tuple[float, float], end: tuple[float, float]) -> bool:
    parts, _ = ndimage.label(mask, EIGHT)
    first, last = (parts[round(y), round(x)] for x, y in (start, end))
    return bool(first == last != 0)


@pytest.mark.parametrize("width", [1.2, 2, 3, 5, 8, 14])
@pytest.mark.parametrize("angle", [0, 25, 63, 90, 135])
def test_a_gap_in_a_straight_vessel_is_closed_within_a_pixel_of_its_walls(width: float, angle: float) -> None:
    vessel = tube(width, angle, length=110)
    middle = (len(vessel) - 1) / 2
    ahead = 15 * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    y, x = np.mgrid[: len(vessel), : len(vessel)] - middle
    cut = vessel & (abs(x * ahead[0] + y * ahead[1]) >= 9 * 15)
    start, end = tuple((middle - ahead).tolist()), tuple((middle + ahead).tolist())
    assert not joined(cut, start, end)
    closed = bridge(cut, seen(cut), start, end)
    assert joined(closed, start, end)
    assert (closed >= cut).all()
    assert_within_a_pixel(closed, vessel)
    # Not both walls off by a pixel.
    assert abs(int(closed.sum()) - int(vessel.sum())) <= 18


def test_a_bridge_follows_what_the_model_sees_of_a_curve() -> None:
    y, x = np.mgrid[:SIDE, :SIDE]
    away = np.hypot(x - 60, y - 110) - 70
    vessel = abs(away) <= 3
    cut = vessel & (abs(x - 60) > 25)
    faint = ndimage.gaussian_filter(np.where(cut, 0.95, np.where(vessel, 0.3, 0.0)), 1)
    start, end = (30.0, 47.0), (90.0, 47.0)
    closed = bridge(cut, faint, start, end)
    assert joined(closed, start, end)
    centre = skeletonize(closed) & (abs(x - 60) < 22)
    assert np.count_nonzero(centre) > 40
    assert abs(away[centre]).max() <= 2
    widths = closed[:, 45:76].sum(axis=0)
    assert 6 <= widths.min() <= widths.max() <= 8.5
    # Where it sees nothing, a bridge is straight.
    straight = bridge(cut, seen(cut), start, end)
    assert straight[:, 60].nonzero()[0].mean() > closed[:, 60].nonzero()[0].mean() + 2


def test_a_bridge_lies_in_the_middle_of_a_wide_vessel_that_bends_on_the_way_to_the_gap() -> None:
    y, x = np.mgrid[:160, :160]
    angle = np.degrees(np.arctan2(x - 80, 130 - y))
    vessel = (abs(np.hypot(x - 80, y - 130) - 80) <= 7) & (abs(angle) < 75)
    cut = vessel & (abs(angle) > 1.5)
    ends = [(80 + 80 * np.sin(np.radians(at)), 130 - 80 * np.cos(np.radians(at))) for at in (-55, 55)]
    assert_within_a_pixel(bridge(cut, seen(cut), *ends), vessel)


def test_places_off_the_middle_or_in_the_gap_mean_the_vessel_all_the_same() -> None:
    vessel = line((5, 60), (115, 60), 7)
    cut = vessel & (abs(np.arange(SIDE) - 60) > 12)
    for places in (((40, 54), (80, 54)), ((40, 66), (80, 54)), ((49, 62), (71, 57)), ((75, 60), (45, 60))):
        assert np.array_equal(bridge(cut, seen(cut), *places), vessel), places


def test_a_bridge_narrows_evenly_between_vessels_of_two_widths() -> None:
    vessel = line((5, 60), (115, 60), 9, 3)
    cut = vessel & (abs(np.arange(SIDE) - 60) > 15)
    widths, wanted = bridge(cut, seen(cut), *BOTH_SIDES).sum(axis=0), vessel.sum(axis=0)
    assert abs(widths - wanted)[44:77].max() <= 2
    assert widths[47] - widths[73] >= 2


def test_a_branch_is_joined_to_its_trunk_at_its_own_width() -> None:
    trunk, branch = line((5, 30), (115, 30), 8), line((60, 30), (60, 115), 2)
    cut = trunk | (branch & (np.arange(SIDE)[:, None] > 62))
    for places in (((60, 31), (60, 66)), ((60, 66), (60, 31))):
        closed = bridge(cut, seen(cut), *places)
        assert joined(closed, *places)
        across = closed[40:62].sum(axis=1)
        assert 4 <= across.min() <= across.max() <= 6


def test_what_lies_in_a_gap_is_left_as_it_is() -> None:
    crossing = line((60, 5), (60, 115), 6)
    vessel = line((5, 60), (115, 60), 4)
    cut = (vessel & (abs(np.arange(SIDE) - 60) > 20)) | crossing
    closed = bridge(cut, seen(cut), *BOTH_SIDES)
    assert joined(closed, *BOTH_SIDES)
    assert not (closed & ~ndimage.binary_dilation(vessel | crossing, EIGHT, 2)).any()


def test_a_bridge_to_nowhere_makes_a_vessel_longer() -> None:
    vessel = line((5, 20), (45, 50), 5)
    longer = bridge(vessel, seen(vessel), (40, 46), (80, 100))
    assert joined(longer, (40, 46), (80, 100))
    assert (longer & ~vessel)[75].sum() == pytest.approx(11 / np.cos(np.arctan2(38, 54)), abs=1.5)
    a_little = bridge(vessel, seen(vessel), (48, 52), (50, 55))
    assert 0 < (a_little & ~vessel).sum() < 100


def test_without_any_vessel_a_bridge_is_a_line_of_one_pixel_from_place_to_place() -> None:
    empty = np.zeros((SIDE, SIDE), bool)
    drawn = bridge(empty, seen(empty), (0, 3), (100.4, 40))
    assert drawn[3, 0]
    assert drawn[40, 100]
    assert drawn.sum(axis=0).max() <= 2
    assert drawn.sum() == pytest.approx(101, abs=20)


def test_two_pixels_are_joined_however_they_lie() -> None:
    for row, column in np.ndindex(9, 9):
        mask = np.zeros((12, 12), bool)
        mask[1, 1] = mask[row + 2, column + 1] = True
        ends = (1, 1), (column + 1, row + 2)
        assert joined(bridge(mask, seen(mask), *ends), *ends), ends


def test_where_nothing_is_missing_nothing_changes() -> None:
    vessel = line((5, 60), (115, 60), 4)
    assert np.array_equal(bridge(vessel, seen(vessel), *BOTH_SIDES), vessel)


@given(arrays(bool, (14, 18)), st.data())
def test_whatever_the_mask_a_bridge_only_adds_and_joins_its_places(mask: np.ndarray, data: st.DataObject) -> None:
    places = [(data.draw(st.floats(0, 17.99)), data.draw(st.floats(0, 13.99))) for _ in range(2)]
    start, end = ((min(round(x), 17), min(round(y), 13)) for x, y in places)
    assume(start != end)
    before = mask.copy()
    closed = bridge(mask, np.random.default_rng(0).random(mask.shape), *places)
    assert np.array_equal(mask, before)
    assert (closed >= mask).all()
    near = ndimage.binary_dilation(closed, EIGHT, REACH)
    assert near[start[::-1]]
    assert near[end[::-1]]
    if mask[start[::-1]] and mask[end[::-1]]:
        assert joined(closed, start, end)
