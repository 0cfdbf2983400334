"""What is held back: always the same, about a fifth, never all, and never learned from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from salt_monailabel.training import LabelledFrame
from salt_monailabel.training.held_back import BLOCK, ENOUGH, block, corner_of_block, images_held_back, without
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
def test_a_block_held_back_is_a_fifth_with_vessels_and_leaves_most(rows: int, columns: int, name: str) -> None:
    labels = (np.random.default_rng(rows).random((1, rows, columns)) < 0.2).astype(np.uint8)
    corner = corner_of_block(name, labels)
    assert corner is not None
    held_back = block((rows, columns), corner)
    ys, xs = np.nonzero(held_back)
    assert held_back[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1].all()
    assert held_back.sum() == round(BLOCK * rows) * round(BLOCK * columns)
    assert 0 < labels[0, held_back].sum() < labels.sum()
    assert corner == corner_of_block(name, labels)


def test_blocks_lie_where_the_name_says() -> None:
    assert len({corner_of_block(name, np.ones((1, 90, 70), np.uint8)) for name in "abcdefgh"}) > 3
    assert len({block((90, 70), corner).tobytes() for corner in range(9)}) == 9


@pytest.mark.parametrize("name", list("abcdefgh"))
def test_no_label_is_held_back_for_the_most_part_if_that_can_be_avoided(name: str) -> None:
    labels = np.zeros((2, 100, 100), np.uint8)
    labels[0, 50] = 2
    labels[1, 4:12, 4:12] = 1
    corner = corner_of_block(name, labels)
    assert corner is not None
    inside = labels[:, block((100, 100), corner)]
    assert not (inside == 1).any()
    assert 0 < (inside == 2).sum() <= 50


def test_a_vessel_that_no_block_would_leave_any_of_is_learned_from() -> None:
    labels = np.zeros((1, 80, 80), np.uint8)
    labels[0, 5:9, 5:9] = 1
    assert corner_of_block("a", labels) is None


def test_what_is_held_back_counts_nothing_in_a_crop() -> None:
    whole = frame()
    held_back = block(whole.labels.shape, 2)
    still = Augmentation(rotation=0, scale=(1, 1.001), magnify=1.0, on_vessel=0)
    batch = CropSampler([without(whole, held_back)], 64, np.random.default_rng(0), still).draw(30)
    share = float((batch.weights == 0).float().mean())
    assert set(batch.weights.unique().tolist()) == {0, 1}
    assert share == pytest.approx(held_back.mean(), abs=0.1)
    assert not torch.equal(batch.weights[0], batch.weights[1])
