"""What an update learns from and what it is judged by, read from the files of a store."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from salt_monailabel.imaging import ImageError, Modality
from salt_monailabel.imaging.run import RunView
from salt_monailabel.training import LabelledFrame, read_labelled
from salt_monailabel.training.exam import Exam, Question, fingerprint, questions_of
from salt_monailabel.training.held_back import JUDGES, block, corner_of_block, without
from salt_monailabel.training.update import Lesson, Past, votes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """The frames and questions of a lesson.

    Attributes
    ----------
    newest, replayed : sequence of LabelledFrame
    in_part : mapping of name to int
        Images of which a block is held back, and which.
    exam : Exam
    tried : int
        How many of the images that judge, the first ones, were not labelled anew since the version in use was learned.
    skipped : sequence of str
        What could not be used, and why.
    labels_sha256 : mapping of name to str
        The labels that are learned from, by the hash of what was read.
    asked_sha256 : mapping of name to str
        The images that judge, by the hash of what is asked about them.
    """

    newest: Sequence[LabelledFrame]
    replayed: Sequence[LabelledFrame]
    in_part: Mapping[str, int]
    exam: Exam
    tried: int
    skipped: Sequence[str]
    labels_sha256: Mapping[str, str]
    asked_sha256: Mapping[str, str]

    @property
    def images(self) -> int:
        """How many images there are to learn from."""
        return len(self.labels_sha256)


def read_material(
    lesson: Lesson,
    past: Past,
    files: Mapping[str, Mapping[str, Any]],
    labels: int,
    seen: int,
    wrong: Callable[[str, str, LabelledFrame], str],
    rng: np.random.Generator,
    modality: Modality | None = None,
) -> Material:
    """Read what a lesson names.

    Parameters
    ----------
    lesson : Lesson
    past : Past
    files : mapping of name to mapping
        Each image's `image`, `label` and `proposal`, which may be None, and `view`, where a run was not looked at as it
        is.
    labels : int
        Number of labels there are.
    seen : int
        Side of what the model sees at once, in its own pixels.
    wrong : callable
        Given the name of an image, the hash of its label and its first frame, says why that cannot be right.
    rng : Generator
        Draws frames of long runs to learn from; those that judge are always the same.
    modality : str, optional
        What all images are of; what each says, or looks like, by default.

    Raises
    ------
    ImageError
        If no label can be used, or none of several new ones is right.
    """
    reader = _Reader(files, labels, wrong, modality)
    newest, replayed = (reader.read(names, rng) for names in (lesson.newest, lesson.replayed))
    learned = dict(sorted(reader.labels_sha256.items()))
    if not newest + replayed or (reader.refused and not newest):
        raise ImageError(f"there is no labelled image to learn from: {'; '.join(reader.skipped)}")
    seats = JUDGES - len(lesson.tried) - len(lesson.new)
    in_part = {**past.in_part, **_blocks([frame for frame in newest if frame.name in lesson.first], seats)}

    def learned_of(frame: LabelledFrame) -> LabelledFrame:
        corner = in_part.get(frame.name)
        return frame if corner is None else without(frame, block(frame.labels.shape, corner))

    newest, replayed = ([learned_of(frame) for frame in frames] for frames in (newest, replayed))
    exam: dict[str, Sequence[Question]] = {}

    def ask(names: Iterable[str], most: int) -> None:
        for name in names:
            if len(exam) < most and (questions := questions_of(reader.read([name]), in_part.get(name), seen)):
                exam[name] = questions

    ask(lesson.tried, JUDGES)
    tried = len(exam)
    ask([*lesson.new, *(name for name in lesson.first if name in in_part)], votes(tried))
    asked = {name: fingerprint(questions) for name, questions in exam.items()}
    return Material(newest, replayed, in_part, exam, tried, reader.skipped, learned, asked)


def _blocks(frames: Sequence[LabelledFrame], most: int) -> dict[str, int]:
    """Return which block to hold back of the first images it can be done of."""
    labels: dict[str, list[np.ndarray]] = {}
    for frame in frames:
        labels.setdefault(frame.name, []).append(frame.labels)
    found = ((name, corner_of_block(name, np.stack(masks))) for name, masks in labels.items())
    usable = ((name, corner) for name, corner in found if corner is not None)
    return dict(islice(usable, max(0, most)))


class _Reader:
    """Read labelled frames; one damaged file must not keep the others from being learned."""

    def __init__(
        self,
        files: Mapping[str, Mapping[str, Any]],
        labels: int,
        wrong: Callable[[str, str, LabelledFrame], str],
        modality: Modality | None,
    ) -> None:
        self.files = files
        self.labels = labels
        self.wrong = wrong
        self.modality = modality
        self.refused = False
        self.skipped: list[str] = []
        self.labels_sha256: dict[str, str] = {}

    def read(self, names: Sequence[str], rng: np.random.Generator | None = None) -> list[LabelledFrame]:
        """Return the labelled frames of some images; what cannot be used is kept in `skipped`."""
        frames: list[LabelledFrame] = []
        for name in names:
            try:
                label = hashlib.sha256(Path(self.files[name]["label"]).read_bytes()).hexdigest()
                # Files in several folders may have one name.
                found = [replace(frame, name=name) for frame in self._frames(self.files[name], rng)]
                if why := self.wrong(name, label, found[0]):
                    self.refused = True
                    self._skip(why)
                else:
                    frames += found
                    self.labels_sha256[name] = label
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
        read = partial(
            read_labelled, pair["image"], pair["label"], self.labels,
            rng=rng, view=RunView.of(pair.get("view", {})), modality=self.modality,
        )  # fmt: skip
        try:
            return read(proposal=pair.get("proposal"))
        except ImageError:
            # A proposal that cannot be read any more is no reason to leave out the label.
            return read()
