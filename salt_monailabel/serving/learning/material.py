"""What an update learns from and what it is judged by, read from the files of a store."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from salt_monailabel.imaging import ImageError
from salt_monailabel.training import LabelledFrame, read_labelled
from salt_monailabel.training.exam import Exam, questions_of
from salt_monailabel.training.held_back import block_held_back, without
from salt_monailabel.training.update import Lesson

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """The frames and questions of a lesson.

    Attributes
    ----------
    newest, replayed : sequence of LabelledFrame
    exam : Exam
        What is asked about each image that judges; none is without a question.
    tried : int
        How many of these images, the first ones, were labelled before the version in use was learned.
    skipped : sequence of str
        What could not be used, and why.
    labels_sha256 : mapping of name to str
        The labels that are learned from, by the hash of what was read.
    judging_sha256 : mapping of name to str
        Those that judge.
    """

    newest: Sequence[LabelledFrame]
    replayed: Sequence[LabelledFrame]
    exam: Exam
    tried: int
    skipped: Sequence[str]
    labels_sha256: Mapping[str, str]
    judging_sha256: Mapping[str, str]

    @property
    def images(self) -> int:
        """How many images there are to learn from."""
        return len({frame.name for frame in (*self.newest, *self.replayed)})

    def without(self, wrong: Mapping[str, str]) -> Material:
        """Leave out images, for the reason that is given for each.

        Raises
        ------
        ImageError
            If nothing new is left to learn.
        """
        newest, replayed = (
            [frame for frame in frames if frame.name not in wrong] for frames in (self.newest, self.replayed)
        )
        if (self.newest and not newest) or not newest + replayed:
            raise ImageError(f"there is no labelled image to learn from: {'; '.join([*self.skipped, *wrong.values()])}")
        labels = {name: label for name, label in self.labels_sha256.items() if name not in wrong}
        skipped = [*self.skipped, *wrong.values()]
        return replace(self, newest=newest, replayed=replayed, labels_sha256=labels, skipped=skipped)


def read_material(
    lesson: Lesson, files: Mapping[str, Mapping[str, Any]], labels: int, seen: int, rng: np.random.Generator
) -> Material:
    """Read what a lesson names.

    Parameters
    ----------
    lesson : Lesson
    files : mapping of name to mapping
        Each image's `image`, `label` and `proposal`, which may be None.
    labels : int
        Number of labels there are.
    seen : int
        Side of what the model sees at once, in its own pixels.
    rng : Generator
        Draws frames of long runs to learn from; those that judge are always the same.

    Raises
    ------
    ImageError
        If no label can be used.
    """
    reader = _Reader(files, labels)
    newest, replayed = (reader.read(names, rng) for names in (lesson.newest, lesson.replayed))
    learned = dict(sorted(reader.labels_sha256.items()))
    if not newest + replayed:
        raise ImageError(f"there is no labelled image to learn from: {'; '.join(reader.skipped)}")

    def learned_of(frame: LabelledFrame) -> LabelledFrame:
        return without(frame, block_held_back(frame)) if frame.name in lesson.in_part else frame

    newest, replayed = ([learned_of(frame) for frame in frames] for frames in (newest, replayed))
    exam = {name: questions_of(reader.read([name]), name in lesson.in_part, seen) for name in lesson.judging}
    exam = {name: questions for name, questions in exam.items() if questions}
    tried = sum(name in exam for name in lesson.judging[: lesson.tried])
    judging = {name: reader.labels_sha256[name] for name in exam}
    return Material(newest, replayed, exam, tried, reader.skipped, learned, judging)


class _Reader:
    """Read labelled frames; one damaged file must not keep the others from being learned."""

    def __init__(self, files: Mapping[str, Mapping[str, Any]], labels: int) -> None:
        self.files = files
        self.labels = labels
        self.skipped: list[str] = []
        self.labels_sha256: dict[str, str] = {}

    def read(self, names: Sequence[str], rng: np.random.Generator | None = None) -> list[LabelledFrame]:
        """Return the labelled frames of some images; what cannot be used is kept in `skipped`."""
        frames: list[LabelledFrame] = []
        for name in names:
            try:
                label = Path(self.files[name]["label"]).read_bytes()
                # Files in several folders may have one name.
                frames += [replace(frame, name=name) for frame in self._frames(self.files[name], rng)]
                self.labels_sha256[name] = hashlib.sha256(label).hexdigest()
            except FileNotFoundError:
                self._skip(f"the label of {name} was removed")
            except ImageError as error:
                self._skip(str(error))
        return frames

    def _skip(self, why: str) -> None:
        if why not in self.skipped:
            logger.warning("left out: %s", why)
            self.skipped.append(why)

    def _frames(self, pair: Mapping[str, Any], rng: np.random.Generator | None) -> list[LabelledFrame]:
        try:
            return read_labelled(pair["image"], pair["label"], self.labels, pair.get("proposal"), rng)
        except ImageError:
            # A proposal that cannot be read any more is no reason to leave out the label.
            return read_labelled(pair["image"], pair["label"], self.labels, rng=rng)
