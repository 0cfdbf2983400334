"""Losses on mask logits.

All take logits and a target of 0 and 1, both (B, 1, H, W), optionally the weight of each pixel, and return a scalar.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def dice_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """One minus the soft Dice, its denominator not squared, over each image, averaged (Drozdzal et al. 2016)."""
    probability = logits.sigmoid()
    overlap, total = probability * target, probability + target
    if weight is not None:
        overlap, total = overlap * weight, total * weight
    return (1 - (2 * overlap.flatten(1).sum(1) + 1) / (total.flatten(1).sum(1) + 1)).mean()


def bce_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy, averaged over pixels."""
    return functional.binary_cross_entropy_with_logits(logits, target, weight)


def coarse_loss(coarse: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy and Dice of SAM's own logits (B, 1, H/4, W/4) against the share of vessel under each.

    It makes the encoder and decoder learn too, and not leave all to the detail head.
    """
    stride = target.shape[-1] // coarse.shape[-1]
    share = functional.avg_pool2d(target, stride)
    pooled = None if weight is None else functional.avg_pool2d(weight, stride)
    return bce_loss(coarse, share, pooled) + dice_loss(coarse, share, pooled)
