"""The update: a little training on the newest labels and a replay of earlier ones, judged by labels it has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from salt_monailabel.adapters import Adapter

from .held_back import images_held_back
from .samples import LabelledFrame

# Labels an update reads at most: its cost must not grow with the archive.
NEWEST, REPLAYED, JUDGING = 16, 8, 4
# Dice by which an update may be worse on what is held back and still be put in use; not measured yet.
TOLERANCE = 0.002
# Dice by which the whole of an update must be better than half of it to be taken.
CLEARLY = 0.005


@dataclass(frozen=True)
class Lesson:
    """The names of the labelled images an update learns from, and of those it is judged by."""

    newest: tuple[str, ...]
    replayed: tuple[str, ...]
    judging: tuple[str, ...]


def choose(times: dict[str, int], learned_until: int, rng: np.random.Generator) -> Lesson:
    """Choose what to learn from.

    Parameters
    ----------
    times : dict of name to int
        When each image was labelled last.
    learned_until : int
        The time of the newest label that was learned from before.
    rng : Generator
        Draws what is replayed.

    Returns
    -------
    Lesson
        Labels newer than `learned_until`, the last of all if there are none; as many earlier ones as may be; none of
        them held back. What is held back judges, or all where there are too few labels to hold some back; but new
        labels do not, if there are others: wrong ones must not vouch for themselves.
    """
    held_back = images_held_back(times)
    ordered = sorted((name for name in times if name not in held_back), key=lambda name: (times[name], name))
    newest = [name for name in ordered if times[name] > learned_until][-NEWEST:] or ordered[-1:]
    earlier = [name for name in ordered if name not in newest]
    replayed = rng.choice(earlier, min(REPLAYED, len(earlier)), replace=False).tolist() if earlier else []
    judges = held_back or sorted(times)
    tried = [name for name in judges if times[name] <= learned_until]
    return Lesson(tuple(newest), tuple(replayed), tuple((tried or judges)[:JUDGING]))


def everything(times: dict[str, int]) -> Lesson:
    """Return all labelled images but those held back, to train from the base on."""
    held_back = images_held_back(times)
    learned = sorted(name for name in times if name not in held_back)
    return Lesson(tuple(learned), (), tuple((held_back or sorted(times))[:JUDGING]))


def shared(newest: Sequence[LabelledFrame], replayed: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """Return all frames, so that half of the crops are drawn from the newest labels and half from the others."""
    halves = ((frames, 1 / len(frames)) for frames in (newest, replayed) if frames)
    return [replace(frame, share=share) for frames, share in halves for frame in frames]


def values(adapter: Adapter) -> list[Tensor]:
    """Return a copy of the trained parameters."""
    return [parameter.detach().clone() for _, parameter in adapter.parameters()]


@torch.no_grad()
def move(adapter: Adapter, start: Sequence[Tensor], end: Sequence[Tensor], share: float = 1.0) -> None:
    """Set the trained parameters to a share of the way from `start` to `end`.

    Half of the way is a mean of two versions: what a few steps on a few images do at random weighs half, and most of
    what they teach remains (Wortsman et al. 2022, robust fine-tuning).
    """
    for (_, parameter), first, last in zip(adapter.parameters(), start, end, strict=True):
        parameter.copy_(torch.lerp(first, last, share))
