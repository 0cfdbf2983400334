"""What the adapters are compared on: two real data sets, and three drawn tasks that need context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from salt_monailabel.imaging import model_input, read_mask, read_study, reduced_labels, synthesize
from salt_monailabel.training import LabelledFrame, read_cases, read_labelled

# Drawings to learn from and to score start at these seeds; pretraining draws its own from 62-bit numbers.
LEARN, SCORE = 1_000_000, 2_000_000
DRAWN = {"train": 20, "val": 10, "test": 20}


Scored = tuple[LabelledFrame, "np.ndarray | bool"]


@dataclass(frozen=True)
class Task:
    """A data set to adapt to.

    Attributes
    ----------
    labels : tuple of str
    frames : callable
        From a split and the most images wanted to labelled frames, each with the mask (H, W) of what counts.
    clicked : bool
        Whether a click says which of two structures is meant; each frame then has the truth of one.
    magnify : float, optional
        Magnification of the frames; by default as their size asks for.
    """

    labels: tuple[str, ...]
    frames: Callable[[str, int | None], list[Scored]]
    clicked: bool = False
    magnify: float | None = None


def real(dataset: Path) -> Task:
    """Return the task of a data set in the paper's layout."""

    def frames(split: str, most: int | None) -> list[Scored]:
        found: list[Scored] = []
        for case in read_cases(dataset, split)[:most]:
            study = read_study(case.image)
            inside = case.fov is None or read_mask(case.fov, study)[0] > 0
            # The truth is all of the mask, also where no field of view was found.
            truth = (read_mask(case.mask, study)[0] > 0).astype(np.uint8)
            if reduced_labels(truth).shape != truth.shape:
                raise SystemExit(f"{case.image} is larger than the model looks at it; no figure here is of such images")
            (frame,) = read_labelled(str(case.image), str(case.mask), 1)
            found.append((replace(frame, labels=truth), inside))
        return found

    return Task(("vessel",), frames)


def drawn(style: str, device: int, structures: Sequence[str], size: int, clicked: bool = False) -> Task:
    """Return a task of images drawn as one device would take them, each of which shows all of `structures`.

    They are not magnified: what tells structures apart lies around them, and a tile must hold it. With `clicked`, the
    truth of each frame is one of them by turns, and the label is the same for all.
    """

    def frames(split: str, most: int | None) -> list[Scored]:
        found: list[Scored] = []
        seed = {"train": LEARN, "val": SCORE, "test": SCORE + 100_000}[split]
        wanted = DRAWN[split] if most is None else most
        while len(found) < wanted:
            drawing = synthesize(seed, size, style, device)
            name, seed = f"{style} {seed}", seed + 1
            masks = [drawing.structures[name] for name in structures]
            if min(mask.sum() for mask in masks) < 0.004 * size * size:
                continue
            if clicked:
                labels = masks[len(found) % len(masks)].astype(np.uint8)
            else:
                labels = np.max([i * mask.astype(np.uint8) for i, mask in enumerate(masks, 1)], axis=0)
            found.append((LabelledFrame(model_input(drawing.image), labels, name), True))
        return found

    return Task(("tree",) if clicked else tuple(structures), frames, clicked, magnify=1.0)


def tasks(data: Path) -> dict[str, Task]:
    """Return all tasks; `data` holds the real data sets."""
    return {
        "DRIVE": real(data / "DRIVE"),
        "OCTA500_3M": real(data / "OCTA500_3M"),
        "artery against vein": drawn("fundus", 2, ("artery", "vein"), 512),
        "vessel against catheter": drawn("angiogram", 8, ("vessel", "catheter"), 512),
        "one tree of two": drawn("overlap", 0, ("tree 1", "tree 2"), 256, clicked=True),
    }
