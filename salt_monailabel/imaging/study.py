"""A file becomes a study: frames, geometry, and what is known of how they were taken."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import numpy as np
from cachetools import LRUCache, cachedmethod

from .acquisition import Acquisition
from .dicom import DicomFrames, Presentation
from .files import PICTURES, extension_of, read_file
from .geometry import Geometry
from .header import ImageError

# Frames that are kept as they are shown: click follows click on the same one.
KEPT = 4


@dataclass(frozen=True)
class Study:
    """An image, or a stack or run of frames, as a file holds it.

    Attributes
    ----------
    pixels : ndarray or DicomFrames, (frames, rows, columns, channels)
        One or three channels, in the units of the file.
    geometry : Geometry
    name : str
        Of the file, for messages.
    acquisition : Acquisition
        What the file says of how it was taken.
    presentation : Presentation, optional
        How a DICOM file says its values are to be shown.
    """

    pixels: np.ndarray | DicomFrames
    geometry: Geometry
    name: str
    acquisition: Acquisition = field(default_factory=Acquisition)
    presentation: Presentation | None = None
    _shown: LRUCache[int, np.ndarray] = field(default_factory=lambda: LRUCache(KEPT), init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        frames, rows, columns, _ = self.pixels.shape
        return frames, rows, columns

    @property
    def spacing(self) -> tuple[float, float] | None:
        """Millimetres from row to row and from column to column, where they are known."""
        if self.acquisition.spacing is not None:
            return self.acquisition.spacing
        columns, rows = self.geometry.spacing[:2]
        # Pictures have that of a printed page, and what was made of one has a spacing of 1 that means nothing.
        return None if extension_of(self.name) in PICTURES or rows == columns == 1 else (rows, columns)

    @cachedmethod(attrgetter("_shown"), lock=attrgetter("_lock"))
    def frame(self, index: int) -> np.ndarray:
        """Return one frame as a radiologist sees it, (rows, columns, channels); not to be written to.

        What lies under the shutter is as bright as the rest is on average: no border is seen there.

        Raises
        ------
        ImageError
            If it is damaged.
        """
        frame = self.pixels[index]
        if self.presentation is not None:
            frame = self.presentation(frame)
        exposed = self.acquisition.exposed
        if exposed is None:
            return frame
        return np.where(exposed[..., None], frame, frame[exposed].mean(axis=0).astype(frame.dtype))

    def frames(self) -> Iterator[np.ndarray]:
        """Yield all frames as a radiologist sees them."""
        return (self.frame(index) for index in range(len(self.pixels)))


def read_study(path: str | Path) -> Study:
    """Read PNG, JPEG, TIFF, BMP, NIfTI, NRRD or DICOM; gray or RGB; one frame or several.

    The frames of DICOM are decoded as they are asked for.

    Raises
    ------
    ImageError
        If the file is missing, no image, empty, constant, or has pixels that are not numbers.
    """
    path = Path(path)
    content = read_file(path)
    pixels = content.pixels
    # A look at a few of many frames; to decode all would take as long as to segment some.
    looked = pixels if isinstance(pixels, np.ndarray) else np.stack([pixels[i] for i in {0, len(pixels) // 2, -1}])
    if not np.issubdtype(looked.dtype, np.integer) and not np.isfinite(looked).all():
        raise ImageError(f"{path.name} has pixels that are not numbers (NaN or infinite); export it again without them")
    if (looked == looked[0, 0, 0]).all():
        raise ImageError(f"{path.name} is constant: every pixel is {looked[0, 0, 0]}; check that the export worked")
    return Study(pixels, content.geometry, path.name, content.acquisition, content.presentation)
