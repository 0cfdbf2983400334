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
from salt_monailabel.training.held_back import JUDGES, images_held_back
from salt_monailabel.training.update import NEWEST, REPLAYED, choose, everything, move, shared, values

TIMES = st.dictionaries(st.text(min_size=1, max_size=6), st.integers(1, 1000), min_size=1, max_size=60)


@given(TIMES, st.integers(0, 1000), st.integers(0, 5))
def test_a_lesson_is_bounded_and_judged_by_what_it_does_not_learn_from(
    times: dict[str, int], until: int, seed: int
) -> None:
    lesson = choose(times, until, (), np.random.default_rng(seed))
    learned = lesson.newest + lesson.replayed
    assert 1 <= len(lesson.newest) <= NEWEST
    assert len(lesson.replayed) <= REPLAYED
    assert len(lesson.judging) <= JUDGES
    assert len(set(learned)) == len(learned)
    held_back = set(images_held_back(times))
    assert not set(learned) & held_back
    assert set(lesson.judging) <= held_back | lesson.in_part
    assert lesson.in_part <= set(lesson.newest)
    assert len(lesson.in_part) <= max(0, JUDGES - len(held_back))


def test_the_newest_labels_are_those_not_learned_from_yet() -> None:
    names = [name for name in map(str, range(30)) if name not in images_held_back(map(str, range(30)))]
    times = {str(number): number for number in range(30)}
    lesson = choose(times, 26, (), np.random.default_rng(0))
    assert set(lesson.newest) == {name for name in names if int(name) > 26}
    assert len(lesson.replayed) == REPLAYED


def test_without_a_new_label_the_last_one_is_learned_again() -> None:
    times = {"a": 1, "b": 3, "c": 2}
    lesson = choose(times, 3, (), np.random.default_rng(0))
    assert lesson.newest == ("b",)
    assert set(lesson.replayed) == {"a", "c"}


def test_the_first_label_judges_by_a_block_and_so_do_the_next() -> None:
    lesson = choose({"a": 1}, 0, (), np.random.default_rng(0))
    assert (lesson.judging, lesson.tried, lesson.in_part) == (("a",), 0, {"a"})
    lesson = choose({"a": 1, "b": 2}, 1, ["a"], np.random.default_rng(0))
    assert (lesson.judging, lesson.tried, lesson.in_part) == (("a", "b"), 1, {"a", "b"})


@given(TIMES, st.data(), st.integers(0, 1000))
def test_a_block_that_is_held_back_stays_so_and_no_image_learned_whole_gets_one(
    times: dict[str, int], data: st.DataObject, until: int
) -> None:
    early = data.draw(st.sets(st.sampled_from([*times, "removed meanwhile"])))
    for lesson in (choose(times, until, early, np.random.default_rng(0)), everything(times, until, early)):
        assert lesson.in_part >= early & set(times)
        assert all(times[name] > until for name in lesson.in_part - early)
        assert not set(lesson.newest + lesson.replayed) & set(images_held_back(times))


@given(TIMES, st.data(), st.integers(0, 1000))
def test_new_labels_are_the_fewer_of_those_who_judge_unless_one_alone_is_older(
    times: dict[str, int], data: st.DataObject, until: int
) -> None:
    early = data.draw(st.sets(st.sampled_from([*times])))
    lesson = choose(times, until, early, np.random.default_rng(0))
    tried, new = lesson.judging[: lesson.tried], lesson.judging[lesson.tried :]
    assert all(times[name] <= until for name in tried)
    assert all(times[name] > until for name in new)
    if lesson.tried > 1:
        assert len(new) < len(tried)
    elif lesson.tried:
        assert len(new) <= 2


def test_half_of_an_update_lies_in_the_middle_and_the_whole_is_got_back_to_the_bit(tiny_sam: VesselSam) -> None:
    adapter = attach(deepcopy(tiny_sam), AdapterConfig(targets={}))
    start = values(adapter)
    with torch.no_grad():
        for _, parameter in adapter.parameters():
            parameter += torch.rand_like(parameter)
    end = values(adapter)
    move(adapter, start, end, 0.5)
    for half, first, last in zip(values(adapter), start, end, strict=True):
        torch.testing.assert_close(half, (first + last) / 2)
    for share, place in ((1.0, end), (0.0, start)):
        move(adapter, start, end, share)
        assert all(torch.equal(now, then) for now, then in zip(values(adapter), place, strict=True))


@pytest.mark.parametrize(("newest", "replayed"), [(1, 8), (3, 3), (2, 0)])
def test_half_of_the_crops_come_from_the_newest_labels(newest: int, replayed: int) -> None:
    frame = LabelledFrame(np.zeros((8, 8, 3), np.float32), np.ones((8, 8), np.uint8), "a")
    frames = shared([frame] * newest, [frame] * replayed)
    assert len(frames) == newest + replayed
    share = sum(f.share for f in frames[:newest]) / sum(f.share for f in frames)
    assert share == pytest.approx(0.5 if replayed else 1.0)
