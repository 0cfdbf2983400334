"""Carrying: a mask moves with the vessels, keeps what the annotator decided, and goes with the contrast medium."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage
from torch import Tensor

from salt_monailabel.inference import Embedded, Predictor
from salt_monailabel.inference.carrying import carry
from salt_monailabel.models import Prompts
from salt_monailabel.training.metrics import dice

SIDE = 96
FRAMES = range(7)
# How far the vessels move from frame to frame, in pixels; they are five pixels wide.
STEP = 2.0
DARK, FAINT = 0.8, 0.12
Run = Mapping[int, np.ndarray]


def line(start: tuple[float, float], end: tuple[float, float], t: float = 0) -> np.ndarray:
    """Return a straight vessel in frame `t`, from and to (row, column)."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - np.array([STEP * t, STEP * t / 2])[:, None, None]
    (r0, c0), (r1, c1) = start, end
    along = np.clip(((rows - r0) * (r1 - r0) + (columns - c0) * (c1 - c0)) / np.hypot(r1 - r0, c1 - c0) ** 2, 0, 1)
    return np.hypot(rows - r0 - along * (r1 - r0), columns - c0 - along * (c1 - c0)) <= 2.5


def trunk(t: float = 0) -> np.ndarray:
    return line((20, 8), (60, 50), t)


def branch(t: float = 0) -> np.ndarray:
    return line((18, 60), (50, 88), t)


def frame(*vessels: tuple[np.ndarray, float]) -> np.ndarray:
    """Return a bright frame with vessels of some darkness, blurred and noisy: (H, W, 1) uint8."""
    rng = np.random.default_rng(len(vessels))
    shade = np.max([np.zeros((SIDE, SIDE)), *(level * mask for mask, level in vessels)], axis=0)
    noisy = 0.9 - ndimage.gaussian_filter(shade, 0.7) + 0.01 * rng.standard_normal((SIDE, SIDE))
    # Both ends of the range are on every frame, so that brightness means the same on all.
    noisy[:2], noisy[-2:] = 0.0, 0.95
    return (np.clip(noisy, 0, 1) * 255).astype(np.uint8)[..., None]


