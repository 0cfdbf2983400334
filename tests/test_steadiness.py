"""Flicker: what is there for one frame only, or is missing for one."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.steadiness import flicker

SHAPE = (40, 40)


def rows(*chosen: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[list(chosen)] = True
    return mask


def test_what_stays_or_moves_a_little_does_not_flicker() -> None:
    assert flicker([rows(5), rows(8), rows(6), rows(4)]) == (0, 0)


def test_what_appears_for_one_frame_is_a_share_of_all_vessel() -> None:
    assert flicker([rows(5), rows(5, 20), rows(5)]) == (0.5, 0)


def test_what_is_missing_for_one_frame_is_a_hole() -> None:
    assert flicker([rows(5, 20), rows(5), rows(5, 20)]) == (0, 1)


def test_what_arrives_and_stays_or_leaves_for_good_does_not_flicker() -> None:
    assert flicker([rows(5), rows(5, 20), rows(5, 20), rows(20)]) == (0, 0)


@pytest.mark.parametrize("masks", [[], [rows(5)], [rows(5), rows(20)], [rows(), rows(), rows()]])
def test_nothing_flickers_where_there_is_nothing_to_compare(masks: list[np.ndarray]) -> None:
    assert flicker(masks) == (0, 0)


def test_a_vessel_on_one_frame_alone_blinks() -> None:
    assert flicker([rows(), rows(5), rows()]) == (1, 0)
