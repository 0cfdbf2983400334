"""What a request to `salt_edit` asks to be changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from salt_monailabel.imaging import ImageError, Study
from salt_monailabel.inference import Edit
from salt_monailabel.inference.edits import Box
from salt_monailabel.inference.strokes import ERASED, by_hand, drawn

from .asked import Request, TwoPlaces, boxes, clicks, label_of, marked, two_places, uploaded_mask


@dataclass(frozen=True)
class Correction:
    """What is to be changed of one label.

    Attributes
    ----------
    label : str
    mask : ndarray of bool, (frames, rows, columns), optional
        The one to correct; the model's own if there is none.
    strokes : ndarray of uint8, (frames, rows, columns)
        What was painted and erased by hand; 0 where nothing was.
    foreground, background : sequence of (i, j, k)
    boxes : dict of int to box
        By frame.
    gap : TwoPlaces, optional
        Between which a gap is to be closed.
    """

    label: str
    mask: np.ndarray | None
    strokes: np.ndarray
    foreground: Sequence[tuple[float, float, int]]
    background: Sequence[tuple[float, float, int]]
    boxes: dict[int, Box]
    gap: TwoPlaces | None

    @classmethod
    def of(cls, request: Request, study: Study, labels: Sequence[str]) -> Correction:
        """Read a request; raises `ImageError` for what cannot be meant, HTTPException for an unknown label."""
        label, mask = label_of(request, labels), uploaded_mask(request, study)
        strokes = np.zeros(study.shape, np.uint8)
        if mask is not None and request.get("strokes"):
            if mask.max() > ERASED:
                raise ImageError(f"a mask with strokes has the values 0 to {ERASED}; this one has {mask.max()}")
            mask, strokes = drawn(mask), mask
        elif mask is not None:
            # An answer of 0 and 1 that is sent back is of the label it was an answer for.
            mask = mask > 0 if mask.max() <= 1 else marked(mask, label, labels)
        return cls(
            label,
            mask,
            strokes,
            [*clicks(request, "foreground", study), *clicks(request, label, study)],
            clicks(request, "background", study),
            boxes(request, study),
            two_places(request, "bridge", study),
        )

    @property
    def corrected(self) -> list[int]:
        """The frames that are corrected, in order; the only one there is, where nothing says which."""
        found = {k for *_, k in (*self.foreground, *self.background)} | self.boxes.keys()
        found |= {self.gap.frame} if self.gap else set()
        return sorted(found) or ([0] if len(self.strokes) == 1 else [])

    def edit(self, k: int) -> Edit:
        """Return what the model is told of a frame."""
        return Edit(
            foreground=[(i, j) for i, j, frame in self.foreground if frame == k],
            background=[(i, j) for i, j, frame in self.background if frame == k],
            box=self.boxes.get(k),
            mask=None if self.mask is None else self.mask[k],
        )

    def by_hand(self, k: int, found: np.ndarray) -> np.ndarray:
        """Return the mask of a frame with what was painted on it, and without what was erased."""
        return by_hand(found, self.strokes[k])
