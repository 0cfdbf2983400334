"""Where an image lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import SimpleITK as sitk

# Millimetres: a pixel smaller than a nanometre, or larger than a metre, is a wrong tag.
FINEST, COARSEST = 1e-6, 1e3
# Axes of a smaller volume than this are taken to lie in a plane.
FLAT = 1e-6


def known_pixel(rows: float, columns: float) -> tuple[float, float] | None:
    """Return the millimetres from row to row and from column to column if a file that says so knows them.

    A spacing of 1 means nothing: what must say one says that, where it is of a picture or of an angiogram that does
    not.
    """
    known = all(FINEST < side < COARSEST for side in (rows, columns)) and not rows == columns == 1
    return (rows, columns) if known else None


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
        """Return that of an image, or of a file whose header was read; what it says that cannot be is not known.

        Where a spacing is negative the axis points the other way, as in images that SimpleITK reads.
        """
        spacing, origin = np.array(image.GetSpacing()), np.array(image.GetOrigin())
        direction = np.reshape(image.GetDirection(), (len(spacing),) * 2) * np.where(spacing < 0, -1, 1)
        if not np.isfinite(direction).all() or abs(np.linalg.det(direction)) < FLAT:
            direction = np.eye(len(spacing))
        spacing = np.where(np.isfinite(spacing) & (spacing != 0), abs(spacing), 1)
        origin = np.where(np.isfinite(origin), origin, 0)
        return cls(image.GetSize(), *(tuple(numbers.ravel().tolist()) for numbers in (spacing, origin, direction)))

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
        return known_pixel(rows, columns)

    def in_space(self) -> Geometry:
        """Return that of columns, rows and frames in three dimensions: to the patient's left, back and head.

        Frames over time lie one behind the other, along the axis of space that has the length 1.
        """
        frames, rows, columns = self.shape
        size = (columns, rows, frames)
        if self.dimension == 2:
            direction = np.eye(3)
            direction[:2, :2] = np.reshape(self.direction, (2, 2))
            return Geometry(size, (*self.spacing, 1.0), (*self.origin, 0.0), tuple(direction.ravel().tolist()))
        left_out = ({0, 1, 2, 3} - {*self._axes}).pop()
        axes = [left_out if axis == 3 else axis for axis in self._axes]
        direction = np.reshape(self.direction, (self.dimension,) * 2)[:3, axes]
        spacing = tuple(self.spacing[axis] for axis in axes)
        return Geometry(size, spacing, self.origin[:3], tuple(direction.ravel().tolist()))

    def at(self, frame: int) -> Geometry:
        """Return that of one of the frames; in three dimensions, where there are more than two."""
        if self.dimension == 2:
            return self
        space = self.in_space()
        step = np.reshape(space.direction, (3, 3))[:, 2] * space.spacing[2]
        return replace(space, size=(*space.size[:2], 1), origin=tuple((space.origin + frame * step).tolist()))

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
