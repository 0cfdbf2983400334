"""The field of view: found where a border is dark, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import disk, polygon

from salt_monailabel.imaging.field import field_of_view

ROWS, COLUMNS = 300, 360


def camera(field: np.ndarray, seed: int = 0) -> np.ndarray:
    """Return a photograph, (1, H, W, 3), of uneven light in a field and noise around it."""
    rng = np.random.default_rng(seed)
    light = 60 + 120 * ndimage.gaussian_filter(rng.uniform(size=field.shape), 40) / 0.5
    gray = np.where(field, light, 3) + rng.normal(0, 4, field.shape)
    return np.repeat(gray.clip(0, 255).astype(np.uint8)[None, ..., None], 3, axis=-1)


def overlap(found: np.ndarray | None, field: np.ndarray) -> float:
    assert found is not None
    return float((found & field).sum() / (found | field).sum())


@settings(max_examples=20, deadline=None)
@given(st.floats(120, 240), st.floats(130, 170), st.floats(150, 210), st.integers(1, 3))
def test_a_round_field_is_found_though_it_may_reach_beyond_the_image(
    radius: float, row: float, column: float, larger: int
) -> None:
    shape = larger * ROWS, larger * COLUMNS
    field = np.zeros(shape, bool)
    field[disk((larger * row, larger * column), larger * radius, shape=shape)] = True
    found = field_of_view(camera(field))
    if field.mean() < 0.97:
        assert overlap(found, field) > 0.95
    elif found is not None:
        assert (found & field).mean() > 0.96


@pytest.mark.parametrize("depth", [np.uint8, np.uint16, np.float32])
def test_a_field_with_cut_corners_is_found_at_every_depth(depth: type) -> None:
    field = np.zeros((ROWS, COLUMNS), bool)
    field[polygon((10, 10, 80, 220, 290, 290, 220, 80), (90, 270, 350, 350, 270, 90, 10, 10))] = True
    photograph = camera(field).astype(np.float64)
    most = np.iinfo(depth).max if np.issubdtype(depth, np.integer) else 1
    assert overlap(field_of_view((photograph / 255 * most).astype(depth)), field) > 0.95


def test_a_dark_vessel_that_leaves_the_field_belongs_to_it() -> None:
    field = np.zeros((ROWS, COLUMNS), bool)
    field[disk((150, 180), 140)] = True
    photograph = camera(field)
    photograph[:, 146:154, :180] = 2
    found = field_of_view(photograph)
    assert overlap(found, field) > 0.95


def test_letters_beside_the_field_are_none_of_it() -> None:
    field = np.zeros((ROWS, COLUMNS), bool)
    field[disk((150, 180), 130)] = True
    photograph = camera(field)
    photograph[:, 10:30, 5:60:4] = 255
    assert overlap(field_of_view(photograph), field) > 0.95


def test_a_run_is_looked_at_as_a_whole() -> None:
    field = np.zeros((ROWS, COLUMNS), bool)
    field[:, 60:300] = True
    frames = np.concatenate([camera(field & (np.arange(COLUMNS) < end)) for end in (180, 360)])
    assert overlap(field_of_view(frames), field) > 0.95


def test_what_has_no_border_has_no_field() -> None:
    rng = np.random.default_rng(0)
    whole = np.ones((ROWS, COLUMNS), bool)
    ragged = ndimage.gaussian_filter(rng.normal(size=whole.shape), 15) > 0
    corner = np.zeros_like(whole)
    corner[disk((40, 40), 60, shape=whole.shape)] = True
    noise = rng.integers(0, 256, (1, 20, 30, 1), np.uint8)
    shaded = np.broadcast_to(np.linspace(0, 255, COLUMNS), (1, ROWS, COLUMNS))[..., None].astype(np.uint8)
    for frames in (camera(whole), camera(ragged), camera(corner), shaded, noise, np.zeros((1, 1, 1, 1), np.uint8)):
        assert field_of_view(frames) is None
