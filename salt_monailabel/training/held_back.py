"""What is kept from learning, so that an update can be judged by labels it has not seen.

With at least `ENOUGH` labelled images a fifth of them is held back, chosen by a hash of their names. As long as fewer
than `JUDGES` images can judge, a block of each image that is learned from for the first time is held back, too: a fifth
of it, which stays where it is whatever is labelled or corrected later. This block alone can judge: asked about all of
an image that was learned from, a model seems to forget as soon as it learns from others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from .samples import LabelledFrame

ENOUGH, JUDGES = 4, 5
# Sides of the block that is held back of an image, as a share of its own, and how much of a label it may have.
BLOCK, MOST = 0.45, 0.5
RULE = (
    f"up to {JUDGES} images judge, and most decide: a fifth of the labelled ones, once there are {ENOUGH}, which is "
    f"never learned from; while these are fewer than {JUDGES}, also a block of others that are learned from but for it"
)


def images_held_back(names: Iterable[str]) -> list[str]:
    """Return the images that are held back, always in the same order: none of fewer than `ENOUGH`."""
    ordered = sorted(set(names), key=number_of)
    if len(ordered) < ENOUGH:
        return []
    chosen = [name for name in ordered if number_of(name) % 5 == 0]
    return chosen if len(chosen) < len(ordered) else []


def corner_of_block(name: str, labels: np.ndarray) -> int | None:
    """Choose which block of an image is held back, the first in an order of its own that leaves most of each label.

    Parameters
    ----------
    name : str
        Of the image.
    labels : ndarray of uint8, (frames, H, W)
        A block is the same in all frames, for those that follow each other are nearly the same.

    Returns
    -------
    int or None
        To be given to `block`; None if all blocks are without a vessel, or would leave none.
    """
    totals = np.array([np.count_nonzero(labels == value) for value in np.unique(labels[labels > 0])])
    shares: dict[int, float] = {}
    for corner in sorted(range(9), key=lambda corner: number_of(f"{name} {corner}")):
        inside = labels[:, block(labels.shape[1:], corner)]
        counts = np.array([np.count_nonzero(inside == value) for value in np.unique(labels[labels > 0])])
        if 0 < counts.sum() < totals.sum():
            shares[corner] = float((counts / totals).max())
    least = min(shares, key=shares.__getitem__, default=None)
    return next((corner for corner, share in shares.items() if share <= MOST), least)


def block(shape: tuple[int, ...], corner: int) -> np.ndarray:
    """Return where a block lies, (H, W) bool: one of nine places, numbered from 0, row by row."""
    inside = np.zeros(shape, bool)
    place = []
    for length, third in zip(shape, divmod(corner, 3), strict=True):
        side = round(BLOCK * length)
        start = (length - side) * third // 2
        place.append(slice(start, start + side))
    inside[tuple(place)] = True
    return inside


def without(frame: LabelledFrame, held_back: np.ndarray) -> LabelledFrame:
    """Return a frame whose pixels that are held back do not count."""
    weight = np.ones(frame.labels.shape, np.float32) if frame.weight is None else frame.weight
    return replace(frame, weight=np.where(held_back, 0, weight).astype(np.float32))


def number_of(name: str) -> int:
    """Return a number that depends on a name alone, on every machine."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
