"""What there is to know of the vessels of a mask, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from salt_monailabel.imaging import ImageError

from .centre_lines import CentreLines, arc, centre_lines
from .diameters import diameters, mean_along
from .fractal import fractal_dimension


@dataclass(frozen=True)
class Segment:
    """A vessel from one end or branching point to the next.

    Attributes
    ----------
    points : ndarray of float, (N, 2)
        Its centre line: row and column in pixels.
    diameters : ndarray of float, (N,)
        At each of them; NaN where a cross section has no meaning, see `diameters.diameters`.
    begins, ends : int
        Numbers of the vertices, in `Measurements.vertices`.
    length : float
        Of the centre line.
    mean_diameter, min_diameter, max_diameter : float
        Along the centre line; NaN where there is no cross section at all.
    tortuosity : float
        Length over the distance from end to end; NaN for a closed loop.
    """

    points: np.ndarray
    diameters: np.ndarray
    begins: int
    ends: int
    length: float
    mean_diameter: float
    min_diameter: float
    max_diameter: float
    tortuosity: float


@dataclass(frozen=True)
class Measurements:
    """The vessels of one mask. Lengths and diameters are in `unit`; places are (row, column) in pixels.

    Attributes
    ----------
    unit : str
        mm or px.
    spacing : tuple of float
        From row to row and from column to column, in `unit`.
    segments : tuple of Segment
    vertices : ndarray of float, (V, 2)
        Where segments end or meet.
    degrees : ndarray of int, (V,)
        Ends of segments at each vertex.
    total_length : float
    mean_diameter : float
        Along all segments, weighted by length; NaN if nothing could be measured.
    density : float
        Share of the field of view that is vessel.
    skeleton_density : float
        Total length per area of the field of view, in 1/unit.
    fractal_dimension : float
        Of the centre lines, so that wide vessels count as thin ones do; NaN if they reach less than 64 pixels.
    """

    unit: str
    spacing: tuple[float, float]
    segments: tuple[Segment, ...]
    vertices: np.ndarray
    degrees: np.ndarray
    total_length: float
    mean_diameter: float
    density: float
    skeleton_density: float
    fractal_dimension: float

    @property
    def branching_points(self) -> np.ndarray:
        """Where three or more segments meet, a crossing of two vessels included: (B, 2)."""
        return self.vertices[self.degrees > 2]

    @property
    def end_points(self) -> np.ndarray:
        """Where a vessel ends, be it at the border: (E, 2)."""
        return self.vertices[self.degrees == 1]


def measure(
    mask: np.ndarray, spacing: tuple[float, float] | None = None, field_of_view: np.ndarray | None = None
) -> Measurements:
    """Measure the vessels of a mask.

    Parameters
    ----------
    mask : ndarray, (H, W)
        Boolean, or 0 and one other value.
    spacing : tuple of float, optional
        Millimetres from row to row and from column to column; without it, lengths are in pixels.
    field_of_view : ndarray, (H, W), optional
        What is not 0 belongs to it; all by default. Vessels beyond are left out, and where one is cut off at its edge
        there is no diameter.

    Returns
    -------
    Measurements
        With no segment where there is no vessel, or only a dot.

    Raises
    ------
    ImageError
        If the mask is not of one label, is not finite or covers the field of view; or if that is empty or of another
        size, or the spacing not positive.
    """
    vessel = _checked(mask)
    seen = np.ones_like(vessel) if field_of_view is None else _field(field_of_view, vessel.shape)
    vessel = vessel & seen
    if vessel[seen].all():
        raise ImageError(
            "the mask covers the whole field of view, so no vessel has a wall; look whether it is inverted, or whether "
            "the background has a label of its own"
        )
    unit = _spacing(spacing)
    lines = centre_lines(vessel)
    segments = _segments(vessel, seen, lines, unit)
    length = sum(segment.length for segment in segments)
    places = np.unique(np.round(np.concatenate([np.zeros((0, 2)), *lines.lines])), axis=0)
    return Measurements(
        unit="px" if spacing is None else "mm",
        spacing=unit,
        segments=segments,
        vertices=lines.vertices,
        degrees=lines.degrees,
        total_length=length,
        mean_diameter=mean_along(lines.lines, [segment.diameters for segment in segments], unit),
        density=float(vessel.sum() / seen.sum()),
        skeleton_density=length / float(seen.sum() * unit[0] * unit[1]),
        fractal_dimension=fractal_dimension(places * unit / min(unit)),
    )


def _segments(
    vessel: np.ndarray, seen: np.ndarray, lines: CentreLines, spacing: tuple[float, float]
) -> tuple[Segment, ...]:
    segments, measured = [], diameters(vessel, seen, lines, spacing)
    for points, across, (begins, ends) in zip(lines.lines, measured, lines.joined, strict=True):
        length = float(arc(points, spacing)[-1])
        chord = float(np.hypot(*((points[-1] - points[0]) * spacing)))
        known = across[~np.isnan(across)]
        segments.append(
            Segment(
                points=points,
                diameters=across,
                begins=int(begins),
                ends=int(ends),
                length=length,
                mean_diameter=mean_along([points], [across], spacing),
                min_diameter=float(known.min()) if known.size else float("nan"),
                max_diameter=float(known.max()) if known.size else float("nan"),
                tortuosity=length / chord if begins != ends and chord > 0 else float("nan"),
            )
        )
    return tuple(segments)


def _checked(mask: np.ndarray) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.size == 0:
        raise ImageError(
            f"a mask of one frame has rows and columns, not the shape {mask.shape}; measure frame by frame"
        )
    if not np.isfinite(mask).all():
        raise ImageError("the mask has pixels that are not numbers (NaN or infinite); save it as a label map")
    values = np.unique(mask[mask != 0])
    if len(values) > 1:
        raise ImageError(
            f"the mask has {len(values)} labels; measure them one at a time, such as mask == {values[0]:g}"
        )
    return mask != 0


def _field(field_of_view: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    seen = np.nan_to_num(field_of_view) != 0
    if seen.shape != shape:
        raise ImageError(f"the field of view has the shape {seen.shape} but the mask {shape}; export both alike")
    if not seen.any():
        raise ImageError("the field of view is empty; leave it out, or mark in it what the image shows")
    return seen


def _spacing(spacing: tuple[float, float] | None) -> tuple[float, float]:
    if spacing is None:
        return 1.0, 1.0
    if len(spacing) != 2 or not all(np.isfinite(side) and side > 0 for side in spacing):
        raise ImageError(f"the spacing {spacing} is not that of pixels; give millimetres per row and per column")
    return float(spacing[0]), float(spacing[1])
