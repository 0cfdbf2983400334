"""An image that is worked on: its outlines in the scene, and what was done to them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import slicer

from ..corrections import Corrections
from ..parameters import Parameters
from ..pixels import mask_to_nrrd_by_steps
from ..scene import names, runs, volumes
from ..scene.browsing import place
from ..scene.segmentation import Outlines
from . import strokes

Shape = tuple[int, int, int]


class Case:
    """An image of the scene with its outlines.

    Parameters
    ----------
    volume : vtkMRMLVolumeNode
    labels : sequence of str
        The server's names, in the order of their values.
    parameters : Parameters
        Where strokes are written down.
    identity : callable
        Returns that of the server connected to; see `names`.
    changed : callable
        Called when the user has painted or erased, or gone to another frame.

    Attributes
    ----------
    shape : tuple of int
        Frames, rows and columns.
    now : int
        How often anything was changed, to ask later what was `changed_since`.
    """

    def __init__(
        self,
        volume: slicer.vtkMRMLVolumeNode,
        labels: Sequence[str],
        parameters: Parameters,
        identity: Callable[[], str],
        changed: Callable[[], None],
    ) -> None:
        self.volume = volume
        self._parameters = parameters
        self._identity = identity
        self._mark = names.mark(volume)
        self.labels = tuple(labels)
        self.outlines = Outlines(volume, labels)
        self._changed = changed
        self._corrections: dict[tuple[str, int], Corrections] = {}
        self._changes: dict[tuple[str, int], int] = {}
        self._unanswered: set[tuple[str, int]] = set()
        self._held: list[Callable[[], None]] = []
        self._closed = False
        # An image keeps its size; to look it up takes milliseconds, and is done for each thing that is shown.
        self.shape: Shape = volumes.shape(volume)
        self.now = 0
        self._browsed = place(volume) is not None
        self._frame = runs.frame(volume)
        self.outlines.on_change(self._drawn)
        self._stop_frames = runs.on_frame(volume, self._go_to)
        self._look_at(self.frame)

    @property
    def image(self) -> str:
        """The name it has on the server connected to, empty if that does not have it."""
        return names.image_of(self.volume, self._identity())

    @property
    def gone(self) -> bool:
        """Whether the image or its outlines were deleted, or it was closed; an answer about it comes too late."""
        return self._closed or self.deleted

    @property
    def deleted(self) -> bool:
        """Whether the image or its outlines were deleted."""
        return self.volume.GetScene() is None or self.outlines.node.GetScene() is None

    @property
    def frame(self) -> int:
        """The frame that is shown."""
        if self.shape[0] == 1 or self._browsed:
            return self._frame
        return runs.frame(self.volume)

    @property
    def empty(self) -> bool:
        """Whether nothing is outlined."""
        return self.outlines.empty

    @property
    def view(self) -> Mapping[str, Any]:
        """How a run was looked at when it was outlined, in the server's words; nothing before."""
        return self._parameters.view(self._mark)

    @view.setter
    def view(self, view: Mapping[str, Any]) -> None:
        self._parameters.keep_view(self._mark, view)

    @property
    def settled(self) -> bool:
        """Whether the server has answered all corrections."""
        return not self._unanswered

    def pixel(self, ras: Sequence[float]) -> tuple[int, int, int] | None:
        """Return the pixel (i, j, frame) at a point of the world; None outside."""
        found = volumes.pixel(self.volume, ras)
        return None if found is None else (*found[:2], self.frame if volumes.is_flat(self.volume) else found[2])

    def corrections(self, label: str, frame: int) -> Corrections:
        """Return what was done to a label on a frame."""
        key = label, frame
        if key not in self._corrections:
            self._corrections[key] = Corrections(self.outlines.frame_mask(label, frame))
            strokes.restore(self._parameters, self._mark, label, frame, self._corrections[key])
        return self._corrections[key]

    def show(self, label: str, frame: int) -> None:
        """Put into the scene what was done."""
        self.outlines.put_frame(label, frame, self.corrections(label, frame).mask)
        self._keep(label, frame)

    def outlined(self, label: str, frame: int, mask: np.ndarray) -> None:
        """Take a new outline (rows, columns); what was drawn by hand stays."""
        self.corrections(label, frame).outlined(mask)
        self.show(label, frame)

    def changed_since(self, then: int, label: str, frame: int) -> bool:
        """Whether a label on a frame was changed after `now` was `then`."""
        return self._changes.get((label, frame), 0) > then

    def asked(self, label: str, frame: int) -> None:
        """Note that an answer is on its way."""
        self._unanswered.add((label, frame))

    def answered(self, label: str, frame: int) -> None:
        """Note that none is any more; what was held until then is done."""
        self._unanswered.discard((label, frame))
        self._go_on()

    def once_settled(self, then: Callable[[], None]) -> None:
        """Do something as soon as all corrections are answered: at once, or in its turn; not if one of them fails."""
        self._held.append(then)
        self._go_on()

    def let_go_of_held(self) -> bool:
        """Do nothing of what was held; return whether there was anything."""
        held, self._held = self._held, []
        return bool(held)

    def coded(self, label: str, frame: int) -> np.ndarray:
        """Return the mask and strokes of one frame as the server takes them, uint8, (rows, columns)."""
        return self.corrections(label, frame).coded()

    def coded_by_steps(self, label: str, frames: Iterable[int]) -> Generator[None, None, bytes]:
        """Make the file of some frames' masks and strokes, the others empty."""
        values = np.zeros(self.shape, np.uint8)
        for frame in frames:
            values[frame] = self.coded(label, frame)
        return (yield from mask_to_nrrd_by_steps(values))

    def corrected(self, label: str) -> list[int]:
        """Return the frames that were drawn on or clicked on."""
        return [frame for frame in range(self.shape[0]) if self._by_hand(label, frame)]

    def label_by_steps(self) -> Generator[None, None, bytes]:
        """Make the file of all labels in one mask; where they overlap, the last one shows."""
        values = np.zeros(self.shape, np.uint8)
        for value, label in enumerate(self.labels, start=1):
            frame = 0
            for part in self.outlines.parts(label):
                values[frame : frame + len(part)][part] = value
                frame += len(part)
                yield
        return (yield from mask_to_nrrd_by_steps(values))

    def close(self) -> None:
        """Stop watching; the nodes stay."""
        self._closed = True
        self._held.clear()
        self._stop_frames()
        self.outlines.close()

    def _go_to(self, frame: int) -> None:
        self._frame = frame
        self._look_at(frame)
        self._changed()

    def _look_at(self, frame: int) -> None:
        # What the user draws is found by comparing with what was there before.
        for label in self.labels:
            self.corrections(label, frame)

    def _drawn(self, label: str) -> None:
        frame = self.frame
        if self.corrections(label, frame).drawn(self.outlines.frame_mask(label, frame)):
            self._keep(label, frame)
            self._changed()

    def _go_on(self) -> None:
        # What is done may ask for a correction itself.
        while self._held and self.settled:
            self._held.pop(0)()

    def _by_hand(self, label: str, frame: int) -> bool:
        done = self._corrections.get((label, frame))
        return strokes.kept(self._parameters, self._mark, label, frame) if done is None else done.by_hand

    def _keep(self, label: str, frame: int) -> None:
        self.now += 1
        self._changes[label, frame] = self.now
        strokes.keep(self._parameters, self._mark, label, frame, self.corrections(label, frame))
