"""Graphs, densities and dimensions of masks of known shape, and of masks with nothing to measure."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measurements import tube
from salt_monailabel.imaging import ImageError, synthesize
from salt_monailabel.measure import centre_lines, measure
from salt_monailabel.measure.fractal import fractal_dimension

SIZE = 64


def ring(radius: float, width: float) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    return abs(np.hypot(x, y) - radius) <= width / 2


def cross() -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[30:35, 5:60] = mask[5:60, 30:35] = True
    return mask


def test_a_cross_has_four_segments_four_ends_and_one_branching_point() -> None:
    measured = measure(cross())
    assert (len(measured.segments), len(measured.end_points), len(measured.branching_points)) == (4, 4, 1)
    assert measured.branching_points[0] == pytest.approx([32, 32], abs=1)
    assert measured.mean_diameter == pytest.approx(5, abs=0.1)
    assert all(segment.tortuosity == pytest.approx(1, abs=0.01) for segment in measured.segments)


def test_a_ring_is_one_closed_segment_without_ends() -> None:
    measured = measure(ring(20, 5))
    assert (len(measured.segments), len(measured.end_points), len(measured.branching_points)) == (1, 0, 0)
    assert measured.total_length == pytest.approx(2 * np.pi * 20, rel=0.03)
    assert measured.mean_diameter == pytest.approx(5, abs=0.25)
    assert np.isnan(measured.segments[0].tortuosity)
    assert not np.isnan(measured.segments[0].diameters).any()


def test_an_arc_is_tortuous_by_how_much_of_a_circle_it_is() -> None:
    (segment,) = measure(ring(24, 3) & (np.arange(SIZE)[:, None] > SIZE // 2)).segments
    half = segment.length / 24 / 2
    assert half == pytest.approx(np.pi / 2, abs=0.15)
    assert segment.tortuosity == pytest.approx(half / np.sin(half), rel=0.01)


def test_square_ends_and_rough_walls_make_no_spurs() -> None:
    rough = np.random.default_rng(0)
    mask = np.zeros((SIZE, 200), bool)
    mask[22:42, 10:190] = True
    for row in (21, 42):
        mask[row, 10:190] = rough.random(180) < 0.3
    assert len(centre_lines(mask).lines) == 1
    assert measure(mask).mean_diameter == pytest.approx(20.6, abs=0.3)


def test_density_and_length_are_shares_of_the_field_of_view() -> None:
    mask, half = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)
    mask[10:14], half[:, : SIZE // 2] = True, True
    whole, seen = measure(mask), measure(mask, field_of_view=half)
    assert whole.density == seen.density == 4 / SIZE
    assert seen.total_length < 0.6 * whole.total_length
    assert seen.skeleton_density == pytest.approx(seen.total_length / half.sum())


def test_the_fractal_dimension_is_that_of_known_sets() -> None:
    side = np.arange(256)
    assert fractal_dimension(np.stack([side, side // 3], axis=1)) == pytest.approx(1, abs=0.05)
    assert fractal_dimension(np.argwhere(np.ones((128, 128)))) == pytest.approx(2, abs=0.05)
    sierpinski = np.argwhere((side[:, None] & side[None, :]) == 0)
    assert fractal_dimension(sierpinski) == pytest.approx(np.log2(3), abs=0.05)
    assert np.isnan(fractal_dimension(np.argwhere(np.ones((63, 63)))))
    assert not np.isnan(fractal_dimension(np.argwhere(np.ones((64, 1)))))


def test_an_empty_mask_has_no_vessel() -> None:
    measured = measure(np.zeros((SIZE, SIZE), bool))
    assert (measured.segments, measured.total_length, measured.density) == ((), 0, 0)
    assert np.isnan(measured.mean_diameter)
    assert np.isnan(measured.fractal_dimension)
    assert len(measured.end_points) == len(measured.branching_points) == 0


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_a_dot_has_area_but_no_length(size: int) -> None:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[20 : 20 + size, 30 : 30 + size] = 7
    measured = measure(mask)
    assert measured.density == size**2 / SIZE**2
    assert measured.total_length <= size


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 3)])
def test_small_images_are_measured(shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, bool)
    assert measure(mask).total_length == 0
    mask[0, : max(1, shape[1] // 2)] = True
    if not mask.all():
        assert measure(mask).density > 0


def test_a_vessel_at_the_border_has_no_diameter_where_its_wall_is_not_seen() -> None:
    mask = np.zeros((SIZE, SIZE), bool)
    mask[:6] = True
    assert np.isnan(measure(mask).mean_diameter)
    mask[:] = False
    mask[:, 20:26] = True
    assert measure(mask).mean_diameter == pytest.approx(6, abs=0.05)


def test_a_vessel_cut_along_the_edge_of_a_round_field_has_no_diameter_there_and_no_stenosis() -> None:
    size = 160
    y, x = np.mgrid[:size, :size] - size // 2
    mask, field = abs(y - 58) <= 4, np.hypot(x, y) <= 60
    measured = measure(mask, field_of_view=field)
    known = np.concatenate([segment.diameters for segment in measured.segments])
    assert np.isnan(known).all()
    mask = abs(y - 30) <= 4
    found = measure(mask, field_of_view=field)
    across = found.segments[0].diameters
    assert found.segments[0].min_diameter == pytest.approx(9, abs=0.1)
    assert np.isnan(across[[0, -1]]).all()
    assert not np.isnan(across[15:-15]).any()


def test_a_vessel_that_dips_under_a_shutter_shows_no_narrowing_there() -> None:
    y, x = np.mgrid[:80, :200]
    mask = abs(y - 30 - 12 * np.exp(-(((x - 100) / 25) ** 2))) <= 5
    (whole,), (segment,) = measure(mask).segments, measure(mask, field_of_view=y < 42).segments
    assert np.isnan(segment.diameters[len(segment.points) // 2])
    assert segment.min_diameter == pytest.approx(whole.min_diameter, abs=0.1)


def test_a_vessel_beside_the_edge_of_the_field_of_view_is_as_wide_as_it_is() -> None:
    mask, field = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), bool)
    mask[20:26], field[:27] = True, True
    assert measure(mask, field_of_view=field).mean_diameter == pytest.approx(6, abs=0.1)
    assert np.isnan(measure(mask, field_of_view=np.roll(field, -1, axis=0)).mean_diameter)


@pytest.mark.parametrize("style", ["fundus", "octa", "angiogram"])
def test_drawn_vessels_are_as_long_and_wide_as_their_area(style: str) -> None:
    mask = synthesize(1, 192, style).mask
    measured = measure(mask)
    assert measured.total_length * measured.mean_diameter == pytest.approx(mask.sum(), rel=0.3)
    assert all(segment.length > 0 for segment in measured.segments)


@pytest.mark.parametrize(
    ("mask", "remedy"),
    [
        (np.ones((8, 8), bool), "inverted"),
        (np.full((8, 8), np.nan), "label map"),
        (np.eye(8) * np.arange(8), "one at a time"),
        (np.zeros((2, 8, 8)), "frame by frame"),
        (np.zeros((0, 8)), "frame by frame"),
    ],
)
def test_what_is_no_mask_of_one_label_is_refused_with_a_remedy(mask: np.ndarray, remedy: str) -> None:
    with pytest.raises(ImageError, match=remedy):
        measure(mask)


def test_a_wrong_field_of_view_or_spacing_is_refused_with_a_remedy() -> None:
    mask = tube(5, 0, length=20)
    with pytest.raises(ImageError, match="export both alike"):
        measure(mask, field_of_view=np.ones((3, 3)))
    with pytest.raises(ImageError, match="field of view is empty"):
        measure(mask, field_of_view=np.zeros(mask.shape))
    with pytest.raises(ImageError, match="covers the whole field of view"):
        measure(mask, field_of_view=mask)
    for spacing in ((0.0, 1.0), (-1.0, 1.0), (np.nan, 1.0), (np.inf, 1.0)):
        with pytest.raises(ImageError, match="millimetres"):
            measure(mask, spacing)
