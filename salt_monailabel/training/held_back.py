"""What is kept from learning, so that an update can be judged by labels it has not seen.

With at least `ENOUGH` labelled images these are a fifth of them, chosen by a hash of their names; with fewer, or if
that chooses none or all, about a fifth of the tiles of each image. An image or tile that is held back stays so,
whatever else is labelled; but the first images to be held back were learned from before there were enough.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from salt_monailabel.inference import Predictor

from .metrics import cl_dice, dice
from .samples import LabelledFrame

ENOUGH = 4
# Tiles along each side of an image, and how many of each image are held back.
TILES, TILES_HELD_BACK = 4, 3
RULE_IMAGES = f"a fifth of the labelled images, by a hash of their names, at least {ENOUGH} being labelled"
RULE_TILES = f"{TILES_HELD_BACK} of {TILES * TILES} tiles of each image, there being too few to hold images back"


def images_held_back(names: Iterable[str]) -> list[str]:
    """Return the images that are held back, always in the same order: none of fewer than `ENOUGH`."""
    ordered = sorted(set(names), key=_hash)
    if len(ordered) < ENOUGH:
        return []
    chosen = [name for name in ordered if _hash(name) % 5 == 0]
    return chosen if len(chosen) < len(ordered) else []


def tiles_held_back(frame: LabelledFrame) -> np.ndarray:
    """Return where tiles of a frame are held back, (H, W) bool: none without a vessel, nor all that have one."""
    rows, columns = frame.labels.shape
    down, across = (np.minimum(np.arange(n) * TILES // n, TILES - 1) for n in (rows, columns))
    number = down[:, None] * TILES + across
    with_vessels = sorted(np.unique(number[frame.labels > 0]).tolist(), key=lambda tile: _hash(f"{frame.name} {tile}"))
    return np.isin(number, with_vessels[: min(TILES_HELD_BACK, len(with_vessels) - 1)])


def without(frame: LabelledFrame, held_back: np.ndarray) -> LabelledFrame:
    """Return a frame whose pixels that are held back do not count."""
    weight = np.ones(frame.labels.shape, np.float32) if frame.weight is None else frame.weight
    return replace(frame, weight=np.where(held_back, 0, weight).astype(np.float32))


@dataclass(frozen=True)
class HeldBackScore:
    """Means over frames and labels on what was held back."""

    dice: float
    cl_dice: float


def score_held_back(predictor: Predictor, frames: Iterable[tuple[LabelledFrame, np.ndarray]]) -> HeldBackScore:
    """Score a model on frames, each with the pixels that count: (H, W) bool."""
    scores = []
    for frame, counts in frames:
        embedded = predictor.embed(frame.rgb)
        for value, label in enumerate(predictor.model.labels, start=1):
            truth = (frame.labels == value) & counts
            found = (predictor.segment(embedded, label) > predictor.threshold) & counts
            # A label that was not drawn in an image says nothing of how well it is found.
            if truth.any():
                scores.append((dice(found, truth), cl_dice(found, truth)))
    mean = np.mean(scores, axis=0) if scores else (0.0, 0.0)
    return HeldBackScore(float(mean[0]), float(mean[1]))


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
