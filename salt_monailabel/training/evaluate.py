"""Measuring a model on labelled images: a data set in the paper's layout, or any pairs of files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from salt_monailabel.imaging import ImageError, Modality, read_mask, read_study, split_name
from salt_monailabel.inference import Predictor

from .metrics import cl_dice, dice, hd95


@dataclass(frozen=True)
class Score:
    """How well one frame was segmented, inside the field of view; HD95 in pixels.

    `dice_full_frame` counts the pixels outside the field of view too; the same where none is given.
    """

    name: str
    dice: float
    cl_dice: float
    hd95: float
    dice_full_frame: float


@dataclass(frozen=True)
class Case:
    """The files of one labelled image; `fov` masks the part that counts, if there is one."""

    image: Path
    mask: Path
    fov: Path | None = None


def read_cases(dataset: Path, split: str) -> list[Case]:
    """List the cases of a data set in the paper's layout.

    It has ``images/NAME``, ``masks/NAME`` (or ``NAME_mask.png``), optionally ``fov/NAME``, and ``data_split.csv`` with
    the columns ``imgs`` and ``split``.

    Raises
    ------
    ImageError
        If a file of it is missing or the split is empty.
    """
    table = dataset / "data_split.csv"
    if not table.is_file():
        raise ImageError(f"{dataset} has no data_split.csv; it needs images/, masks/ and that table (imgs,split)")
    with open(table, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"imgs", "split"} <= rows[0].keys():
        raise ImageError(f"{table} needs the columns imgs and split")
    names = [row["imgs"] for row in rows if row["split"] == split]
    if not names:
        raise ImageError(f"{table} has no image in the split '{split}'; it has {sorted({r['split'] for r in rows})}")
    return list(_cases(dataset, names))


def _cases(dataset: Path, names: Sequence[str]) -> Iterator[Case]:
    for name in names:
        stem, _ = split_name(Path(name).name)
        candidates = (dataset / "masks" / name, dataset / "masks" / f"{stem}_mask.png")
        mask = next((path for path in candidates if path.exists()), None)
        if mask is None:
            raise ImageError(f"{name} has no mask: neither {candidates[0].name} nor {candidates[1].name} in masks/")
        image, fov = dataset / "images" / name, dataset / "fov" / name
        if not image.is_file():
            raise ImageError(f"{name} is in data_split.csv but not in {image.parent}")
        yield Case(image, mask, fov if fov.exists() else None)


def evaluate(
    predictor: Predictor, cases: Sequence[Case], label: str, modality: Modality | None = None
) -> Iterator[Score]:
    """Segment each case by the label alone and score it, inside the field of view where one is given.

    `modality` is what the images are of; what each says, or looks like, by default.
    """
    value = predictor.model.label_prompts.index(label) + 1
    for case in cases:
        study = read_study(case.image, modality)
        masks = read_mask(case.mask, study)
        # A model of one label takes whatever is marked for it.
        truth = masks > 0 if len(predictor.model.labels) == 1 else masks == value
        inside = np.ones_like(truth) if case.fov is None else read_mask(case.fov, study) > 0
        for frame, expected, counts in zip(study.frames(), truth, inside, strict=True):
            embedded = predictor.embed(frame, study.kind)
            prediction = predictor.segment(embedded, label) > predictor.threshold
            yield score(case.image.name, study.within(prediction), expected, counts)


def score(name: str, prediction: np.ndarray, truth: np.ndarray, inside: np.ndarray | bool = True) -> Score:
    """Score a mask; prediction, truth and field of view are (H, W) bool."""
    p, t = prediction & inside, truth & inside
    return Score(name, dice(p, t), cl_dice(p, t), hd95(p, t), dice(prediction, truth))


def mean_score(scores: Sequence[Score], name: str = "mean") -> Score:
    """Average the scores."""
    columns = [field.name for field in fields(Score) if field.name != "name"]
    return Score(name, *(float(np.mean([getattr(s, column) for s in scores])) for column in columns))
