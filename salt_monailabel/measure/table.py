"""Measurements as tables, one row for each segment, mask or point of a profile, for a spreadsheet or a statistician."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from salt_monailabel.whole_files import written_whole

from .measurements import Measurements
from .profile import Profile

Row = dict[str, str | int | float]

SEGMENT_COLUMNS = (
    "segment", "begin_x", "begin_y", "begin_degree", "end_x", "end_y", "end_degree", "length", "mean_diameter",
    "min_diameter", "max_diameter", "tortuosity", "unit",
)  # fmt: skip
SUMMARY_COLUMNS = (
    "total_length", "segments", "branching_points", "end_points", "mean_diameter", "density", "skeleton_density",
    "fractal_dimension", "unit",
)  # fmt: skip
STENOSIS_COLUMNS = ("narrowest_diameter", "narrowest_x", "narrowest_y", "reference_diameter", "percent_stenosis")
PROFILE_COLUMNS = ("x", "y", "position", "diameter", "unit")


def segment_rows(measured: Measurements) -> list[Row]:
    """Return a row of `SEGMENT_COLUMNS` for each segment, numbered from 1; places in pixels.

    The degree of an end is the number of segments' ends there: 1 at a free end, 3 or more at a branching point.
    """
    rows: list[Row] = []
    for number, segment in enumerate(measured.segments, start=1):
        row: Row = {"segment": number}
        for name, vertex in (("begin", segment.begins), ("end", segment.ends)):
            y, x = measured.vertices[vertex].tolist()
            row |= {f"{name}_x": x, f"{name}_y": y, f"{name}_degree": int(measured.degrees[vertex])}
        figures = ("length", "mean_diameter", "min_diameter", "max_diameter", "tortuosity")
        rows.append({**row, **{name: getattr(segment, name) for name in figures}, "unit": measured.unit})
    return rows


def summary_row(measured: Measurements) -> Row:
    """Return the row of `SUMMARY_COLUMNS` of a mask."""
    return {
        "total_length": measured.total_length,
        "segments": len(measured.segments),
        "branching_points": len(measured.branching_points),
        "end_points": len(measured.end_points),
        "mean_diameter": measured.mean_diameter,
        "density": measured.density,
        "skeleton_density": measured.skeleton_density,
        "fractal_dimension": measured.fractal_dimension,
        "unit": measured.unit,
    }


def stenosis_row(profile: Profile) -> Row:
    """Return the row of `STENOSIS_COLUMNS` of a profile."""
    y, x = profile.points[profile.narrowest].tolist()
    figures = (profile.min_diameter, x, y, profile.reference, profile.stenosis)
    return dict(zip(STENOSIS_COLUMNS, figures, strict=True))


def profile_rows(profile: Profile) -> list[Row]:
    """Return a row of `PROFILE_COLUMNS` for each point of a profile."""
    points = zip(profile.points.tolist(), profile.positions.tolist(), profile.diameters.tolist(), strict=True)
    return [
        {"x": x, "y": y, "position": position, "diameter": diameter, "unit": profile.unit}
        for (y, x), position, diameter in points
    ]


def write_table(columns: Sequence[str], rows: Iterable[Mapping[str, str | int | float]], path: Path) -> None:
    """Write a table as CSV, whole or not at all; what is NaN is left empty, as statistics programs expect.

    Raises
    ------
    OSError
        If there is no room or no permission.
    """
    with written_whole(path) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def _cell(value: str | int | float) -> str | int:
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.6g}"
