"""A contact sheet: drawn images beside real ones, to see what still tells them apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from salt_monailabel.imaging import EXTENSIONS, ImageError, extension_of, overlay, read_study, synthesize, to_rgb
from salt_monailabel.imaging.synthetic import STYLES
from salt_monailabel.whole_files import PARTIAL

CELL = 320
GAP = 6


def contact_sheet(out: Path, real: Mapping[str, Path], columns: int, seed: int) -> None:
    """Write a picture with three rows for each style: real images, if given; drawn ones; these with their truth.

    Parameters
    ----------
    out : Path
        A .png.
    real : mapping of style to folder
        Folders of images of that kind; evenly chosen from the sorted names.
    columns : int
        Images in a row.
    seed : int
        Of the first drawn image of each style.

    Raises
    ------
    ImageError
        If a folder holds no image.
    ValueError
        For an unknown style.
    """
    if unknown := set(real) - set(STYLES):
        raise ValueError(f"unknown style '{min(unknown)}'; one of {', '.join(STYLES)}")
    rows: list[list[Image.Image]] = []
    for style in STYLES:
        if style in real:
            rows.append([_cell(to_rgb(read_study(path).frame(0))) for path in _images(real[style], columns)])
        drawings = [synthesize(seed + number, 512, style) for number in range(columns)]
        rows.append([_cell(to_rgb(drawing.image)) for drawing in drawings])
        rows.append([_cell(overlay(to_rgb(d.image), _numbered(d.structures.values()))) for d in drawings])
    step = CELL + GAP
    sheet = Image.new("RGB", (columns * step - GAP, len(rows) * step - GAP), "white")
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            sheet.paste(cell, (x * step, y * step))
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(out)


def _images(folder: Path, count: int) -> list[Path]:
    paths = folder.iterdir() if folder.is_dir() else ()
    found = sorted(path for path in paths if extension_of(path) in EXTENSIONS and not path.name.startswith(PARTIAL))
    if not found:
        raise ImageError(f"there is no image in {folder}; give a folder of {', '.join(sorted(EXTENSIONS))}")
    return [found[i] for i in np.unique(np.linspace(0, len(found) - 1, count).astype(int))]


def _numbered(masks: Iterable[np.ndarray]) -> np.ndarray:
    """Return one label map, in which masks are numbered from 1."""
    return np.max([number * mask.astype(np.uint8) for number, mask in enumerate(masks, start=1)], axis=0)


def _cell(rgb: np.ndarray) -> Image.Image:
    pixels = rgb if rgb.dtype == np.uint8 else (rgb * 255 + 0.5).astype(np.uint8)
    # A photograph of 3000 pixels and a slab of 304 are seen at the same size.
    picture = Image.fromarray(pixels)
    picture.thumbnail((CELL, CELL), Image.Resampling.LANCZOS)
    cell = Image.new("RGB", (CELL, CELL))
    cell.paste(picture, ((CELL - picture.width) // 2, (CELL - picture.height) // 2))
    return cell
