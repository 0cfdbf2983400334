"""The update: a little training on the newest labels and a replay of earlier ones, judged by labels it has not seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from salt_monailabel.adapters import Adapter

from .held_back import JUDGES, images_held_back
from .samples import LabelledFrame

# Labels an update reads at most: its cost must not grow with the archive.
NEWEST, REPLAYED = 16, 8


@dataclass(frozen=True)
class Past:
    """What the version in use has learned.

    Attributes
    ----------
    until : int
        The time of the newest label among it.
    in_part : mapping of name to int
        Images learned but for a block, and which.
    whole : frozenset of str
        Images learned altogether.
    """

    until: int = 0
    in_part: Mapping[str, int] = field(default_factory=dict)
    whole: frozenset[str] = frozenset()

    def knows(self, name: str) -> bool:
        """Whether an image was learned from."""
        return name in self.in_part or name in self.whole


@dataclass(frozen=True)
class Lesson:
    """The names of the labelled images an update learns from, and of those that may judge it.

    Attributes
    ----------
    newest, replayed : tuple of str
    tried : tuple of str
        Those that may judge, and were not labelled anew since the version in use was learned.
    new : tuple of str
        Others that may: held back, or learned from before but for a block.
    first : tuple of str
        Images never learned from; these may judge if a block of them is held back.
    """

    newest: tuple[str, ...]
    replayed: tuple[str, ...]
    tried: tuple[str, ...]
    new: tuple[str, ...]
    first: tuple[str, ...]


def choose(times: Mapping[str, int], past: Past, rng: np.random.Generator) -> Lesson:
    """Choose what an update learns from.

    Parameters
    ----------
    times : mapping of name to int
        When each image was labelled last.
    past : Past
    rng : Generator
        Draws what is replayed.

    Returns
    -------
    Lesson
        Labels newer than what was learned; if there are none, those of images never learned from, such as were copied
        here with their dates, and else the last of all. As many earlier ones as may be; none of the images held back.
    """
    held_back = images_held_back(times)
    ordered = sorted((name for name in times if name not in held_back), key=lambda name: (times[name], name))
    newer = [name for name in ordered if times[name] > past.until]
    unknown = [name for name in ordered[:-1] if not past.knows(name)]
    # Not all together: thousands of unknown ones would leave little weight for what was corrected just now. But those
    # with the last one: they may be such as are refused each time.
    newest = (newer or [*unknown, *ordered[-1:]])[-NEWEST:]
    earlier = [name for name in ordered if name not in newest]
    replayed = rng.choice(earlier, min(REPLAYED, len(earlier)), replace=False).tolist() if earlier else []
    return _judged(newest, replayed, times, past)


def everything(times: Mapping[str, int], past: Past) -> Lesson:
    """Return all labelled images but those held back, to train from the base on."""
    held_back = images_held_back(times)
    return _judged(sorted(name for name in times if name not in held_back), [], times, past)


def _judged(newest: Sequence[str], replayed: Sequence[str], times: Mapping[str, int], past: Past) -> Lesson:
    never_learned = [name for name in images_held_back(times) if not past.knows(name)]
    judges = [*never_learned, *sorted(name for name in past.in_part if name in times)]
    tried = [name for name in judges if times[name] <= past.until]
    new = [name for name in judges if times[name] > past.until]
    first = [name for name in newest if not past.knows(name)]
    return Lesson(tuple(newest), tuple(replayed), tuple(tried), tuple(new), tuple(first))


def votes(tried: int) -> int:
    """Return how many images may judge if so many of them are tried.

    New labels are the fewer then, for wrong ones must not vouch for themselves; but one or two tried ones must not be
    able to refuse whatever is learned from others.
    """
    return 3 if 0 < tried < 3 else JUDGES


def with_shares(newest: Sequence[LabelledFrame], replayed: Sequence[LabelledFrame]) -> list[LabelledFrame]:
    """Return all frames, so that half of the crops are drawn from the newest labels and half from the others."""
    halves = ((frames, 1 / len(frames)) for frames in (newest, replayed) if frames)
    return [replace(frame, share=share) for frames, share in halves for frame in frames]


def parameter_values(adapter: Adapter) -> list[Tensor]:
    """Return a copy of the trained parameters."""
    return [parameter.detach().clone() for _, parameter in adapter.parameters()]


@torch.no_grad()
def move_parameters(adapter: Adapter, start: Sequence[Tensor], end: Sequence[Tensor], share: float = 1.0) -> None:
    """Set the trained parameters to a share of the way from `start` to `end`.

    Half of the way is a mean of two versions: what a few steps on a few images do at random weighs half, and most of
    what they teach remains (Wortsman et al. 2022, robust fine-tuning).
    """
    for (_, parameter), first, last in zip(adapter.parameters(), start, end, strict=True):
        parameter.copy_(torch.lerp(first, last, share))
