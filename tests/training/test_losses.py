"""Losses: the formulas of their papers, near zero where all is right, and gradients that stay numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from salt_monailabel.training.losses import bce_loss, coarse_loss, dice_loss

SHAPE = (3, 1, 8, 12)
Loss = Callable[..., Tensor]


def numbers(seed: int, vessel: float = 0.3) -> tuple[Tensor, Tensor]:
    """Return logits and a target."""
    rng = np.random.default_rng(seed)
    target = rng.random(SHAPE) < vessel
    return torch.from_numpy(rng.normal(0, 2, SHAPE)), torch.from_numpy(target.astype(float))


def arrays(logits: Tensor, target: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities and the target."""
    return 1 / (1 + np.exp(-logits.numpy())), target.numpy()


def cross_entropy(p: np.ndarray, t: np.ndarray) -> np.ndarray:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


@pytest.mark.parametrize("seed", range(3))
def test_dice_is_one_minus_the_soft_dice_of_each_image(seed: int) -> None:
    logits, target = numbers(seed)
    p, t = arrays(logits, target)
    each = [1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, t, strict=True)]
    assert float(dice_loss(logits, target)) == pytest.approx(np.mean(each))


@pytest.mark.parametrize("seed", range(3))
def test_bce_is_the_mean_cross_entropy(seed: int) -> None:
    logits, target = numbers(seed)
    assert float(bce_loss(logits, target)) == pytest.approx(cross_entropy(*arrays(logits, target)).mean())


def test_the_coarse_loss_compares_with_the_share_of_vessel_under_each_logit() -> None:
    logits, target = numbers(0)
    coarse = logits[..., ::4, ::4]
    share = target.numpy().reshape(3, 1, 2, 4, 3, 4).mean(axis=(3, 5))
    p, _ = arrays(coarse, target)
    dice = [1 - (2 * (a * b).sum() + 1) / (a.sum() + b.sum() + 1) for a, b in zip(p, share, strict=True)]
    assert float(coarse_loss(coarse, target)) == pytest.approx(cross_entropy(p, share).mean() + np.mean(dice))


@pytest.mark.parametrize("loss", [bce_loss, dice_loss])
@pytest.mark.parametrize("vessel", [0.0, 0.3, 1.0])
def test_right_costs_nothing_unsure_some_and_wrong_more(loss: Loss, vessel: float) -> None:
    _, target = numbers(0, vessel)
    right, unsure, wrong = (float(loss(sure * (2 * target - 1), target)) for sure in (40, 0, -40))
    assert right == pytest.approx(0, abs=1e-6)
    assert 1e-3 < unsure < wrong


@pytest.mark.parametrize("loss", [bce_loss, dice_loss])
def test_weights_of_one_change_nothing(loss: Loss) -> None:
    logits, target = numbers(0)
    assert float(loss(logits, target, torch.ones(SHAPE))) == pytest.approx(float(loss(logits, target)))


@pytest.mark.parametrize("loss", [bce_loss, dice_loss])
def test_pixels_of_no_weight_do_not_count_and_heavy_ones_count_more(loss: Loss) -> None:
    logits, target = numbers(0)
    weight = torch.ones(SHAPE, dtype=torch.float64)
    weight[..., :4] = 0
    other = logits.clone()
    other[..., :4] = 9
    assert float(loss(other, target, weight)) == pytest.approx(float(loss(logits, target, weight)))

    logits.requires_grad_()
    weight[..., 4:8] = 6
    loss(logits, target, weight).backward()
    assert logits.grad is not None
    assert not logits.grad[..., :4].any()
    assert logits.grad[..., 4:8].abs().mean() > logits.grad[..., 8:].abs().mean()


@pytest.mark.parametrize("loss", [bce_loss, dice_loss])
@pytest.mark.parametrize("vessel", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("size", [1.0, 1e4])
def test_gradients_are_numbers_however_sure_and_wrong(loss: Loss, vessel: float, size: float) -> None:
    logits, target = numbers(0, vessel)
    logits = (logits * size).float().requires_grad_()
    value = loss(logits, target.float())
    value.backward()
    assert value.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    if size == 1:
        assert logits.grad.any()
