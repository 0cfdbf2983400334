"""The update: the newest labels and a replay of others, a bounded number of both, none of them held back."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from salt_monailabel.adapters import AdapterConfig, attach
from salt_monailabel.models import VesselSam
from salt_monailabel.training import LabelledFrame
from salt_monailabel.training.held_back import images_held_back
from salt_monailabel.training.update import (
    NEWEST,
    REPLAYED,
    Past,
    choose,
    everything,
    move_parameters,
    parameter_values,
    votes,
    with_shares,
)

TIMES = st.dictionaries(st.text(min_size=1, max_size=6), st.integers(1, 1000), min_size=1, max_size=60)


@given(TIMES, st.integers(0, 1000), st.integers(0, 5))
def test_a_lesson_is_bounded_and_learns_from_nothing_that_is_held_back(
    times: dict[str, int], until: int, seed: int
) -> None:
    lesson = choose(times, Past(until), np.random.default_rng(seed))
    learned = lesson.newest + lesson.replayed
    assert 1 <= len(lesson.newest) <= NEWEST
    assert len(lesson.replayed) <= REPLAYED
    assert len(set(learned)) == len(learned)
    assert not set(learned) & set(images_held_back(times))
    assert set(lesson.tried + lesson.new) == set(images_held_back(times))
    assert lesson.first == lesson.newest


def test_the_newest_labels_are_those_not_learned_from_yet() -> None:
    names = [name for name in map(str, range(30)) if name not in images_held_back(map(str, range(30)))]
    times = {str(number): number for number in range(30)}
    lesson = choose(times, Past(26), np.random.default_rng(0))
    assert set(lesson.newest) == {name for name in names if int(name) > 26}
    assert len(lesson.replayed) == REPLAYED


def test_without_a_new_label_the_last_one_is_learned_again() -> None:
    times = {"a": 1, "b": 3, "c": 2}
    lesson = choose(times, Past(3, {"a": 0}, frozenset("bc")), np.random.default_rng(0))
    assert lesson.newest == ("b",)
    assert set(lesson.replayed) == {"a", "c"}


def test_labels_of_old_dates_that_nothing_learned_from_are_new_if_no_others_are() -> None:
    learned = frozenset({"x", "y"})
    copied = {f"copied {number}": number for number in range(3000)}
    times = {**copied, "x": 4000, "y": 5000}
    held_back = images_held_back(times)
    waiting = [name for name in copied if name not in held_back]
    last = "x" if "y" in held_back else "y"
    for _ in range(3):
        lesson = choose(times, Past(5000, {}, learned), np.random.default_rng(0))
        assert lesson.newest == (*waiting[1 - NEWEST :], last)
        assert lesson.first == lesson.newest[:-1]
        learned |= {*lesson.newest}
        waiting = waiting[: 1 - NEWEST]
    # What was just corrected is not one of many.
    corrected = next(name for name in copied if name not in held_back)
    lesson = choose({**times, corrected: 5001}, Past(5000, {}, learned), np.random.default_rng(0))
    assert lesson.newest == (corrected,)


def test_one_that_is_refused_each_time_does_not_keep_the_last_from_being_learned_again() -> None:
    lesson = choose({"refused": 1, "learned": 2}, Past(3, {}, frozenset({"learned"})), np.random.default_rng(0))
    assert lesson.newest == ("refused", "learned")


@given(TIMES, st.data(), st.integers(0, 1000))
def test_what_was_learned_whole_never_judges_and_what_was_learned_in_part_may_for_ever(
    times: dict[str, int], data: st.DataObject, until: int
) -> None:
    learned = data.draw(st.sets(st.sampled_from([*times, "removed meanwhile"])))
    in_part = dict.fromkeys(sorted(learned)[::2], 4)
    past = Past(until, in_part, frozenset(learned - in_part.keys()))
    for lesson in (choose(times, past, np.random.default_rng(0)), everything(times, past)):
        judges = lesson.tried + lesson.new
        assert set(judges) == (set(images_held_back(times)) - past.whole) | (in_part.keys() & times.keys())
        assert all(times[name] <= until for name in lesson.tried)
        assert all(times[name] > until for name in lesson.new)
        assert not set(lesson.first) & learned
        assert set(lesson.first) <= set(lesson.newest)


def test_new_labels_are_the_fewer_of_those_who_judge_unless_two_or_fewer_are_older() -> None:
    assert [votes(tried) for tried in range(6)] == [5, 3, 3, 5, 5, 5]


def test_half_of_an_update_lies_in_the_middle_and_the_whole_is_got_back_to_the_bit(tiny_sam: VesselSam) -> None:
    adapter = attach(deepcopy(tiny_sam), AdapterConfig(targets={}))
    start = parameter_values(adapter)
    with torch.no_grad():
        for _, parameter in adapter.parameters():
            parameter += torch.rand_like(parameter)
    end = parameter_values(adapter)
    move_parameters(adapter, start, end, 0.5)
    for half, first, last in zip(parameter_values(adapter), start, end, strict=True):
        torch.testing.assert_close(half, (first + last) / 2)
    for share, place in ((1.0, end), (0.0, start)):
        move_parameters(adapter, start, end, share)
        assert all(torch.equal(now, then) for now, then in zip(parameter_values(adapter), place, strict=True))


@pytest.mark.parametrize(("newest", "replayed"), [(1, 8), (3, 3), (2, 0)])
def test_half_of_the_crops_come_from_the_newest_labels(newest: int, replayed: int) -> None:
    frame = LabelledFrame(np.zeros((8, 8, 3), np.float32), np.ones((8, 8), np.uint8), "a")
    frames = with_shares([frame] * newest, [frame] * replayed)
    assert len(frames) == newest + replayed
    share = sum(f.share for f in frames[:newest]) / sum(f.share for f in frames)
    assert share == pytest.approx(0.5 if replayed else 1.0)
