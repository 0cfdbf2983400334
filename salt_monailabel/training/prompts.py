"""Prompts for training: what users will do, simulated on the model's own errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from salt_monailabel.models import Prompts

from .clicks import Clicks, simulate_clicks

# Rounds of clicks, each on the errors of the answer to the ones before, and clicks of each round.
ROUNDS = ((1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (3, 1))
# Share of click rounds that are told the mask to correct; the others click on the image alone.
SHARE_WITH_PREVIOUS = 0.75


def click_prompts(
    decode: Callable[[Prompts], Tensor], masks: Tensor, labels: Tensor, rng: np.random.Generator
) -> tuple[Prompts, Tensor]:
    """Click on the errors of the answer to the label alone, or of that answer made worse and given as previous mask.

    In further rounds, clicks on what is still wrong are added, as a user does who looks at each answer.

    Parameters
    ----------
    decode : callable
        From prompts to the model's logits for these images, (B, 1, S, S).
    masks : Tensor, (B, 1, S, S)
        The truth, 0 or 1.
    labels : Tensor of int64, (B,)
    rng : Generator

    Returns
    -------
    prompts : Prompts
    regions : Tensor of float, (B, 1, S, S)
        1 in the wrong regions that were clicked at.
    """
    truth = masks.cpu().numpy()[:, 0]
    answer, previous = _answer(decode, Prompts(labels)), None
    if rng.random() < SHARE_WITH_PREVIOUS:
        foreign = np.roll(truth, 1, axis=0)
        answer = np.stack([_damage(rng, *three) for three in zip(answer, truth, foreign, strict=True)])
        previous = torch.from_numpy(answer[:, None]).to(masks.device)
    rounds, count = ROUNDS[rng.integers(len(ROUNDS))]
    prompts, regions = Prompts(labels, masks=previous), np.zeros_like(truth)
    for turn in range(rounds):
        if turn:
            answer = _answer(decode, prompts)
        clicks = [simulate_clicks(p > 0.5, t > 0.5, count) for p, t in zip(answer, truth, strict=True)]
        prompts = _with_clicks(prompts, clicks)
        regions = np.maximum(regions, np.stack([c.regions for c in clicks]))
    return prompts, torch.from_numpy(regions[:, None]).float().to(masks.device)


def _answer(decode: Callable[[Prompts], Tensor], prompts: Prompts) -> np.ndarray:
    """Return the probabilities the model answers with, (B, S, S)."""
    with torch.no_grad():
        logits = decode(prompts)
    # Some versions of torch would reuse the weights cast here, without their gradients, for the step itself.
    torch.clear_autocast_cache()
    return logits.float().sigmoid().cpu().numpy()[:, 0]


def _with_clicks(prompts: Prompts, clicks: Sequence[Clicks]) -> Prompts:
    """Add the same number of clicks to each image's prompts."""
    device = prompts.labels.device
    points, labels = (torch.from_numpy(np.stack([getattr(c, key) for c in clicks])) for key in ("points", "labels"))
    points, labels = points.to(device), labels.to(device)
    if prompts.points is not None and prompts.point_labels is not None:
        points = torch.cat([prompts.points, points], dim=1)
        labels = torch.cat([prompts.point_labels, labels], dim=1)
    return replace(prompts, points=points, point_labels=labels)


def _damage(rng: np.random.Generator, answer: np.ndarray, truth: np.ndarray, foreign: np.ndarray) -> np.ndarray:
    """Make a previous mask wrong at up to three places.

    A good model errs where the image leaves doubt. Users also correct what is plain to see, and a mask they drew on:
    a place erased, a piece of another image put in, or a whole branch left out.
    """
    damaged = answer.astype(np.float32)
    along = np.arange(len(answer))
    for _ in range(rng.integers(0, 4)):
        (row, column), radius = rng.uniform(0, len(answer), 2), rng.uniform(10, 45)
        disc = (along[:, None] - row) ** 2 + (along - column) ** 2 < radius**2
        kind = rng.random()
        if kind < 0.3:
            damaged[disc] = 0.0
        elif kind < 0.6:
            damaged[disc] = np.maximum(damaged, foreign)[disc]
        else:
            damaged[_branch(rng, truth > 0.5)] = 0.0
    return damaged


def _branch(rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
    """Return one of the branches left when thick vessels are taken away, if there is any: (H, W) bool."""
    thick = ndimage.binary_opening(truth, iterations=int(rng.integers(1, 4)))
    branches, count = ndimage.label(truth & ~ndimage.binary_dilation(thick, iterations=2), np.ones((3, 3)))
    if not count:
        return np.zeros_like(truth)
    sizes = np.bincount(branches.ravel())[1:].astype(float)
    chosen = branches == 1 + rng.choice(count, p=sizes / sizes.sum())
    # Its blurred border goes with it.
    return ndimage.binary_dilation(chosen, iterations=2) & ~ndimage.binary_dilation(thick)


def random_boxes(rng: np.random.Generator, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Draw boxes at least a quarter of the side wide.

    Returns
    -------
    boxes : Tensor, (count, 4)
        x0, y0, x1, y1 in pixels.
    inside : Tensor of float, (count, 1, size, size)
        1 inside a box.
    """
    extent = rng.integers(size // 4, size, (count, 2))
    corner = (rng.random((count, 2)) * (size - extent)).astype(int)
    boxes = np.concatenate([corner, corner + extent], axis=1)
    along = np.arange(size)
    columns = (along >= boxes[:, 0, None]) & (along <= boxes[:, 2, None])
    rows = (along >= boxes[:, 1, None]) & (along <= boxes[:, 3, None])
    inside = rows[:, None, :, None] & columns[:, None, None, :]
    return torch.from_numpy(boxes.astype(np.float32)), torch.from_numpy(inside.astype(np.float32))
