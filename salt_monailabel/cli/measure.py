"""What `salt measure` does: tables and pictures of the vessels of masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from salt_monailabel.imaging import ImageError, Study, read_mask, read_study, split_name
from salt_monailabel.imaging.files import read_file
from salt_monailabel.measure import (
    PROFILE_COLUMNS,
    SEGMENT_COLUMNS,
    STENOSIS_COLUMNS,
    SUMMARY_COLUMNS,
    Measurements,
    ProfileError,
    measure,
    profile,
    profile_rows,
    segment_rows,
    stenosis_row,
    summary_row,
    write_picture,
    write_table,
)
from salt_monailabel.measure.table import Row

_OF = ("mask", "frame", "label")


@dataclass(frozen=True)
class MeasureWish:
    """What is to be measured of each mask.

    Attributes
    ----------
    out : Path
        Folder for the tables and pictures.
    images, fields : Path, optional
        The image and the field of view of the masks, or folders that have one of each mask's name.
    spacing : tuple of float, optional
        Millimetres per row and per column, whatever the files say.
    label : int, optional
        All labels by default.
    ends : pair of (x, y), optional
        Where a profile begins and ends.
    """

    out: Path
    images: Path | None = None
    fields: Path | None = None
    spacing: tuple[float, float] | None = None
    label: int | None = None
    ends: tuple[tuple[float, float], tuple[float, float]] | None = None


def measure_masks(masks: Sequence[Path], wish: MeasureWish, console: Console) -> None:
    """Write summary.csv, a row for each frame and label, and tables and a picture of each; a bad mask is left out."""
    names = [_name(path) for path in masks]
    if clash := next((path for path in masks if names.count(_name(path)) > 1), None):
        raise ImageError(f"several masks are named {_name(clash)}; measure them into different folders")
    if own := next((path for path in masks if path.resolve().parent == wish.out.resolve()), None):
        raise ImageError(f"{own} would lie among the pictures of masks; choose another folder with --out")
    wish.out.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    failed = 0
    for path in track(masks, "measuring", console=console):
        try:
            measured = _measure_mask(path, wish)
        except (ImageError, ProfileError) as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            failed += 1
            continue
        rows += measured
    columns = (*_OF, *SUMMARY_COLUMNS, *(STENOSIS_COLUMNS if wish.ends else ()))
    write_table(columns, rows, wish.out / "summary.csv")
    console.print(_shown(rows))
    console.print(f"summary.csv, tables of segments and pictures in {wish.out}")
    if failed:
        raise typer.Exit(1)


def _measure_mask(path: Path, wish: MeasureWish) -> list[Row]:
    # A mask may be empty, an image may not be of one value.
    study = read_file(path) if wish.images is None else read_study(_beside(wish.images, path, "image"))
    labels = read_mask(path, study)
    spacing = wish.spacing or study.spacing
    fields = _fields(path, wish, study)
    frames = len(labels)
    if wish.ends and frames > 1:
        raise ProfileError(f"{path.name} has {frames} frames, and a profile is of one; save the mask of one by itself")
    rows: list[Row] = []
    for frame, value in product(range(frames), _values(labels, wish.label, path)):
        stem = f"{_name(path)}_frame{frame + 1}_label{value}" if frames > 1 else f"{_name(path)}_label{value}"
        pixels = labels[frame, ..., None] if wish.images is None else study.frame(frame)
        try:
            row = _written(measure(labels[frame] == value, spacing, fields[frame]), pixels, stem, wish)
        except (ImageError, ProfileError) as error:
            raise ImageError(f"{stem}: {error}") from error
        rows.append({"mask": path.name, "frame": frame + 1, "label": value, **row})
    return rows


def _written(measured: Measurements, pixels: np.ndarray, stem: str, wish: MeasureWish) -> Row:
    """Write the tables and the picture of one label of one frame; returns its row of the summary."""
    row = summary_row(measured)
    way = profile(measured, *wish.ends) if wish.ends else None
    if way is not None:
        row |= stenosis_row(way)
        write_table(PROFILE_COLUMNS, profile_rows(way), wish.out / f"{stem}_profile.csv")
    write_table(SEGMENT_COLUMNS, segment_rows(measured), wish.out / f"{stem}_segments.csv")
    write_picture(pixels, measured, wish.out / f"{stem}.png", way)
    return row


def _values(labels: np.ndarray, only: int | None, path: Path) -> list[int]:
    """Return the labels to be measured; in frames that lack one it counts as empty."""
    values = [int(value) for value in np.unique(labels) if value]
    if only is None:
        return values or [1]
    if values and only not in values:
        raise ImageError(f"{path.name} has no label {only}, only {', '.join(map(str, values))}; choose one of these")
    return [only]


def _fields(path: Path, wish: MeasureWish, study: Study) -> Sequence[np.ndarray | None]:
    """Return the field of view of each frame: that of the file, or that of the image."""
    frames = study.shape[0]
    if wish.fields is not None:
        return list(read_mask(_beside(wish.fields, path, "field of view"), study))
    # A mask has no border of its own to be looked for.
    return [study.acquisition.exposed if wish.images is None else study.visible] * frames


def _beside(place: Path, mask: Path, what: str) -> Path:
    """Return the file itself, or that in a folder with the name of the mask."""
    if not place.is_dir():
        return place
    files, name = sorted(place.iterdir()), _name(mask)
    # An image may have an extension that is not known here.
    found = [file for file in files if _name(file) == name] or [file for file in files if file.stem == name]
    if len(found) != 1:
        raise ImageError(f"{place} has {len(found) or 'no'} files named {name}; it needs one, the {what}")
    return found[0]


def _name(path: Path) -> str:
    return split_name(path.name)[0]


def _shown(rows: Sequence[Row]) -> Table:
    unit = "mm" if rows and all(row["unit"] == "mm" for row in rows) else "px"
    table = Table("mask", "frame", "label", "segments", f"length ({unit})", f"mean diameter ({unit})", "density")
    stenosed = any("percent_stenosis" in row for row in rows)
    if stenosed:
        table.add_column("stenosis")
    for row in rows:
        figures = [f"{row['total_length']:.5g}", f"{row['mean_diameter']:.3g}", f"{100 * float(row['density']):.1f} %"]
        figures += [f"{row['percent_stenosis']:.0f} %"] if stenosed else []
        table.add_row(*(str(row[name]) for name in (*_OF, "segments")), *figures)
    return table
