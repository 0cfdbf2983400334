"""TIFF: its pages are looked at before SimpleITK, which has room for pages like the first one only, is given them."""

from __future__ import annotations

import logging
import mmap
import struct
from pathlib import Path
from typing import Any

from tifffile import TiffFile, TiffPage

from .header import ImageError

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
_PIXELS = (256, 257, 258, 262, 274, 277, 284, 322, 323, 339)
# Of the kind of a page, the bits that say it is a preview or a mask of another one.
_BESIDE = 1 | 4
# It complains there of what is refused here.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def check_tiff(path: Path) -> None:
    """Refuse a file with pages that follow each other in a circle, are missing, or are unlike each other.

    Raises
    ------
    ImageError
    """
    _check_chain(path)
    with TiffFile(path) as file:
        kinds, pixels = zip(*[(_kind(page.aspage()), _described(page.aspage())) for page in file.pages], strict=True)
    # Previews behind the last page are passed over.
    while len(kinds) > 1 and (kinds[-1] or 0) & _BESIDE:
        kinds, pixels = kinds[:-1], pixels[:-1]
    previews = len(kinds) > 1 and any((kind or 0) & _BESIDE for kind in kinds)
    if previews or len(set(pixels)) > 1 or 0 < kinds.count(0) < len(kinds):
        raise ImageError(f"{path.name} has pages of several sizes or kinds; export those of one kind alone")


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


def _described(page: TiffPage) -> tuple[Any, ...]:
    return tuple(page.tags.valueof(tag) for tag in _PIXELS)
