"""What is kept from learning, so that an update can be judged by labels it has not seen.

With at least `ENOUGH` labelled images these are a fifth of them, chosen by a hash of their names; with fewer, or if
that chooses none or all, about a fifth of the tiles of each image. An image or tile that is held back stays so,
whatever else is labelled; but the first images to be held back were learned from before there were enough.

Judging must not cost more where images are large or many: of each image that is held back one window is looked at, the
larger the fewer they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from salt_monailabel.imaging import magnification
from salt_monailabel.inference import Predictor

from .metrics import cl_dice, dice
from .samples import LabelledFrame

ENOUGH = 4
# Tiles along each side of an image, and how many of each image are held back.
TILES, TILES_HELD_BACK = 4, 3
# Side of the window if one image alone judges, and what is seen around a tile, in pixels. Four judge by windows that
# take four of the model's tiles each when they are magnified; judging takes time from learning.
WINDOW, MARGIN = 618, 32
RULE_IMAGES = (
    f"a window in each of a fifth of the labelled images, by a hash of their names, at least {ENOUGH} being labelled; "
    f"{WINDOW} x {WINDOW} pixels in all"
)
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
    number = _tile_numbers(frame.labels.shape)
    return np.isin(number, _tiles(frame, number))


def without(frame: LabelledFrame, held_back: np.ndarray) -> LabelledFrame:
    """Return a frame whose pixels that are held back do not count."""
    weight = np.ones(frame.labels.shape, np.float32) if frame.weight is None else frame.weight
    return replace(frame, weight=np.where(held_back, 0, weight).astype(np.float32))


@dataclass(frozen=True)
class Question:
    """A part of a labelled frame that a model is judged by.

    Attributes
    ----------
    rgb : ndarray of float32, (h, w, 3)
    labels : ndarray of uint8, (h, w)
    counts : ndarray of bool, (h, w)
        Where the answer counts.
    magnify : float
        Magnification of the frame it is a part of.
    """

    rgb: np.ndarray
    labels: np.ndarray
    counts: np.ndarray
    magnify: float


def windows_of(frames: Sequence[LabelledFrame]) -> list[Question]:
    """Return a window of each frame that is held back: around one of its vessels, always the same."""
    side = round(WINDOW / max(1, len(frames)) ** 0.5)
    return [_window(frame, side) for frame in frames]


def _window(frame: LabelledFrame, side: int) -> Question:
    rows, columns = frame.labels.shape
    vessels = np.argwhere(frame.labels > 0)
    y, x = vessels[_hash(frame.name) % len(vessels)]
    top, left = (max(0, min(int(at) - side // 2, length - side)) for at, length in ((y, rows), (x, columns)))
    return _part(frame, _counted(frame), top, left, top + side, left + side)


def questions_of_tiles(frame: LabelledFrame) -> list[Question]:
    """Return the tiles of a frame that are held back, with what lies around them."""
    number = _tile_numbers(frame.labels.shape)
    questions = []
    for tile in _tiles(frame, number):
        inside = (number == tile) & _counted(frame)
        ys, xs = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
        corners = int(ys[0]) - MARGIN, int(xs[0]) - MARGIN, int(ys[-1]) + 1 + MARGIN, int(xs[-1]) + 1 + MARGIN
        questions.append(_part(frame, inside, *corners))
    return questions


@dataclass(frozen=True)
class HeldBackScore:
    """Means over questions and labels on what was held back, and how many answers they are means of."""

    dice: float
    cl_dice: float
    answers: int


def score_held_back(predictor: Predictor, exam: Iterable[Question]) -> HeldBackScore:
    """Score a model on what was held back."""
    scores = []
    for question in exam:
        embedded = predictor.embed_part(question.rgb, question.magnify)
        for value, label in enumerate(predictor.model.labels, start=1):
            truth = (question.labels == value) & question.counts
            found = (predictor.segment(embedded, label) > predictor.threshold) & question.counts
            # A label that was not drawn in an image says nothing of how well it is found.
            if truth.any():
                scores.append((dice(found, truth), cl_dice(found, truth)))
    mean = np.mean(scores, axis=0) if scores else (0.0, 0.0)
    return HeldBackScore(float(mean[0]), float(mean[1]), len(scores))


def _tile_numbers(shape: tuple[int, ...]) -> np.ndarray:
    down, across = (np.minimum(np.arange(n) * TILES // n, TILES - 1) for n in shape)
    return down[:, None] * TILES + across


def _tiles(frame: LabelledFrame, number: np.ndarray) -> list[int]:
    with_vessels = sorted(np.unique(number[frame.labels > 0]).tolist(), key=lambda tile: _hash(f"{frame.name} {tile}"))
    return with_vessels[: min(TILES_HELD_BACK, len(with_vessels) - 1)]


def _counted(frame: LabelledFrame) -> np.ndarray:
    return np.ones(frame.labels.shape, bool) if frame.weight is None else frame.weight > 0


def _part(frame: LabelledFrame, counts: np.ndarray, top: int, left: int, bottom: int, right: int) -> Question:
    rows, columns = frame.labels.shape
    place = np.s_[max(0, top) : min(rows, bottom), max(0, left) : min(columns, right)]
    return Question(frame.rgb[place], frame.labels[place], counts[place], magnification((rows, columns)))


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
