"""What is held back: always the same, about a fifth, never all, and never learned from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from salt_monailabel.imaging import magnification
from salt_monailabel.inference import Predictor
from salt_monailabel.models import VesselSam
from salt_monailabel.training import LabelledFrame
from salt_monailabel.training.held_back import (
    ENOUGH,
    WINDOW,
    Question,
    images_held_back,
    questions_of_tiles,
    score_held_back,
    tiles_held_back,
    windows_of,
    without,
)
from salt_monailabel.training.samples import Augmentation, CropSampler

NAMES = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=40)


def frame(name: str = "a", rows: int = 90, columns: int = 70, vessel: slice = slice(30, 40)) -> LabelledFrame:
    labels = np.zeros((rows, columns), np.uint8)
    labels[vessel] = 1
    return LabelledFrame(np.zeros((rows, columns, 3), np.float32), labels, name)


@given(NAMES, st.randoms(use_true_random=False))
def test_images_held_back_do_not_depend_on_the_order(names: list[str], order: object) -> None:
    shuffled = list(names)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert images_held_back(shuffled) == images_held_back(names)


@given(NAMES)
def test_images_are_held_back_only_once_there_are_enough(names: list[str]) -> None:
    held_back = images_held_back(names)
    assert set(held_back) <= set(names)
    if len(names) < ENOUGH:
        assert held_back == []


@given(NAMES, NAMES)
def test_an_image_held_back_is_never_learned_from_later(names: list[str], more: list[str]) -> None:
    assert set(images_held_back(names)) <= set(images_held_back([*names, *more]))


def test_something_is_left_to_learn_from_if_the_hash_chooses_all() -> None:
    chosen = images_held_back(map(str, range(100)))[: ENOUGH + 1]
    assert images_held_back(chosen) == []
    assert images_held_back([*chosen, *map(str, range(100))])[: len(chosen)] == chosen


def test_an_image_that_is_held_back_stays_so_as_labels_are_added() -> None:
    names = [f"image {number}" for number in range(500)]
    held_back = images_held_back(names)
    assert 70 < len(held_back) < 130
    for count in (50, 200):
        assert set(images_held_back(names[:count])) == set(held_back) & set(names[:count])


@given(st.integers(8, 200), st.integers(8, 200), st.text(max_size=5))
def test_tiles_held_back_have_vessels_and_leave_some(rows: int, columns: int, name: str) -> None:
    labels = (np.random.default_rng(rows).random((rows, columns)) < 0.1).astype(np.uint8)
    tiles = tiles_held_back(LabelledFrame(np.zeros((rows, columns, 3), np.float32), labels, name))
    assert tiles.shape == labels.shape
    if labels.any():
        assert (labels[~tiles] > 0).any()
    assert np.array_equal(tiles, tiles_held_back(LabelledFrame(np.zeros((rows, columns, 3), np.float32), labels, name)))


def test_a_vessel_in_one_tile_alone_is_learned_from() -> None:
    labels = np.zeros((80, 80), np.uint8)
    labels[5:9, 5:9] = 1
    assert not tiles_held_back(LabelledFrame(np.zeros((80, 80, 3), np.float32), labels, "a")).any()


def test_what_is_held_back_counts_nothing_in_a_crop() -> None:
    whole = frame()
    held_back = tiles_held_back(whole)
    assert held_back.any()
    still = Augmentation(rotation=0, scale=(1, 1.001), magnify=1.0, on_vessel=0)
    batch = CropSampler([without(whole, held_back)], 64, np.random.default_rng(0), still).draw(30)
    share = float((batch.weights == 0).float().mean())
    assert set(batch.weights.unique().tolist()) == {0, 1}
    assert share == pytest.approx(held_back.mean(), abs=0.1)
    assert not torch.equal(batch.weights[0], batch.weights[1])


def test_only_what_is_held_back_is_scored(tiny_sam: VesselSam, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = frame()
    predictor = Predictor(tiny_sam, overlap=16)
    counts = np.zeros(whole.labels.shape, bool)
    counts[:, :20] = True
    answer = np.where(counts, whole.labels, 1 - whole.labels).astype(np.float32)
    monkeypatch.setattr(predictor, "segment", lambda embedded, label: answer)
    assert score_held_back(predictor, [Question(whole.rgb, whole.labels, counts, 1.0)]).dice == 1
    assert score_held_back(predictor, [Question(whole.rgb, whole.labels, ~counts, 1.0)]).dice == 0


@given(st.integers(8, 900), st.integers(8, 900), st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_a_window_has_a_vessel_stays_the_same_and_is_smaller_the_more_there_are(
    rows: int, columns: int, seed: int, count: int
) -> None:
    labels = np.zeros((rows, columns), np.uint8)
    y, x = seed % rows, seed % columns
    labels[y, x] = 1
    whole = LabelledFrame(np.zeros((rows, columns, 3), np.float32), labels, "a")
    windows = windows_of([whole] * count)
    assert len(windows) == count
    side = round(WINDOW / count**0.5)
    for window in windows:
        assert window.labels.shape == window.counts.shape == (min(rows, side), min(columns, side))
        assert window.labels.any()
        assert np.array_equal(window.labels, windows[0].labels)
    assert sum(window.labels.size for window in windows) <= 1.01 * WINDOW**2


def test_a_part_is_judged_at_the_magnification_of_the_whole() -> None:
    large = frame(rows=1000, columns=1200)
    assert windows_of([large])[0].magnify == questions_of_tiles(large)[0].magnify == magnification((1000, 1200)) == 1
