"""Tiles: they cover every pixel, overlap enough, are few, and join without a seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from salt_monailabel.inference import Tiling
from salt_monailabel.inference.tiling import THRIFT, thrifty


@st.composite
def tilings(draw: st.DrawFn) -> tuple[Tiling, int]:
    """Return a tiling and the overlap that was asked for."""
    size = draw(st.integers(2, 24))
    overlap = draw(st.integers(0, size - 1))
    shape = (draw(st.integers(1, 60)), draw(st.integers(1, 60)))
    return Tiling.cover(shape, size, overlap), overlap


@settings(deadline=None)
@given(tilings())
def test_cutting_and_joining_gives_the_image_back(case: tuple[Tiling, int]) -> None:
    tiling, _ = case
    image = np.random.default_rng(0).random((*tiling.shape, 2), np.float32)
    tiles = tiling.cut(image)
    assert tiles.shape == (len(tiling.corners), tiling.size, tiling.size, 2)
    for channel in range(2):
        np.testing.assert_allclose(tiling.join(tiles[..., channel]), image[..., channel], atol=1e-5)


@settings(deadline=None)
@given(tilings())
def test_tiles_cover_every_pixel_and_stay_inside(case: tuple[Tiling, int]) -> None:
    tiling, _ = case
    rows, columns = (max(length, tiling.size) for length in tiling.shape)
    covered = np.zeros((rows, columns), bool)
    for top, left in tiling.corners:
        assert 0 <= top <= rows - tiling.size
        assert 0 <= left <= columns - tiling.size
        covered[top : top + tiling.size, left : left + tiling.size] = True
    assert covered.all()


@settings(deadline=None)
@given(tilings())
def test_neighbours_overlap_at_least_as_asked_and_one_tile_fewer_would_not_do(case: tuple[Tiling, int]) -> None:
    tiling, overlap = case
    for axis, length in enumerate(tiling.shape):
        starts = sorted({corner[axis] for corner in tiling.corners})
        assert all(tiling.size - gap >= overlap for gap in np.diff(starts))
        if len(starts) > 1:
            assert overlap + (len(starts) - 1) * (tiling.size - overlap) < length


@settings(deadline=None)
@given(st.integers(1, 16), st.integers(1, 16))
def test_a_small_image_is_one_tile_padded_by_its_border(rows: int, columns: int) -> None:
    tiling = Tiling.cover((rows, columns), 16, 4)
    image = np.random.default_rng(0).random((rows, columns, 3))
    (tile,) = tiling.cut(image)
    assert tiling.corners == ((0, 0),)
    assert np.array_equal(tile[:rows, :columns], image)
    assert (tile[rows:, :columns] == image[-1]).all()
    assert (tile[:, columns:] == tile[:, columns - 1 : columns]).all()


def test_tiles_that_disagree_are_joined_without_a_seam() -> None:
    tiling = Tiling.cover((32, 48), 32, 16)
    joined = tiling.join(np.stack([np.zeros((32, 32)), np.ones((32, 32))]))
    steps = np.diff(joined, axis=1)
    assert joined[:, 0] == pytest.approx(0, abs=1e-6)
    assert joined[:, -1] == pytest.approx(1, abs=1e-6)
    assert steps.min() >= -1e-6
    assert steps.max() < 0.2


@pytest.mark.parametrize("overlap", [-1, 16, 40])
def test_an_overlap_that_cannot_be_is_refused(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"below the tile size 16; got {overlap}"):
        Tiling.cover((100, 100), 16, overlap)


def test_as_many_tiles_are_joined_as_were_cut() -> None:
    tiling = Tiling.cover((40, 40), 16, 4)
    with pytest.raises(ValueError, match="longer"):
        tiling.join(np.zeros((len(tiling.corners) - 1, 16, 16)))


@settings(deadline=None)
@given(tilings(), st.data())
def test_a_place_is_seen_by_the_tile_with_it_nearest_its_middle_and_by_none_without_it(
    case: tuple[Tiling, int], data: st.DataObject
) -> None:
    tiling, _ = case
    x, y = (data.draw(st.integers(0, length - 1)) for length in tiling.shape[::-1])

    def off_middle(tile: int) -> float:
        places = zip((y, x), tiling.corners[tile], strict=True)
        return max(abs(at - corner - (tiling.size - 1) / 2) for at, corner in places)

    seen = tiling.seen_by(x, y)
    assert all(off_middle(tile) < tiling.size / 2 for tile in seen)
    assert min(map(off_middle, range(len(tiling.corners)))) in map(off_middle, seen)


def test_a_place_at_the_border_of_a_tile_is_left_to_its_neighbour() -> None:
    tiling = Tiling.cover((64, 112), 64, 16)
    assert tiling.corners == ((0, 0), (0, 48))
    assert [tiling.seen_by(x, 32) for x in (30, 50, 56, 62, 80)] == [[0], [0], [0, 1], [1], [1]]


@example(1.125, (8, 8), 16, 8)
@settings(deadline=None)
@given(st.floats(1, 3), st.tuples(st.integers(8, 90), st.integers(8, 90)), st.integers(16, 32), st.integers(0, 8))
def test_a_little_less_magnification_is_taken_only_for_fewer_tiles(
    magnify: float, shape: tuple[int, int], size: int, overlap: int
) -> None:
    def tiles(factor: float) -> int:
        return len(Tiling.cover((round(shape[0] * factor), round(shape[1] * factor)), size, overlap).corners)

    taken = thrifty(magnify, shape, size, overlap)
    assert max(1, THRIFT * magnify) <= taken <= magnify
    assert taken == magnify or tiles(taken) < tiles(magnify)


def test_a_frame_of_512_pixels_takes_9_tiles_and_one_of_drive_16() -> None:
    assert thrifty(1.5, (512, 512), 256, 48) == 672 / 512
    assert thrifty(1.5, (584, 565), 256, 48) == 1.5
