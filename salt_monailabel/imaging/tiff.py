"""TIFF: its pages are looked at before SimpleITK is given them, or decoded where it would read them wrongly.

SimpleITK has room for pages like the first one only, and of some it makes 8 bits.
"""

from __future__ import annotations

import logging
import math
import mmap
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from tifffile import TiffFile, TiffPage

from .header import ImageError, check_size

# By the first bytes: the order of bytes, where the place of the first page stands, and the forms of a place and of the
# number of entries of a page, and the length of an entry.
_FORMS = {
    b"II*\0": ("<", 4, "I", "H", 12),
    b"MM\0*": (">", 4, "I", "H", 12),
    b"II+\0": ("<", 8, "Q", "Q", 20),
    b"MM\0+": (">", 8, "Q", "Q", 20),
}
# The tags that say what a page is, now and in former days, and what pixels it has: columns, rows, bits, photometry,
# orientation, channels, their arrangement, the sides of tiles, and the kind of numbers.
_KIND, _FORMER_KIND = 254, 255
_ORIENTATION = 274
_PIXELS = (256, 257, 258, 262, _ORIENTATION, 277, 284, 322, 323, 339)
# Of the kind of a page, the bits that say it is a preview or a mask of another one.
_BESIDE = 1 | 4
# What those tags say of values that are brightness; of rows that lie one below the other, in the second case upwards;
# and of pixels that are not compressed.
_BRIGHTNESS = (0, 1, 2)
_UPRIGHT, _UPWARDS, _TURNED = (1, 4), 4, range(1, 9)
_PLAIN = 1
# Numbers without and with a sign, those with a point, and such as are not told; and of how many bits SimpleITK reads
# each.
_UNSIGNED, _SIGNED, _FLOAT, _UNTOLD = 1, 2, 3, 4
_BITS = {_UNSIGNED: (1, 2, 4, 8, 16, 32), _SIGNED: (8, 16, 32), _FLOAT: (32,), _UNTOLD: (8, 16)}
# It complains there of what is refused here.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


@contextmanager
def tiff_pages(path: Path) -> Iterator[list[TiffPage]]:
    """Open a file and give its pages, all of one kind, without the previews behind them.

    Raises
    ------
    ImageError
        If pages follow each other in a circle, are missing, or are unlike each other.
    """
    _check_chain(path)
    with TiffFile(path) as file:
        pages = [page.aspage() for page in file.pages]
        while len(pages) > 1 and (_kind(pages[-1]) or 0) & _BESIDE:
            pages.pop()
        kinds = [_kind(page) for page in pages]
        previews = len(kinds) > 1 and any((kind or 0) & _BESIDE for kind in kinds)
        if previews or len({_described(page) for page in pages}) > 1 or 0 < kinds.count(0) < len(kinds):
            raise ImageError(f"{path.name} has pages of several sizes or kinds; export those of one kind alone")
        yield pages


def is_read(page: TiffPage) -> bool:
    """Say whether SimpleITK reads the values of a page as they are.

    Of what is tiled, turned or in planes it makes 8 bits, half precision it takes for whole numbers, double precision
    for damaged, and what lies beside gray for further pixels.
    """
    in_planes = page.planarconfig != 1 and page.samplesperpixel > 1
    in_rows = not page.is_tiled and not in_planes and is_upright(page)
    is_known = page.bitspersample in _BITS.get(page.sampleformat, ())
    is_shallow = page.sampleformat == _UNSIGNED and page.bitspersample <= 8
    return is_known and (in_rows or is_shallow) and page.samplesperpixel != 2


def is_upright(page: TiffPage) -> bool:
    """Say whether the rows of a page lie one below the other or upwards: not mirrored, nor columns in their place."""
    return _orientation(page) in _UPRIGHT


def decoded(path: Path, pages: Sequence[TiffPage]) -> np.ndarray:
    """Return the values of pages that SimpleITK does not read, as they are stored.

    What is compressed is not: nothing would tell how much it becomes.

    Returns
    -------
    ndarray, (frames, rows, columns[, channels])

    Raises
    ------
    ImageError
        If they are stored in a way that is not read, are damaged, or too many.
    """
    first = pages[0]
    is_plain = first.compression == _PLAIN and first.photometric in _BRIGHTNESS and is_upright(first)
    if not is_plain or first.dtype is None or first.bitspersample != 8 * first.dtype.itemsize:
        raise ImageError(
            f"{path.name} has pixels of {first.bitspersample} bits that are compressed, turned, or stored in another "
            "way that is not read; save it as .png, or without compression"
        )
    check_size(path, (len(pages), *first.shape), first.dtype.itemsize)
    end = path.stat().st_size
    if not all(_is_whole(page, end) for page in pages):
        raise ImageError(f"{path.name} is damaged or cut short; copy or export it again")
    pixels = np.stack([page.asarray() for page in pages])
    if first.axes.startswith("S"):
        pixels = np.moveaxis(pixels, 1, -1)
    if _orientation(first) == _UPWARDS:
        pixels = pixels[:, ::-1]
    # There are no images of half precision, nor of the other order of bytes.
    return pixels.astype("f4" if first.dtype == np.float16 else first.dtype.newbyteorder("="))


def _is_whole(page: TiffPage, end: int) -> bool:
    """Say whether all parts of a page lie in a file that ends there; those that are missing would be black."""
    parts = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    return len(parts) == math.prod(page.chunked) and all(0 < size <= end - place for place, size in parts)


def _check_chain(path: Path) -> None:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        order, place, offset, count, entry = _FORMS[content[:4]]
        pages = set[int]()
        try:
            while page := struct.unpack_from(f"{order}{offset}", content, place)[0]:
                if page in pages:
                    raise ImageError(f"{path.name} has pages that follow each other in a circle; export it again")
                pages.add(page)
                (entries,) = struct.unpack_from(f"{order}{count}", content, page)
                place = page + struct.calcsize(f"{order}{count}") + entry * entries
        except struct.error as error:
            raise ImageError(f"{path.name} is damaged or cut short; copy or export it again") from error


def _kind(page: TiffPage) -> int | None:
    former = {2: 1, 3: 2}.get(page.tags.valueof(_FORMER_KIND))
    return page.tags.valueof(_KIND, default=former)


def _orientation(page: TiffPage) -> int:
    found = page.tags.valueof(_ORIENTATION, default=1)
    # What is no orientation is none.
    return found if found in _TURNED else 1


def _described(page: TiffPage) -> tuple[Any, ...]:
    return tuple(page.tags.valueof(tag) for tag in _PIXELS)
