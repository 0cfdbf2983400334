"""The update: a little training on the newest labels and a replay of earlier ones, judged by labels it has not seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from salt_monailabel.adapters import Adapter

from .held_back import JUDGES, images_held_back
from .samples import LabelledFrame

# Labels an update reads at most: its cost must not grow with the archive.
NEWEST, REPLAYED = 16, 8
# Dice by which the whole of an update must be better than half of it to be taken.
CLEARLY = 0.005


@dataclass(frozen=True)
class Lesson:
    """The names of the labelled images an update learns from, and of those it is judged by.

    Attributes
    ----------
    newest, replayed : tuple of str
    judging : tuple of str
        Those labelled before the version in use was learned come first.
    tried : int
        How many of them these are.
    in_part : frozenset of str
        Images of which a block is held back: learned from but for it, and judging by it alone.
    """

    newest: tuple[str, ...]
    replayed: tuple[str, ...]
    judging: tuple[str, ...]
    tried: int
    in_part: frozenset[str]


def choose(
    times: Mapping[str, int], learned_until: int, learned_in_part: Collection[str], rng: np.random.Generator
) -> Lesson:
    """Choose what an update learns from.

    Parameters
    ----------
    times : mapping of name to int
        When each image was labelled last.
    learned_until : int
        The time of the newest label that was learned from before.
    learned_in_part : collection of str
        Images of which a block was held back before.
    rng : Generator
        Draws what is replayed.

    Returns
    -------
    Lesson
        Labels newer than `learned_until`, the last of all if there are none; as many earlier ones as may be; none of
        the images held back.
    """
    held_back = images_held_back(times)
    ordered = sorted((name for name in times if name not in held_back), key=lambda name: (times[name], name))
    newest = [name for name in ordered if times[name] > learned_until][-NEWEST:] or ordered[-1:]
    earlier = [name for name in ordered if name not in newest]
    replayed = rng.choice(earlier, min(REPLAYED, len(earlier)), replace=False).tolist() if earlier else []
    return _judged(Lesson(tuple(newest), tuple(replayed), (), 0, frozenset()), times, learned_until, learned_in_part)


def everything(times: Mapping[str, int], learned_until: int, learned_in_part: Collection[str]) -> Lesson:
    """Return all labelled images but those held back, to train from the base on; parameters as of `choose`."""
    held_back = images_held_back(times)
    learned = tuple(sorted(name for name in times if name not in held_back))
    return _judged(Lesson(learned, (), (), 0, frozenset()), times, learned_until, learned_in_part)


def _judged(lesson: Lesson, times: Mapping[str, int], learned_until: int, learned_in_part: Collection[str]) -> Lesson:
    """Return a lesson with those who judge it.

    New labels are the fewer, for wrong ones must not vouch for themselves; unless those before are one or none, who
    might refuse whatever is learned from others.
    """
    in_part = {name for name in learned_in_part if name in times}
    whole = [name for name in images_held_back(times) if name not in in_part]
    new = [name for name in lesson.newest if times[name] > learned_until and name not in in_part]
    in_part.update(new[: max(0, JUDGES - len(whole) - len(in_part))])
    judges = [*whole, *sorted(in_part)]
    tried = [name for name in judges if times[name] <= learned_until][:JUDGES]
    votes = JUDGES if len(tried) > JUDGES // 2 or not tried else 3
    judging = [*tried, *(name for name in judges if times[name] > learned_until)][:votes]
    return replace(lesson, judging=tuple(judging), tried=min(len(tried), votes), in_part=frozenset(in_part))


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
