"""Where an image lies in the patient."""

from __future__ import annotations

from dataclasses import dataclass

import SimpleITK as sitk


@dataclass(frozen=True)
class Geometry:
    """Where an image lies in the patient: two- or three-dimensional, as in its file; in SimpleITK's order, x first."""

    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: tuple[float, ...]

    @classmethod
    def of(cls, image: sitk.Image | sitk.ImageFileReader) -> Geometry:
        """Return that of an image, or of a file whose header was read."""
        return cls(image.GetSpacing(), image.GetOrigin(), image.GetDirection())

    @property
    def dimension(self) -> int:
        """Two or three."""
        return len(self.spacing)

    def give(self, image: sitk.Image) -> None:
        """Lay an image of the same size there."""
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
