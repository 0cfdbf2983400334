"""Netpbm, gray (PGM) or in colours (PPM): Pillow would stretch values to 8 or 16 bits, one by one."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from .header import ImageError, check_size

# The beginning of a file: its kind, columns, rows and largest value, with comments between them.
_HEADER = re.compile(rb"P([2356])" + 3 * rb"(?:\s|#[^\r\n]{0,1000}[\r\n]){1,1000}(\d{1,9})" + rb"\s")
_COMMENT, _NUMBERS = re.compile(rb"#[^\r\n]*"), re.compile(rb"[\s\d]*")
# The kinds whose values are written out, and those in colours.
_WRITTEN_OUT, _COLOURED = (b"2", b"3"), (b"3", b"6")


def read_netpbm(path: Path) -> np.ndarray:
    """Read the values of an image as they are stored.

    Returns
    -------
    ndarray of uint8 or uint16, (1, rows, columns) or (1, rows, columns, 3)

    Raises
    ------
    ImageError
        If the file is damaged, declares too much, or holds several images.
    """
    content = path.read_bytes()
    header = _HEADER.match(content)
    if header is None:
        raise ImageError(f"{path.name} has a header that is damaged; copy or export it again")
    columns, rows, most = map(int, header.groups()[1:])
    shape = (1, rows, columns, 3)[: 4 if header[1] in _COLOURED else 3]
    check_size(path, shape)
    stored, count = np.dtype("u1" if most < 1 << 8 else ">u2"), math.prod(shape)
    if header[1] in _WRITTEN_OUT:
        pixels = _numbers(content[header.end() :])
    else:
        end = header.end() + count * stored.itemsize
        pixels = np.frombuffer(content[header.end() : end], stored)
        if _HEADER.match(content, end):
            raise ImageError(f"{path.name} holds several images; save each as a file of its own")
    if pixels.size != count or pixels.max(initial=0) > most:
        raise ImageError(f"{path.name} is damaged or cut short; copy or export it again")
    return pixels.reshape(shape).astype(stored.newbyteorder("="))


def _numbers(text: bytes) -> np.ndarray:
    """Return the numbers that are written out in a text; none if there is anything else."""
    numbers = _COMMENT.sub(b"", text)
    return np.fromstring(numbers, np.uint32, sep=" ") if _NUMBERS.fullmatch(numbers) else np.empty(0, np.uint32)