@pytest.fixture
def embed(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], Callable[[int], Embedded]]:
    """Return what embeds the frames of a run for a model that sees what is dark, and not what is faint."""

    def decode(images: Tensor, embeddings: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        return 20 * (0.6 - images[:, :1]), embeddings

    monkeypatch.setattr(predictor.model, "decode", decode)
    return lambda run: lambda k: predictor.embed(run[k])


Embed = Callable[[Run], Callable[[int], Embedded]]


def test_a_mask_moves_with_the_vessels(predictor: Predictor, embed: Embed) -> None:
    run = {t: frame((trunk(t), FAINT), (branch(t), DARK)) for t in FRAMES}
    carried = dict(carry(predictor, embed(run), "vessel", {0: trunk() | branch()}, FRAMES))
    for t, mask in carried.items():
        assert dice(mask, trunk(t) | branch(t)) > 0.9
    assert dice(trunk() | branch(), trunk(6) | branch(6)) < 0.4


def test_what_was_removed_stays_removed(predictor: Predictor, embed: Embed) -> None:
    run = {t: frame((trunk(t), DARK), (branch(t), DARK)) for t in FRAMES}
    assert (predictor.segment(embed(run)(3), "vessel") > 0.5)[branch(3)].mean() > 0.8
    for t, mask in carry(predictor, embed(run), "vessel", {3: trunk(3)}, FRAMES):
        assert not mask[branch(t)].any()
        assert dice(mask, trunk(t)) > 0.9


def test_what_was_added_stays_added_though_the_model_does_not_see_it(predictor: Predictor, embed: Embed) -> None:
    # Where it saw hardly anything on the key frame, it misses nothing on another on which it sees nothing at all.
    run = {t: frame((trunk(t), DARK), (branch(t), 0.2 if t == 3 else 0.08)) for t in FRAMES}
    assert not (predictor.segment(embed(run)(3), "vessel") > 0.5)[branch(3)].any()
    for t, mask in carry(predictor, embed(run), "vessel", {3: trunk(3) | branch(3)}, FRAMES):
        assert ndimage.binary_dilation(mask)[branch(t)].mean() > 0.8


def test_nothing_is_drawn_where_contrast_medium_has_not_arrived(predictor: Predictor, embed: Embed) -> None:
    run = {t: frame((trunk(t), DARK), (branch(t), DARK if t >= 3 else 0)) for t in FRAMES}
    carried = dict(carry(predictor, embed(run), "vessel", {4: trunk(4) | branch(4)}, FRAMES))
    for t in range(3):
        assert not carried[t][branch(t)].any()
        assert carried[t][trunk(t)].mean() > 0.8
    assert carried[3][branch(3)].mean() > 0.8


def test_bright_vessels_are_followed_as_dark_ones_are(
    predictor: Predictor, embed: Embed, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {t: frame((trunk(t), 0.4), (branch(t), 0.4)) for t in FRAMES}
    keys = {0: trunk() | branch()}
    dark = dict(carry(predictor, embed(run), "vessel", keys, FRAMES))

    def decode(images: Tensor, embeddings: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        return 20 * (images[:, :1] - 0.4), embeddings

    monkeypatch.setattr(predictor.model, "decode", decode)
    inverted = {t: 255 - image for t, image in run.items()}
    for t, bright in carry(predictor, embed(inverted), "vessel", keys, FRAMES):
        assert dice(bright, dark[t]) > 0.99


def test_frames_between_two_key_frames_follow_both(predictor: Predictor, embed: Embed) -> None:
    # Not even a vessel that stands still is marked alike on both.
    run = {t: frame((trunk(), DARK)) for t in range(10)}
    wide = ndimage.binary_dilation(trunk(), iterations=2)
    carried = dict(carry(predictor, embed(run), "vessel", {0: wide, 9: trunk()}, range(10)))
    areas = [int(carried[t].sum()) for t in range(1, 9)]
    assert areas[0] > 1.2 * areas[-1]
    assert all(before >= after for before, after in pairwise(areas))


def test_a_vessel_that_fills_after_one_key_frame_is_taken_from_the_next(predictor: Predictor, embed: Embed) -> None:
    run = {t: frame((trunk(t), DARK), (branch(t), DARK if t >= 2 else 0)) for t in FRAMES}
    keys = {0: trunk(0), 6: trunk(6) | branch(6)}
    carried = dict(carry(predictor, embed(run), "vessel", keys, FRAMES))
    assert not carried[1][branch(1)].any()
    for t in range(2, 6):
        assert carried[t][branch(t)].mean() > 0.8


def test_the_nearest_frames_come_first_and_those_between_key_frames_twice(predictor: Predictor, embed: Embed) -> None:
    run = {t: frame((trunk(), DARK)) for t in range(9)}
    keys = {2: trunk(), 6: trunk()}
    order = [t for t, _ in carry(predictor, embed(run), "vessel", keys, range(1, 9))]
    assert order == [1, 3, 5, 7, 4, 4, 8, 3, 5]


def test_each_frame_is_embedded_once_and_only_when_its_turn_comes(predictor: Predictor, embed: Embed) -> None:
    run = {t: frame((trunk(), DARK)) for t in range(9)}
    asked: list[int] = []

    def listening(k: int) -> Embedded:
        asked.append(k)
        return embed(run)(k)

    arriving = carry(predictor, listening, "vessel", {2: trunk(), 6: trunk()}, range(9))
    assert asked == []
    next(arriving)
    assert asked == [2, 1]
    list(arriving)
    assert sorted(asked) == list(range(9))


def test_a_key_frame_may_lie_outside_of_the_frames_and_frames_may_be_skipped(
    predictor: Predictor, embed: Embed
) -> None:
    run = {t: frame((trunk(t), DARK)) for t in FRAMES}
    carried = dict(carry(predictor, embed(run), "vessel", {0: trunk()}, range(2, 7, 2)))
    assert sorted(carried) == [2, 4, 6]
    assert dice(carried[6], trunk(6)) > 0.9


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (7, 30), (65, 64), (300, 530)])
@pytest.mark.parametrize("marked", [False, True])
def test_frames_of_any_size_even_without_structure_are_carried_to(
    predictor: Predictor, shape: tuple[int, int], marked: bool
) -> None:
    mask = np.full(shape, marked)
    carried = dict(carry(predictor, lambda _: predictor.embed(np.full((*shape, 3), 7)), "vessel", {1: mask}, range(3)))
    assert sorted(carried) == [0, 2]
    for other in carried.values():
        assert other.shape == shape
        assert other.dtype == bool
        assert marked or not other.any()


def test_nothing_is_carried_without_a_key_frame(predictor: Predictor, embed: Embed) -> None:
    assert list(carry(predictor, embed({}), "vessel", {}, FRAMES)) == []


def test_a_mask_of_another_size_than_its_frame_is_refused(predictor: Predictor, embed: Embed) -> None:
    run = {t: frame() for t in FRAMES}
    with pytest.raises(ValueError, match=r"\(5, 5\) but the frame \(96, 96\)"):
        next(carry(predictor, embed(run), "vessel", {0: np.ones((5, 5), bool)}, FRAMES))
