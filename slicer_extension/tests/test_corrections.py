"""What was drawn by hand stays, and every step can be taken back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from SALTVesselsLib.corrections import STEPS, Corrections

# A method and its arguments.
Action = tuple[Any, ...]

SHAPE = (3, 5)
masks = arrays(bool, SHAPE)
pixels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), max_size=3)
actions = st.one_of(
    st.tuples(st.just("outlined"), masks),
    st.tuples(st.just("answered"), masks, pixels, pixels),
    st.tuples(st.just("drawn"), masks),
)


def state(corrections: Corrections) -> tuple[object, ...]:
    arrays_ = (corrections.mask, corrections.painted, corrections.erased)
    return (*(array.tolist() for array in arrays_), corrections.foreground, corrections.background)


def act(corrections: Corrections, action: Action) -> object:
    name, *arguments = action
    return getattr(corrections, name)(*arguments)


def one(i: int, j: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[j, i] = True
    return mask


@given(masks, st.lists(actions, max_size=12))
def test_no_prediction_overwrites_a_stroke(first: np.ndarray, taken: list[Action]) -> None:
    corrections = Corrections(first)
    for action in taken:
        painted, erased = corrections.painted.copy(), corrections.erased.copy()
        act(corrections, action)
        if action[0] != "drawn":
            assert np.array_equal(corrections.painted, painted)
            assert np.array_equal(corrections.erased, erased)
            free = ~painted & ~erased
            assert np.array_equal(corrections.mask[free], action[1][free])
        assert corrections.mask[corrections.painted].all()
        assert not corrections.mask[corrections.erased].any()


@given(masks, st.lists(actions, max_size=12))
def test_undo_and_redo_walk_through_the_very_same_states(first: np.ndarray, taken: list[Action]) -> None:
    corrections = Corrections(first)
    states = [state(corrections)]
    for action in taken:
        changed = act(corrections, action) is not False
        states += [state(corrections)] * changed
    for before in reversed(states[:-1]):
        assert corrections.undo()
        assert state(corrections) == before
    assert not corrections.undo()
    for after in states[1:]:
        assert corrections.redo()
        assert state(corrections) == after
    assert not corrections.redo()


@given(masks, st.lists(actions, min_size=1, max_size=6), actions)
def test_a_new_correction_ends_what_could_be_done_again(first: np.ndarray, taken: list[Action], other: Action) -> None:
    corrections = Corrections(first)
    for action in taken:
        act(corrections, action)
    corrections.undo()
    before = state(corrections)
    if act(corrections, other) is not False:
        assert not corrections.redo()
        assert corrections.undo()
        assert state(corrections) == before


@given(masks, masks)
def test_what_is_drawn_is_found_by_comparing(before: np.ndarray, after: np.ndarray) -> None:
    corrections = Corrections(before)
    assert corrections.drawn(after) == bool((before != after).any())
    assert np.array_equal(corrections.painted, after & ~before)
    assert np.array_equal(corrections.erased, before & ~after)
    assert np.array_equal(corrections.mask, after)


def test_painted_then_erased_is_only_erased() -> None:
    corrections = Corrections(np.zeros(SHAPE, bool))
    corrections.drawn(one(4, 2))
    assert corrections.coded()[2, 4] == 2
    corrections.drawn(np.zeros(SHAPE, bool))
    assert corrections.coded()[2, 4] == 3
    assert not corrections.painted.any()
    corrections.drawn(one(4, 2))
    assert corrections.coded()[2, 4] == 2
    assert not corrections.erased.any()


def test_the_servers_four_values() -> None:
    corrections = Corrections(one(0, 0) | one(1, 0))
    corrections.drawn(one(0, 0) | one(2, 0))
    coded = corrections.coded()
    assert coded.dtype == np.uint8
    assert coded[0].tolist() == [1, 3, 2, 0, 0]
    assert not coded[1:].any()


def test_a_new_outline_drops_the_clicks_and_an_undo_brings_them_back() -> None:
    corrections = Corrections(np.zeros(SHAPE, bool))
    corrections.answered(one(1, 1), [(1, 1)], [(3, 2)])
    assert (corrections.foreground, corrections.background) == (((1, 1),), ((3, 2),))
    corrections.outlined(one(2, 2))
    assert (corrections.foreground, corrections.background) == ((), ())
    corrections.undo()
    assert (corrections.foreground, corrections.background) == (((1, 1),), ((3, 2),))
    assert np.array_equal(corrections.mask, one(1, 1))


def test_the_history_ends_somewhere() -> None:
    corrections = Corrections(np.zeros(SHAPE, bool))
    for step in range(STEPS + 5):
        corrections.drawn(one(step % 5, step // 5 % 3))
    assert sum(corrections.undo() for _ in range(STEPS + 5)) == STEPS


def test_a_mask_of_another_image_is_refused_and_changes_nothing() -> None:
    corrections = Corrections(one(1, 1))
    with pytest.raises(ValueError, match="does not fit"):
        corrections.outlined(np.zeros((4, 4), bool))
    assert not corrections.undo()
    assert np.array_equal(corrections.mask, one(1, 1))


def test_a_callers_array_is_never_changed() -> None:
    mask = one(1, 1)
    corrections = Corrections(mask)
    corrections.drawn(mask | one(2, 1))
    corrections.outlined(one(0, 0))
    assert np.array_equal(mask, one(1, 1))


def test_what_was_answered_together_and_taken_back_in_parts_is_done_again_in_parts() -> None:
    corrections, masks = Corrections(one(0, 0)), {"a": one(1, 0), "ab": one(2, 0), "abc": one(3, 0)}
    corrections.answered(masks["abc"], (), (), "abc")
    for left in ("ab", "a"):
        corrections.undo()
        corrections.answered(masks[left], (), (), left)
    for done, together in (("b", "ab"), ("c", "abc")):
        assert corrections.redo()
        assert np.array_equal(corrections.mask, masks[together])
        assert corrections.asked == (done,)
    assert not corrections.can_redo
    corrections.undo()
    corrections.answered(masks["a"], (), (), "d")
    assert not corrections.can_redo, "something else was done since"
