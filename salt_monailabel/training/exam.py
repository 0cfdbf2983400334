"""What a model is asked about the images that are held back, how it is scored, and what follows from the scores.

Judging takes time from learning, so it must not cost more where images are large or many: of each image a few windows
are looked at, each as large as the model sees at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from salt_monailabel.imaging import magnification
from salt_monailabel.inference import Predictor

from .held_back import block, number_of
from .metrics import cl_dice, dice
from .samples import LabelledFrame

# Windows of an image.
WINDOWS = 3
# Dice by which most images may be worse than before, and than ever if they are worse again; and by which those that
# have judged before may in the mean be worse than ever, whatever the others say: so much more if they are still better
# than when they were first asked about. A version that has learned from one image alone is too good at it to stay so.
TOLERANCE, SLIDE, HARM, GROSS_HARM = 0.005, 0.01, 0.1, 0.3
# Dice by which most images must be better with the whole of an update than with half of it, for the whole to be taken.
CLEARLY = 0.005


@dataclass(frozen=True)
class Question:
    """A window of a labelled frame that a model is judged by.

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


# What is asked about each image that judges.
Exam = Mapping[str, Sequence[Question]]


def questions_of(frames: Sequence[LabelledFrame], corner: int | None, seen: int) -> list[Question]:
    """Return windows around vessels of the frames of an image, always the same; none if no vessel is held back.

    Parameters
    ----------
    frames : sequence of LabelledFrame
    corner : int, optional
        Which block of each frame is held back, if not all of it.
    seen : int
        Side of what the model sees at once, in its own pixels.
    """
    questions = []
    count = min(WINDOWS, len(frames))
    # Of a long run, frames that lie far apart.
    chosen = [frames[len(frames) * number // count] for number in range(count)]
    for number, frame in enumerate(chosen):
        share = WINDOWS // count + (number < WINDOWS % count)
        questions += [window for window, _ in zip(_windows(frame, corner, seen), range(share), strict=False)]
    return questions


def fingerprint(questions: Sequence[Question]) -> str:
    """Return a hash of what is asked: equal questions have one right answer, and a model answers them alike."""
    digest = hashlib.sha256()
    for asked in questions:
        digest.update(repr((asked.rgb.shape, asked.magnify)).encode())
        for plane in (asked.rgb, asked.labels, asked.counts):
            digest.update(plane.tobytes())
    return digest.hexdigest()


def _windows(frame: LabelledFrame, corner: int | None, seen: int) -> Iterator[Question]:
    """Yield windows around vessels none of the windows before has asked about."""
    left = np.ones(frame.labels.shape, bool) if corner is None else block(frame.labels.shape, corner)
    if frame.weight is not None:
        left &= frame.weight > 0
    rows, columns = left.shape
    magnify = magnification((rows, columns))
    side = int(seen / magnify)
    while len(places := np.argwhere(left & (frame.labels > 0))):
        y, x = places[number_of(frame.name) % len(places)].tolist()
        top, start = (max(0, min(at - side // 2, length - side)) for at, length in ((y, rows), (x, columns)))
        window = np.s_[top : top + side, start : start + side]
        yield Question(frame.rgb[window], frame.labels[window], left[window].copy(), magnify)
        left[window] = False


@dataclass(frozen=True)
class HeldBackScore:
    """Means over images, Dice of each of them, and how many answers these are means of, one for a label in a window."""

    dice: float
    cl_dice: float
    images: tuple[float, ...]
    answers: int


def score_held_back(predictor: Predictor, exam: Exam) -> HeldBackScore:
    """Score a model on what was held back of some images, each of which has a question at least."""
    given = iter(answers(predictor, [question for asked in exam.values() for question in asked]))
    scores = [
        [(dice(found, truth), cl_dice(found, truth)) for _ in asked for found, truth in next(given)]
        for asked in exam.values()
    ]
    means = np.array([np.mean(image, 0) for image in scores]).reshape(-1, 2)
    overall = means.mean(0) if len(means) else np.zeros(2)
    return HeldBackScore(float(overall[0]), float(overall[1]), tuple(means[:, 0].tolist()), sum(map(len, scores)))


def answers(predictor: Predictor, asked: Sequence[Question]) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Return for each window what a model finds and the truth, both (h, w) bool, of each label that was drawn there."""
    given: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in asked]
    embedded = predictor.embed_parts([(question.rgb, question.magnify) for question in asked]) if asked else []
    for value, label in enumerate(predictor.model.labels, start=1):
        truths = [(question.labels == value) & question.counts for question in asked]
        # A label that was not drawn in an image says nothing of how well it is found.
        drawn = [number for number, truth in enumerate(truths) if truth.any()]
        predictor.decode_together([embedded[number] for number in drawn], label)
        for number in drawn:
            found = predictor.segment(embedded[number], label) > predictor.threshold
            given[number].append((found & asked[number].counts, truths[number]))
    return given


def why_not(
    before: HeldBackScore, after: HeldBackScore, best: Sequence[float], first: Sequence[float], tried: int
) -> str:
    """Return why a version should not be put in use; nothing if it should.

    Most images decide, and not their mean: one that is unlike the others would refuse whatever is learned from them.

    Parameters
    ----------
    before, after : HeldBackScore
        Of the version in use and of the new one.
    best : sequence of float
        The best Dice a version has had, for each image.
    first : sequence of float
        The Dice of the version in use when each was first asked about.
    tried : int
        How many images, the first ones, have not been labelled anew since the version in use was learned. A wrong label
        speaks for what is learned from its like, but not for as much harm as that does to the others.
    """
    if not after.answers:
        return "there was no vessel held back to judge it by"
    changes, since_best = np.subtract(after.images, before.images), np.subtract(after.images, best)
    if np.median(changes) < -TOLERANCE:
        return "it is worse on most of what was held back"
    gained = tried and np.subtract(after.images, first)[:tried].mean() > 0
    if tried and since_best[:tried].mean() < -(GROSS_HARM if gained else HARM):
        return "it is far worse on what was held back before"
    if np.median(changes) < 0 and np.median(since_best) < -SLIDE:
        return "with the updates before it, it is worse on most of what was held back"
    return ""


def clearly_better(one: HeldBackScore, other: HeldBackScore) -> bool:
    """Whether most images say so."""
    return bool(one.images) and float(np.median(np.subtract(one.images, other.images))) > CLEARLY
