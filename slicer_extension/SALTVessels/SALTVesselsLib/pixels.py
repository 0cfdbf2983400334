"""Pixels and their place in space become NRRD, and NRRD becomes pixels."""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import SimpleITK as sitk

from .steps import at_once

# What the reader itself adds to a file's own facts.
_ADDED = ("NRRD_", "ITK_")
_END_OF_HEADER, _LONGEST_HEADER = b"\n\n", 1 << 16
_COMPRESSED, _BIG_ENDIAN = b"\nencoding: gz", b"\nendian: big"
_MASK_HEADER = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: {} {} {}\nencoding: gzip\n\n"
# Of zlib: masks are blank for the most part, and what gzip files are made with.
QUICK, GZIP = 1, 31
# Bytes that are decompressed in one step.
_AT_A_TIME = 1 << 20
# What a byte of a file can become at most: zlib's format allows no more.
_MOST_COMPRESSED = 1032


@dataclass(frozen=True, eq=False)
class Picture:
    """An image, a stack or a run.

    Attributes
    ----------
    pixels : ndarray, (frames, rows, columns) or (frames, rows, columns, 3)
    ijk_to_lps : ndarray of float, (4, 4)
        From column, row and frame to millimetres towards the patient's left, back and head.
    name : str
    facts : dict of str to str
        What else the file says, such as `modality`; neither keys nor values have line breaks.
    """

    pixels: np.ndarray
    ijk_to_lps: np.ndarray
    name: str
    facts: dict[str, str] = field(default_factory=dict)


def to_nrrd(picture: Picture) -> bytes:
    """Return the file of a picture."""
    return at_once(to_nrrd_by_steps(picture))


def to_nrrd_by_steps(picture: Picture) -> Generator[None, None, bytes]:
    """Make the file of a picture frame by frame: to write that of a long run at once would hold up the window."""
    # The library writes the header for a single pixel; the others are put after it as they are.
    pixel = np.ascontiguousarray(picture.pixels[:1, :1, :1], picture.pixels.dtype.newbyteorder("<"))
    image = sitk.GetImageFromArray(pixel, isVector=pixel.ndim == 4)
    axes = picture.ijk_to_lps[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((axes / spacing).ravel().tolist())
    image.SetOrigin(picture.ijk_to_lps[:3, 3].tolist())
    for key, value in {**picture.facts, "name": picture.name}.items():
        image.SetMetaData(key, value)
    with _file(b"") as path:
        sitk.WriteImage(image, str(path), useCompression=False)
        header = path.read_bytes()[: -pixel.nbytes]
    frames, rows, columns = picture.pixels.shape[:3]
    parts = [re.sub(rb"(?m)^(sizes:(?: 3)?) 1 1 1$", rb"\1 %d %d %d" % (columns, rows, frames), header, count=1)]
    for frame in picture.pixels:
        parts.append(frame.astype(pixel.dtype, copy=False).tobytes())
        yield
    return b"".join(parts)


def from_nrrd(file: bytes) -> Picture:
    """Return the picture in a file; its name is the file's fact `name`.

    Raises
    ------
    ValueError
        If the file is damaged, or is neither gray nor of three colours.
    """
    header, pixels = at_once(_read(file))
    if header.GetNumberOfComponents() not in (1, 3) or header.GetDimension() != 3:
        raise ValueError(f"the file has pixels of {pixels.shape}, which is no stack, gray or of three colours")
    ijk_to_lps = np.eye(4)
    ijk_to_lps[:3, :3] = np.reshape(header.GetDirection(), (3, 3)) * header.GetSpacing()
    ijk_to_lps[:3, 3] = header.GetOrigin()
    facts = {key: header.GetMetaData(key) for key in header.GetMetaDataKeys() if not key.startswith(_ADDED)}
    return Picture(pixels, ijk_to_lps, facts.pop("name", ""), facts)


def mask_to_nrrd(mask: np.ndarray) -> bytes:
    """Return the file of a mask (frames, rows, columns), of uint8; its place is that of the image it is sent with."""
    return at_once(mask_to_nrrd_by_steps(mask))


def mask_to_nrrd_by_steps(mask: np.ndarray) -> Generator[None, None, bytes]:
    """Make the file of a mask frame by frame: to compress that of a long run at once would hold up the window."""
    frames, rows, columns = mask.shape
    compressor = zlib.compressobj(QUICK, wbits=GZIP)
    parts = [_MASK_HEADER.format(columns, rows, frames).encode()]
    for frame in mask:
        parts.append(compressor.compress(frame.astype(np.uint8).tobytes()))
        yield
    return b"".join([*parts, compressor.flush()])


def mask_from_nrrd_by_steps(file: bytes) -> Generator[None, None, np.ndarray]:
    """Return the mask in a file as uint8 (frames, rows, columns); a single frame may come without its axis.

    Raises
    ------
    ValueError
        If the file is damaged or holds no mask.
    """
    header, values = yield from _read(file)
    if header.GetNumberOfComponents() != 1 or header.GetDimension() > 3:
        raise ValueError("the file holds no mask")
    mask = values.astype(np.uint8, copy=False)
    if mask is not values and not np.array_equal(mask, values):
        raise ValueError("the values of the mask are not whole numbers from 0 to 255")
    # A server that read a flat image answers with a flat mask.
    return mask[None] if mask.ndim == 2 else mask


def _read(file: bytes) -> Generator[None, None, tuple[sitk.ImageFileReader, np.ndarray]]:
    """Read what the header says, and the pixels, last axis first; they are not to be written to.

    The pixels lie in the file as they are, or compressed. To have them read from a file, and copied, would hold up the
    window.
    """
    begin = file.find(_END_OF_HEADER, 0, _LONGEST_HEADER) + len(_END_OF_HEADER)
    header = sitk.ImageFileReader()
    header.SetImageIO("NrrdImageIO")
    try:
        with _file(file[:begin]) as path:
            header.SetFileName(str(path))
            header.ReadImageInformation()
        components = header.GetNumberOfComponents()
        one = sitk.GetArrayViewFromImage(sitk.Image((1,) * header.GetDimension(), header.GetPixelID(), components))
        shape = header.GetSize()[::-1] + one.shape[header.GetDimension() :]
        stored = memoryview(file)[begin:]
        size = math.prod(shape) * one.itemsize
        content = (yield from _decompressed(stored, size)) if _COMPRESSED in file[:begin] else stored
        order = ">" if _BIG_ENDIAN in file[:begin] else "<"
        return header, np.frombuffer(content, one.dtype.newbyteorder(order)).reshape(shape)
    except (RuntimeError, zlib.error, ValueError) as error:
        raise ValueError("the file is no NRRD, or damaged") from error


def _decompressed(content: bytes | memoryview, size: int) -> Generator[None, None, np.ndarray]:
    """Return the bytes that were compressed; there should be `size`."""
    if size > _MOST_COMPRESSED * len(content):
        raise ValueError("the file ends too early")
    # One that grows would be copied as it does, which takes the longer the larger it is.
    whole, filled, reader = np.empty(size, np.uint8), 0, zlib.decompressobj(GZIP)
    while content and not reader.eof:
        part = reader.decompress(content, _AT_A_TIME)
        if filled + len(part) > size:
            raise ValueError("the file goes on after its end")
        whole[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
        filled += len(part)
        content = reader.unconsumed_tail
        yield
    return whole[:filled]


@contextmanager
def _file(content: bytes) -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "image.nrrd"
        path.write_bytes(content)
        yield path
