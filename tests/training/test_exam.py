"""What is asked about the images held back, and when a version is good enough to be put in use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt_monailabel.imaging import magnification
from salt_monailabel.inference import Predictor
from salt_monailabel.models import VesselSam
from salt_monailabel.training import LabelledFrame
from salt_monailabel.training.exam import (
    CLEARLY,
    GROSS_HARM,
    HARM,
    SLIDE,
    TOLERANCE,
    WINDOWS,
    HeldBackScore,
    Question,
    clearly_better,
    fingerprint,
    questions_of,
    score_held_back,
    why_not,
)
from salt_monailabel.training.held_back import block, without

SEEN = 256


def located(labels: np.ndarray, name: str = "a") -> LabelledFrame:
    """Return a frame in which each pixel says where it lies: its x and y are in the first two channels."""
    rows, columns = labels.shape
    x, y = np.meshgrid(np.arange(columns), np.arange(rows))
    return LabelledFrame(np.stack([x, y, np.zeros_like(x)], -1).astype(np.float32), labels, name)


@given(
    st.integers(1, 700),
    st.integers(1, 700),
    st.integers(0, 2**32 - 1),
    st.none() | st.integers(0, 8),
    st.sampled_from([64, 256]),
)
def test_windows_ask_once_about_what_is_held_back_and_are_no_larger_than_the_model_sees(
    rows: int, columns: int, seed: int, corner: int | None, seen: int
) -> None:
    labels = (np.random.default_rng(seed).random((rows, columns)) < 0.01).astype(np.uint8)
    frame = located(labels)
    held_back = np.ones(labels.shape, bool) if corner is None else block(labels.shape, corner)
    questions = questions_of([frame], corner, seen)
    assert bool(questions) == bool((labels[held_back] > 0).any())
    assert len(questions) <= WINDOWS
    asked = np.zeros(labels.shape, int)
    for question in questions:
        assert max(question.labels.shape) * question.magnify <= seen
        assert question.labels[question.counts].any()
        x, y = question.rgb[question.counts][:, :2].astype(int).T
        assert np.array_equal(labels[y, x], question.labels[question.counts])
        asked[y, x] += 1
    assert asked.max() <= 1
    assert held_back[asked > 0].all()


@pytest.mark.parametrize(("frames", "asked"), [(1, [0, 0, 0]), (2, [0, 0, 1]), (3, [0, 1, 2]), (9, [0, 3, 6])])
def test_of_a_run_frames_far_apart_are_asked_about(frames: int, asked: list[int]) -> None:
    labels = np.ones((600, 600), np.uint8)
    run = [LabelledFrame(np.full((600, 600, 3), number, np.float32), labels, "run") for number in range(frames)]
    assert [int(question.rgb[0, 0, 0]) for question in questions_of(run, None, SEEN)] == asked


def test_nothing_is_asked_of_what_counts_nothing_or_was_removed() -> None:
    frame = located(np.ones((90, 70), np.uint8))
    assert questions_of([without(frame, np.ones((90, 70), bool))], None, SEEN) == []
    assert questions_of([], 4, SEEN) == []


def test_a_window_is_judged_at_the_magnification_of_the_whole() -> None:
    large = located(np.ones((1000, 1200), np.uint8))
    assert {question.magnify for question in questions_of([large], 4, SEEN)} == {magnification((1000, 1200))} == {1}


def test_each_image_counts_once_and_only_what_is_held_back(
    tiny_sam: VesselSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.zeros((90, 70), np.uint8)
    labels[30:40] = 1
    rgb = np.zeros((90, 70, 3), np.float32)
    left = np.zeros(labels.shape, bool)
    left[:, :20] = True
    predictor = Predictor(tiny_sam, overlap=16)
    answer = np.where(left, labels, 1 - labels).astype(np.float32)
    monkeypatch.setattr(predictor, "segment", lambda embedded, label: answer)
    right, wrong = Question(rgb, labels, left, 1.0), Question(rgb, labels, ~left, 1.0)
    score = score_held_back(predictor, {"a": [right], "b": [wrong, wrong], "c": [right, wrong]})
    assert score.images == (1, 0, 0.5)
    assert (score.dice, score.answers) == (0.5, 5)
    assert score_held_back(predictor, {}) == HeldBackScore(0, 0, (), 0)


def scored(images: Sequence[float]) -> HeldBackScore:
    return HeldBackScore(float(np.mean(images)), 0.8, tuple(images), 3 * len(images))


BEFORE = (0.70, 0.75, 0.80, 0.85, 0.90)


def judged(
    changes: Sequence[float],
    best: Sequence[float] | None = None,
    tried: int | None = None,
    first: Sequence[float] | None = None,
) -> str:
    """Return what is said of a version that changes the Dice of the first images by this; none gains by default."""
    before = BEFORE[: len(changes)]
    after = scored(np.add(before, changes).tolist())
    best = best or before
    return why_not(scored(before), after, best, first or best, len(changes) if tried is None else tried)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([0.0], id="the same"),
        pytest.param([-0.9 * TOLERANCE] * 5, id="hardly worse"),
        pytest.param([-0.08, 0.001, 0.001], id="one is unlike the others"),
        pytest.param([-0.08, -0.05, 0.0, 0.0, 0.0], id="most are not worse"),
    ],
)
def test_a_version_is_put_in_use_unless_most_images_are_worse(changes: list[float]) -> None:
    assert judged(changes) == ""


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param([-1.1 * TOLERANCE], id="worse"),
        pytest.param([-1.1 * TOLERANCE] * 3 + [0.2, 0.2], id="most are, though the mean is better"),
        pytest.param([-0.08, 0.05], id="one of two is, by more"),
    ],
)
def test_a_version_that_is_worse_on_most_images_is_refused(changes: list[float]) -> None:
    assert "worse on most" in judged(changes)


def test_new_labels_cannot_outvote_great_harm_to_those_before() -> None:
    assert "far worse" in judged([-1.1 * HARM, 0.3, 0.3], tried=1)
    assert judged([-0.9 * HARM, 0.3, 0.3], tried=1) == ""
    assert judged([-0.9, 0.3, 0.3], tried=0) == ""


def test_what_was_learned_from_one_image_alone_may_be_lost_in_part() -> None:
    first = (0.5, 0.75, 0.8)
    assert BEFORE[0] - 1.5 * HARM > first[0]
    assert judged([-1.5 * HARM, 0.02, 0.02], tried=1, first=first) == ""
    assert "far worse" in judged([-2.1 * HARM, 0.3, 0.3], tried=1, first=first), (
        "it is worse than before it was learned"
    )
    assert "far worse" in judged([-1.1 * GROSS_HARM, 0.3, 0.3], tried=1, first=(0.1, 0.75, 0.8))


def test_a_minority_is_not_ruined_little_by_little() -> None:
    best = [dice + 0.24 for dice in BEFORE[:2]] + [*BEFORE[2:]]
    assert "far worse" in judged([-0.05, -0.05, 0, 0, 0], best)
    assert judged([-0.05, -0.05, 0, 0, 0]) == ""


def test_versions_that_are_each_a_little_worse_are_refused_before_long() -> None:
    changes = [-0.001] * 3
    assert judged(changes, best=[dice + 0.9 * SLIDE - 0.001 for dice in BEFORE[:3]]) == ""
    assert "with the updates before" in judged(changes, best=[dice + 1.1 * SLIDE for dice in BEFORE[:3]])


def test_what_makes_nothing_worse_is_never_refused_for_what_was_before() -> None:
    assert judged([0.0, 0.0, 0.1], best=[dice + 0.05 for dice in BEFORE[:3]]) == ""


def test_the_whole_of_an_update_is_better_if_most_images_say_so() -> None:
    half = scored(BEFORE)
    assert clearly_better(scored(np.add(BEFORE, 1.1 * CLEARLY).tolist()), half)
    assert not clearly_better(scored(np.add(BEFORE, 0.9 * CLEARLY).tolist()), half)
    assert not clearly_better(scored([BEFORE[0] + 0.2, BEFORE[1] + 0.2, *BEFORE[2:]]), half)
    assert not clearly_better(HeldBackScore(0, 0, (), 0), HeldBackScore(0, 0, (), 0))


def test_what_nothing_can_judge_is_not_put_in_use() -> None:
    nothing = HeldBackScore(0, 0, (), 0)
    assert "no vessel held back" in why_not(nothing, nothing, (), (), 0)


def test_what_is_asked_is_another_if_anything_in_it_is() -> None:
    frame = located(np.eye(64, dtype=np.uint8))
    asked = fingerprint(questions_of([frame], 4, SEEN))
    assert fingerprint(questions_of([replace(frame, share=0.5)], 4, SEEN)) == asked
    drawn, image = frame.labels.copy(), frame.rgb.copy()
    drawn[32, 30], image[32, 30] = 1, 1
    others = [replace(frame, labels=drawn), replace(frame, rgb=image)]
    found = {asked, *(fingerprint(questions_of([other], 4, SEEN)) for other in others)}
    found |= {fingerprint(questions_of([frame], None, SEEN)), fingerprint(questions_of([frame], 4, SEEN // 8))}
    assert len(found) == 5
