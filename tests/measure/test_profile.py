"""The narrowest place between two clicks, and clicks between which there is nothing to measure."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measurements import tube
from salt_monailabel.measure import ProfileError, measure, profile

WIDTH, LENGTH = 10.0, 150.0


def narrowed(angle: float, narrowing: float = 0.5) -> tuple[np.ndarray, tuple[float, float], tuple[float, float]]:
    """Return a tube narrowed in its middle, and places (x, y) beside its ends."""
    mask = tube(WIDTH, angle, length=LENGTH, shift=(0.2, 0.3), narrowing=narrowing)
    ahead = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))]) * 60
    middle = np.array(mask.shape[::-1]) / 2 - 0.5
    return mask, tuple((middle - ahead + 2).tolist()), tuple((middle + ahead + 2).tolist())


@pytest.mark.parametrize("angle", [0, 20, 77, 130])
def test_a_tube_narrowed_by_half_is_narrowest_in_its_middle(angle: float) -> None:
    mask, start, end = narrowed(angle)
    found = profile(measure(mask), start, end)
    assert found.points[found.narrowest] == pytest.approx(np.array(mask.shape) / 2 - 0.5, abs=2.5)
    assert found.min_diameter == pytest.approx(WIDTH / 2, abs=0.3)
    assert found.reference == pytest.approx(WIDTH, abs=0.3)
    assert found.stenosis == pytest.approx(50, abs=3)


def test_from_the_other_end_a_profile_is_the_same_reversed() -> None:
    mask, start, end = narrowed(20)
    there, back = profile(measure(mask), start, end), profile(measure(mask), end, start)
    assert np.array_equal(there.points, back.points[::-1])
    assert there.stenosis == pytest.approx(back.stenosis)
    assert there.positions[0] == back.positions[0] == 0
    assert there.positions[-1] == pytest.approx(120, abs=4)


def test_a_profile_is_in_millimetres_where_pixels_have_a_size() -> None:
    mask, start, end = narrowed(0)
    found = profile(measure(mask, (0.1, 0.1)), start, end)
    assert found.unit == "mm"
    assert found.min_diameter == pytest.approx(WIDTH / 20, abs=0.03)
    assert found.positions[-1] == pytest.approx(12, abs=0.4)


def test_a_vessel_that_is_not_narrowed_has_hardly_a_stenosis() -> None:
    mask, start, end = narrowed(20, narrowing=0)
    assert profile(measure(mask), start, end).stenosis < 5


def test_a_profile_passes_branching_points_and_has_no_diameter_there() -> None:
    mask = np.zeros((120, 160), bool)
    mask[50:58, 10:150], mask[50:110, 70:76] = True, True
    found = profile(measure(mask), (20, 54), (140, 54))
    assert np.isnan(found.diameters).any()
    assert found.stenosis < 5
    assert abs(found.points[:, 0] - 53.5).max() < 1.5
    down = profile(measure(mask), (20, 54), (73, 100))
    assert down.points[-1] == pytest.approx([100, 72.5], abs=1.5)


def test_places_without_a_way_between_are_refused_with_a_remedy() -> None:
    mask = np.zeros((100, 200), bool)
    mask[20:26, 10:190], mask[70:76, 10:90], mask[70:76, 110:190] = True, True, True
    measured = measure(mask)
    with pytest.raises(ProfileError, match=r"no vessel joins \(20, 73\) and \(180, 73\); .*gap"):
        profile(measured, (20, 73), (180, 73))
    with pytest.raises(ProfileError, match=r"no vessel within 20 pixels of \(100, 99\); choose"):
        profile(measured, (20, 73), (100, 99))
    with pytest.raises(ProfileError, match="farther apart"):
        profile(measured, (100, 23), (100, 24))
    with pytest.raises(ProfileError, match="no vessel within"):
        profile(measure(np.zeros((100, 200), bool)), (1, 1), (2, 2))


def test_where_no_cross_section_is_known_there_is_no_profile() -> None:
    mask = np.zeros((40, 100), bool)
    mask[:6] = True
    with pytest.raises(ProfileError, match="no cross section"):
        profile(measure(mask), (20, 2), (80, 2))
