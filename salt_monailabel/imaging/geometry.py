"""Where an image lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk


@dataclass(frozen=True)
class Geometry:
    """Where an image lies in the patient: two- to four-dimensional, as in its file; in SimpleITK's order, x first.

    Of four dimensions, which are those of space and time, one is of length 1 and none of the frames'.
    """

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image | sitk.ImageFileReader) -> Geometry:
        """Return that of an image, or of a file whose header was read."""
        return cls(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @classmethod
    def unknown(cls, frames: int, rows: int, columns: int) -> Geometry:
        """Return that of frames of which it is not known where they lie."""
        return cls((columns, rows, frames), (1.0,) * 3, (0.0,) * 3, tuple(np.eye(3).ravel().tolist()))

    @property
    def dimension(self) -> int:
        """Two, three or four."""
        return len(self.size)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        columns, rows, frames = [*(self.size[axis] for axis in self._axes), 1][:3]
        return frames, rows, columns

    @property
    def pixel(self) -> tuple[float, float] | None:
        """Millimetres from row to row and from column to column, where they are known."""
        columns, rows = (self.spacing[axis] for axis in self._axes[:2])
        # What was made of a picture has a spacing of 1 that means nothing.
        return None if rows == columns == 1 else (rows, columns)

    def image(self, pixels: np.ndarray) -> sitk.Image:
        """Return an image of gray pixels (frames, rows, columns) that lies there."""
        image = sitk.GetImageFromArray(pixels.reshape(self.size[::-1]), isVector=False)
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image

    @property
    def _axes(self) -> list[int]:
        """Those of columns, of rows and, if there is one, of frames."""
        axes = list(range(self.dimension))
        if self.dimension == 4:
            axes.remove(next(axis for axis in (3, 2, 1, 0) if self.size[axis] == 1))
        return axes
