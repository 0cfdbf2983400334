"""What a file holds: frames, geometry, and what is known of how they were taken."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple, Protocol

import numpy as np
from cachetools import LRUCache, cachedmethod

from .acquisition import Acquisition, Modality
from .dicom import Presentation
from .geometry import Geometry
from .intensity import in_colours

# Frames that are kept as they are shown: click follows click on the same one.
KEPT = 4


class Frames(Protocol):
    """What frames can be taken from one by one: an array, a file, or what is made of other frames."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns and channels."""

    @property
    def dtype(self) -> np.dtype:
        """Of the pixels."""

    @property
    def nbytes(self) -> int:
        """Memory that is taken."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...

    def __array__(self) -> np.ndarray: ...


class Kind(NamedTuple):
    """What decides how the model looks at an image, beside its pixels.

    Attributes
    ----------
    single : bool
        Whether it is an image by itself: no frame of a run or stack.
    modality : str, optional
        What its colours say, where it is not known.
    """

    single: bool = True
    modality: Modality | None = None


BY_ITSELF = Kind()


@dataclass(frozen=True)
class Study:
    """An image, or a stack or run of frames, as a file holds it.

    Attributes
    ----------
    pixels : ndarray or other Frames, (frames, rows, columns, channels)
        One or three channels, in the units of the file.
    geometry : Geometry
    name : str
        Of the file, for messages.
    acquisition : Acquisition
        What the file says of how it was taken.
    presentation : Presentation, optional
        How a DICOM file says its values are to be shown.
    visible : ndarray of bool, (rows, columns), optional
        Where something is to be seen: what the shutter, or a dark border, leaves free; everywhere, where there is none.
    of_run : bool
        Whether it is one frame of a run or stack.
    """

    pixels: Frames
    geometry: Geometry
    name: str
    acquisition: Acquisition = field(default_factory=Acquisition)
    presentation: Presentation | None = None
    visible: np.ndarray | None = None
    of_run: bool = False
    _shown: LRUCache[int, np.ndarray] = field(default_factory=lambda: LRUCache(KEPT), init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        frames, rows, columns, _ = self.pixels.shape
        return frames, rows, columns

    @property
    def is_single(self) -> bool:
        """Whether it is an image by itself: no run, no stack, and no frame of one."""
        return len(self.pixels) == 1 and not self.of_run

    @cached_property
    def modality(self) -> Modality:
        """What a tag or the user says; else a photograph in colours is of a fundus, and a gray run an angiogram.

        Of a run it is told by the frame in the middle: the first may be black, or a title.
        """
        if self.acquisition.modality is not None:
            return self.acquisition.modality
        if self.pixels.shape[-1] > 1 and in_colours(self.frame(len(self.pixels) // 2)):
            return "fundus"
        return "xa" if self.acquisition.times else "other"

    @property
    def kind(self) -> Kind:
        """What decides how the model looks at its frames."""
        return Kind(self.is_single, self.modality)

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Millimetres from row to row and from column to column, where they are known."""
        return self.acquisition.spacing

    @property
    def nbytes(self) -> int:
        """Memory that it takes at most, with the frames that are kept as they are shown."""
        if isinstance(self.pixels, np.ndarray) and self.acquisition.exposed is None:
            # They are parts of the pixels.
            return self.pixels.nbytes
        stored = self.pixels.dtype
        widest = stored.itemsize if self.presentation is None else self.presentation.widest(stored)
        frames, *size = self.pixels.shape
        return self.pixels.nbytes + min(KEPT, frames) * math.prod(size) * widest

    @cachedmethod(attrgetter("_shown"), lock=attrgetter("_lock"))
    def frame(self, index: int) -> np.ndarray:
        """Return one frame as a radiologist sees it, (rows, columns, channels); not to be written to.

        What lies under the shutter is as bright as the rest is on average: no border is seen there.

        Raises
        ------
        ImageError
            If it is damaged.
        """
        return self.frame_as(index, index)

    def frame_as(self, index: int, other: int) -> np.ndarray:
        """Return one frame as `frame` does, with the window of another: to compare them, all need one."""
        frame = self.pixels[index]
        if self.presentation is not None:
            frame = self.presentation(frame, other, self._windowed)
        exposed = self.acquisition.exposed
        if exposed is None:
            return frame
        return np.where(exposed[..., None], frame, frame[exposed].mean(axis=0).astype(frame.dtype))

    @cached_property
    def _windowed(self) -> bool:
        """Whether frames are shown in their windows, all or none: a vessel is as bright in one as in the next.

        What is decoded to tell is spread over the run; its ends may be black, or before the exposure is regulated.
        """
        count = len(self.pixels)
        some = sorted({count // 6, count // 2, count - 1 - count // 6})
        return self.presentation is not None and self.presentation.fits(self.pixels.__getitem__, some, self.visible)

    def frames(self) -> Iterator[np.ndarray]:
        """Yield all frames as a radiologist sees them."""
        return (self.frame(index) for index in range(len(self.pixels)))

    def within(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask, (..., rows, columns), without what lies outside of the field of view."""
        return mask if self.visible is None else np.where(self.visible, mask, np.zeros((), mask.dtype))

    def only(self, index: int) -> Study:
        """Return one frame as a study of its own, with the values as they are shown."""
        acquisition = replace(self.acquisition, modality=self.modality, times=(), masks=())
        pixels, geometry = self.frame(index)[None], self.geometry.at(index)
        return Study(pixels, geometry, self.name, acquisition, visible=self.visible, of_run=not self.is_single)
