"""What is kept from learning, so that an update can be judged by labels it has not seen.

With at least `ENOUGH` labelled images a fifth of them is held back, chosen by a hash of their names. Until `JUDGES`
images can judge, so is a block of each new one that is learned from, a fifth of it. What is held back stays so,
whatever else is labelled: of an image that was learned from but for a block, this block alone can judge, now and later.
Asked about the whole of such an image, a model seems to forget as soon as it learns from others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .samples import LabelledFrame

ENOUGH, JUDGES = 4, 5
# Sides of the block that is held back of an image, as a share of its own.
BLOCK = 0.45
RULE = (
    f"most of up to {JUDGES} images, by windows of them: a fifth of those that are labelled, by a hash of their names, "
    f"once there are {ENOUGH}, and, as long as these are fewer, a block of a fifth of each of the others"
)


def images_held_back(names: Iterable[str]) -> list[str]:
    """Return the images that are held back, always in the same order: none of fewer than `ENOUGH`."""
    ordered = sorted(set(names), key=number_of)
    if len(ordered) < ENOUGH:
        return []
    chosen = [name for name in ordered if number_of(name) % 5 == 0]
    return chosen if len(chosen) < len(ordered) else []


def block_held_back(frame: LabelledFrame) -> np.ndarray:
    """Return where a block of a frame is held back, (H, W) bool: none without a vessel, nor one that has them all."""
    labels = frame.labels
    rows, columns = labels.shape
    height, width = round(BLOCK * rows), round(BLOCK * columns)
    corners = [(top, left) for top in _thirds(rows - height) for left in _thirds(columns - width)]
    for number in sorted(range(len(corners)), key=lambda number: number_of(f"{frame.name} {number}")):
        top, left = corners[number]
        block = np.zeros(labels.shape, bool)
        block[top : top + height, left : left + width] = True
        if labels[block].any() and labels[~block].any():
            return block
    return np.zeros(labels.shape, bool)


def without(frame: LabelledFrame, held_back: np.ndarray) -> LabelledFrame:
    """Return a frame whose pixels that are held back do not count."""
    weight = np.ones(frame.labels.shape, np.float32) if frame.weight is None else frame.weight
    return replace(frame, weight=np.where(held_back, 0, weight).astype(np.float32))


def number_of(name: str) -> int:
    """Return a number that depends on a name alone, on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _thirds(room: int) -> tuple[int, int, int]:
    return 0, room // 2, room
