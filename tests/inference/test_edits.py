"""Edits: what a user points at, and no more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from salt_monailabel.inference import Edit, Tiling
from salt_monailabel.inference.edits import REACH, TilePrompt, batch_prompts, tile_prompts

SHAPE = (40, 60)
NOTHING = np.zeros(SHAPE, bool)
masks = arrays(bool, (9, 14))
clicks = st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30)), max_size=3)


def branches() -> np.ndarray:
    """Return two changed regions."""
    changed = np.zeros(SHAPE, bool)
    changed[10:12, 5:40], changed[30:32, 5:40] = True, True
    return changed


@settings(deadline=None)
@given(masks, masks, clicks, clicks)
def test_clicks_mean_changes_only(before: np.ndarray, after: np.ndarray, foreground: list, background: list) -> None:
    assert not (Edit(foreground, background).meant(before, after) & (before == after)).any()


@settings(deadline=None)
@given(masks, masks, clicks)
def test_a_foreground_click_never_takes_away_and_a_background_click_never_adds(
    before: np.ndarray, after: np.ndarray, given: list
) -> None:
    added, taken = Edit(foreground=given).meant(before, after), Edit(background=given).meant(before, after)
    assert not (added & before).any()
    assert not (taken & ~before).any()


@pytest.mark.parametrize("kind", ["foreground", "background"])
@pytest.mark.parametrize(("away", "meant"), [(0, True), (REACH, True), (REACH + 1, False)])
def test_a_click_means_the_whole_region_it_is_on_or_near(kind: str, away: int, meant: bool) -> None:
    changed = branches()
    before, after = (NOTHING, changed) if kind == "foreground" else (changed, NOTHING)
    found = Edit(**{kind: [(20.0, 11.0 + away)]}).meant(before, after)
    assert np.array_equal(found[:20], changed[:20] & meant)
    assert not found[20:].any()


def test_a_diagonal_line_is_one_region() -> None:
    changed = np.eye(40, dtype=bool)
    assert np.array_equal(Edit(foreground=[(0, 0)]).meant(np.zeros_like(changed), changed), changed)


def test_each_click_means_its_own_region() -> None:
    upper, lower = branches(), branches()
    upper[20:], lower[:20] = False, False
    found = Edit(foreground=[(10, 10)], background=[(10, 30)]).meant(lower, upper)
    assert np.array_equal(found, branches())


def test_clicks_of_both_kinds_side_by_side_mean_what_each_says() -> None:
    before, after = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    before[10:12, 5:40], after[12:14, 5:40] = True, True
    both = Edit(foreground=[(20, 13)], background=[(22, 10)])
    assert np.array_equal(both.meant(before, after), before | after)
    assert np.array_equal(Edit(foreground=[(20, 13)]).meant(before, after), after)


def test_a_box_means_all_inside_it_with_its_borders() -> None:
    expected = np.zeros(SHAPE, bool)
    expected[5:21, 10:31] = True
    assert np.array_equal(Edit(box=(10, 5, 30, 20)).meant(branches(), NOTHING), expected)


@pytest.mark.parametrize("click", [(-30, 11), (20, -30), (-30, -30), (90, 11), (20, 90)])
def test_a_click_far_outside_the_image_means_nothing(click: tuple[float, float]) -> None:
    edit = Edit(foreground=[click], background=[click, (3, 2)]).within(branches().shape)
    assert (edit.foreground, edit.background) == ([], [(3, 2)])
    assert not edit.meant(NOTHING, branches()).any()


@settings(deadline=None)
@given(st.integers(1, 160), st.integers(1, 160), st.data())
def test_a_click_is_told_to_the_tiles_that_see_it_by_its_place_there(
    rows: int, columns: int, data: st.DataObject
) -> None:
    tiling = Tiling.cover((rows, columns), 64, 16)
    x, y = data.draw(st.floats(-0.5, columns - 0.51)), data.draw(st.floats(-0.5, rows - 0.51))
    prompts = tile_prompts(Edit(background=[(x, y)]), tiling)
    told = [tile for tile, prompt in enumerate(prompts) if prompt]
    assert told
    assert told == tiling.seen_by(x, y)
    for tile in told:
        top, left = tiling.corners[tile]
        assert prompts[tile].points == ((x - left, y - top),)
        assert prompts[tile].labels == (0,)


def test_tiles_with_fewer_clicks_are_padded_and_those_without_the_box_are_boxed_whole() -> None:
    edits = [TilePrompt(((1.0, 2.0), (3.0, 4.0)), (1, 0), None), TilePrompt((), (), (5.0, 6.0, 7.0, 8.0))]
    before = np.random.default_rng(0).random((2, 64, 64), np.float32)
    prompts = batch_prompts(torch.tensor([0, 0]), edits, before)
    assert prompts.point_labels is not None
    assert prompts.points is not None
    assert prompts.boxes is not None
    assert prompts.masks is not None
    assert prompts.point_labels.tolist() == [[1, 0], [-1, -1]]
    assert prompts.points[0].tolist() == [[1, 2], [3, 4]]
    assert prompts.boxes.tolist() == [[0, 0, 63, 63], [5, 6, 7, 8]]
    assert np.array_equal(prompts.masks.numpy(), before[:, None])


def test_without_clicks_or_box_none_is_told() -> None:
    boxed = batch_prompts(torch.tensor([0]), [TilePrompt((), (), (0.0, 0.0, 9.0, 9.0))], np.zeros((1, 64, 64)))
    clicked = batch_prompts(torch.tensor([0]), [TilePrompt(((1.0, 1.0),), (1,), None)], np.zeros((1, 64, 64)))
    assert (boxed.points, boxed.point_labels) == (None, None)
    assert clicked.boxes is None
