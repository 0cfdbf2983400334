"""Strokes: what was painted and erased by hand is so, whatever the model says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from salt_monailabel.inference.strokes import by_hand, drawn

SHAPE = (6, 7)


def test_painted_pixels_are_vessel_and_erased_ones_are_not() -> None:
    assert drawn(np.array([0, 1, 2, 3])).tolist() == [False, True, True, False]


@given(arrays(bool, SHAPE), arrays(np.uint8, SHAPE, elements=st.integers(0, 3)))
def test_only_what_was_not_drawn_by_hand_is_for_the_model(mask: np.ndarray, strokes: np.ndarray) -> None:
    kept = by_hand(mask, strokes)
    assert kept[strokes == 2].all()
    assert not kept[strokes == 3].any()
    assert np.array_equal(kept[strokes < 2], mask[strokes < 2])
    assert np.array_equal(by_hand(drawn(strokes), strokes), drawn(strokes))
