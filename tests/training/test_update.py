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
from salt_monailabel.training.update import JUDGING, NEWEST, REPLAYED, choose, move, shared, values

TIMES = st.dictionaries(st.text(min_size=1, max_size=6), st.integers(1, 1000), min_size=1, max_size=60)


@given(TIMES, st.integers(0, 1000), st.integers(0, 5))
def test_a_lesson_is_bounded_and_judged_by_what_it_does_not_learn_from(
    times: dict[str, int], until: int, seed: int
) -> None:
    lesson = choose(times, until, np.random.default_rng(seed))
    learned = lesson.newest + lesson.replayed
    assert 1 <= len(lesson.newest) <= NEWEST
    assert len(lesson.replayed) <= REPLAYED
    assert 1 <= len(lesson.judging) <= JUDGING
    assert len(set(learned)) == len(learned)
    if images_held_back(times):
        assert not set(learned) & set(images_held_back(times))
        assert set(lesson.judging) <= set(images_held_back(times))
    else:
        assert set(lesson.judging) <= set(times)


def test_the_newest_labels_are_those_not_learned_from_yet() -> None:
    names = [name for name in map(str, range(30)) if name not in images_held_back(map(str, range(30)))]
    times = {str(number): number for number in range(30)}
    lesson = choose(times, 26, np.random.default_rng(0))
    assert set(lesson.newest) == {name for name in names if int(name) > 26}
    assert len(lesson.replayed) == REPLAYED


def test_without_a_new_label_the_last_one_is_learned_again() -> None:
    times = {"a": 1, "b": 3, "c": 2}
    lesson = choose(times, 3, np.random.default_rng(0))
    assert lesson.newest == ("b",)
    assert set(lesson.replayed) == {"a", "c"}


@given(TIMES, st.integers(0, 1000))
def test_new_labels_do_not_judge_while_there_are_others_to(times: dict[str, int], until: int) -> None:
    judges = images_held_back(times) or list(times)
    judging = choose(times, until, np.random.default_rng(0)).judging
    tried = [name for name in judges if times[name] <= until]
    assert set(judging) <= set(tried or judges)
    assert len(judging) == min(JUDGING, len(tried or judges))


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
