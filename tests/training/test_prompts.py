"""Prompts for training: clicks where the model errs, again after each answer, and told as users tell them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from salt_monailabel.models import Prompts, VesselSam
from salt_monailabel.training import prompts as module
from salt_monailabel.training.prompts import click_prompts


@pytest.fixture
def truth() -> Tensor:
    """Return two masks with a vessel across each."""
    masks = torch.zeros(2, 1, 64, 64)
    masks[0, :, 30:34], masks[1, :, :, 10:13] = 1, 1
    return masks


def clicked(model: VesselSam, masks: Tensor, seed: int) -> tuple[Prompts, Tensor]:
    """Return prompts on random images."""
    images = torch.rand(len(masks), 3, 64, 64)
    with torch.no_grad():
        embeddings = model.encode(images)
    labels = torch.zeros(len(masks), dtype=torch.long)
    rng = np.random.default_rng(seed)
    return click_prompts(lambda prompts: model.decode(images, embeddings, prompts)[0], masks, labels, rng)


@pytest.mark.parametrize("rounds", [(1, 3), (3, 1), (2, 2)])
def test_each_round_adds_its_clicks(
    tiny_sam: VesselSam, truth: Tensor, monkeypatch: pytest.MonkeyPatch, rounds: tuple[int, int]
) -> None:
    monkeypatch.setattr(module, "ROUNDS", (rounds,))
    prompts, regions = clicked(tiny_sam, truth, seed=0)
    assert prompts.points is not None
    assert prompts.point_labels is not None
    assert prompts.points.shape == (2, rounds[0] * rounds[1], 2)
    assert regions.shape == truth.shape
    for points, labels, mask in zip(prompts.points, prompts.point_labels, truth, strict=True):
        for (x, y), label in zip(points.int().tolist(), labels.tolist(), strict=True):
            if label >= 0:
                assert mask[0, y, x] == label


def test_a_later_round_clicks_on_what_the_answer_to_the_earlier_ones_got_wrong(
    tiny_sam: VesselSam, truth: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Prompts] = []

    def answer(decode: object, prompts: Prompts) -> np.ndarray:
        asked.append(prompts)
        # The first answer is empty; the next has found the first image's vessel.
        found = truth[:, 0].numpy().copy() * (len(asked) > 1)
        found[1] = 0
        return found

    monkeypatch.setattr(module, "ROUNDS", ((2, 1),))
    monkeypatch.setattr(module, "SHARE_WITH_PREVIOUS", 0.0)
    monkeypatch.setattr(module, "_answer", answer)
    prompts, regions = clicked(tiny_sam, truth, seed=1)
    assert [p.points is None for p in asked] == [True, False]
    assert prompts.point_labels is not None
    assert prompts.point_labels.tolist() == [[1, -1], [1, 1]]
    assert torch.equal(regions, truth)
    assert prompts.masks is None


def test_most_prompts_tell_a_previous_mask_and_it_is_not_always_right(tiny_sam: VesselSam, truth: Tensor) -> None:
    given = [clicked(tiny_sam, truth, seed)[0].masks for seed in range(12)]
    told = [masks for masks in given if masks is not None]
    assert 5 <= len(told) < 12
    assert all(masks.shape == truth.shape and masks.min() >= 0 and masks.max() <= 1 for masks in told)
