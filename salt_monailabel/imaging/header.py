"""What the header of a file would have its reader do, looked at before it is done.

Files come from strangers. A few kilobytes can declare more pixels than any memory holds, name another file of this
computer as the place of the pixels, or be nested so deep that the reader dies, and the program with it.
"""

from __future__ import annotations

import gzip
import math
import mmap
import re
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .geometry import FLAT

# Pixels times channels: 190 frames of 1024 x 1024, or a photograph of 8000 x 8000 in colour. What is wider than 16 bits
# counts for several: packed, constant values take no room in the file whatever they are, but all of it in memory.
LARGEST = 200_000_000
DEEPEST = 100
# Bytes of a NIfTI header with all that is added to it, which is read as a whole.
LONGEST = 10_000_000
# Bytes that a deflated DICOM file may hold; they are looked through as a whole.
LONGEST_DEFLATED = 64_000_000
# How a file begins. What begins otherwise is told by its extension, or else DICOM.
_KINDS = {
    rb"\x89PNG": "PNG",
    rb"\xff\xd8\xff": "JPEG",
    rb"II[*+]\0|MM\0[*+]": "TIFF",
    rb"BM": "BMP",
    rb"GIF8[79]a": "GIF",
    rb"(?s:RIFF.{4}WEBP)": "WEBP",
    rb"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    rb"P[2356][\s#]": "PPM",
    rb"NRRD": "Nrrd",
    rb"ObjectType": "Meta",
}
# What is told by its extension.
_NAMED = {(".nii", ".nii.gz"): "Nifti", (".mha", ".mhd"): "Meta"}
# Lines of an NRRD header that say the pixels are not right behind it; lines may end as on old Macs.
_DETACHED = re.compile(rb"[\r\n](data ?file|(line|byte) ?skip)[ \t]*:", re.IGNORECASE)
# The header of a MetaImage: lines of a name and a value, the last of which says that the pixels are right behind it.
_META = re.compile(
    rb"((?:[\w.|()-]{1,100} *[=:][\t -~\x80-\xff]{0,4000}\r?\n){1,1000}?)"
    rb"ElementDataFile *[=:] *(?:LOCAL|Local|local) *\r?\n"
)
_META_BYTES = {
    b"MET_CHAR": 1, b"MET_UCHAR": 1, b"MET_SHORT": 2, b"MET_USHORT": 2, b"MET_INT": 4, b"MET_UINT": 4,
    b"MET_LONG_LONG": 8, b"MET_ULONG_LONG": 8, b"MET_FLOAT": 4, b"MET_DOUBLE": 8,
}  # fmt: skip
# Bytes that are unpacked at a time, to at most a thousand times as many.
_BLOCK = 1 << 16
_DEFLATED = b"1.2.840.10008.1.2.1.99"
# The beginning of an item of a sequence with its length, and the end of one without; in both orders of bytes.
_ITEM = re.compile(rb"(\xfe\xff\x00\xe0|\xff\xfe\xe0\x00)(.{4})|\xfe\xff\x0d\xe0|\xff\xfe\xe0\x0d", re.DOTALL)
# The codes of complex numbers, RGB and RGBA in NIfTI; and the factors, with what is added, that change nothing.
_NIFTI_CHANNELS, _UNSCALED = (32, 1792, 2048, 128, 2304), ((0, 0), (1, 0))
# The beginning of an image in JPEG 2000: the length of its header, its columns, rows and channels, and the bits of the
# first channel, less one.
JPEG_2000 = re.compile(rb"\xff\x4f\xff\x51(.{2}).{2}(.{4})(.{4}).{24}(.{2})(.)", re.DOTALL)
# Names of the axes of a MetaImage, and of what else in its header must be numbers.
_META_AXES = (b"TransformMatrix", b"Rotation", b"Orientation")
_META_NUMBERS = (*_META_AXES, b"Offset", b"Position", b"Origin", b"ElementSpacing", b"ElementSize", b"CenterOfRotation")


class ImageError(ValueError):
    """An image or mask that cannot be used; the message names the file and the remedy."""


def kind_of(path: Path) -> str:
    """Return what a file is: DICOM, Nifti, Nrrd, Meta, PNG, JPEG, TIFF, BMP, GIF, WEBP, JPEG2000 or PPM.

    All others would be DICOM.

    Raises
    ------
    ImageError
        If the file refers to others, or would keep its reader busy for ever, or make it die.
    """
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        kind = _kind(path, content)
        if kind in _CHECKS:
            _CHECKS[kind](path, content)
    return kind


def reader_of(path: Path, kind: str) -> sitk.ImageFileReader:
    """Return a reader for a file of some kind but DICOM that has read its header.

    Raises
    ------
    ImageError
        If the file declares too much.
    OSError, RuntimeError
        If it cannot be read at all.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(f"{kind}ImageIO")
    reader.ReadImageInformation()
    size, kind_of_pixel, channels = reader.GetSize(), reader.GetPixelIDValue(), reader.GetNumberOfComponents()
    # Only an image says how wide its values are.
    pixel = sitk.Image([1] * len(size), kind_of_pixel, channels)
    check_size(path, (*size, channels), pixel.GetSizeOfPixelComponent())
    return reader


def check_nifti(path: Path) -> None:
    """Refuse NIfTI whose header is longer than is read; compressed, it takes no room in the file."""
    with open(path, "rb") as file:
        unpack = gzip.open if file.read(2) == b"\x1f\x8b" else open
    with unpack(path, "rb") as file:
        header = file.read(352)
        order = "<" if header[:4] == struct.pack("<i", 348) else ">"
        (size,), (end,) = struct.unpack_from(f"{order}i", header), struct.unpack_from(f"{order}f", header, 108)
        if size != 348:
            raise ImageError(f"{path.name} is not NIfTI-1, which alone is read; export it again")
        dimensions, scale = struct.unpack_from(f"{order}8h", header, 40), struct.unpack_from(f"{order}2f", header, 112)
        (kind,) = struct.unpack_from(f"{order}h", header, 70)
        # Its reader counts pixels, not their channels, and writes beyond them.
        if (kind in _NIFTI_CHANNELS or dimensions[0] > 4) and scale not in _UNSCALED:
            raise ImageError(f"{path.name} has colours that are to be scaled; export it again without a scale")
        whole = 0 <= end <= LONGEST
        # Extensions follow, each with its length, if a byte says so.
        if header[348]:
            place = 352
            whole &= place <= end
            while whole and place + 8 <= end:
                file.seek(place)
                (length,) = struct.unpack(f"{order}i", file.read(4))
                whole = 8 <= length <= end - place
                place += length
    if not whole:
        raise ImageError(f"{path.name} has a header that is damaged or too long; export it again without extensions")


def check_size(path: Path, size: Sequence[int], width: int = 1) -> None:
    """Refuse a file that declares more values, of so many bytes each, than are read."""
    most = LARGEST // max(1, width // 2)
    if math.prod(size) > most:
        declared = " x ".join(map(str, size))
        raise ImageError(
            f"{path.name} declares {declared} values, more than the {most // 1_000_000} million of their kind that "
            "are read; crop it, or divide it into several files"
        )


def _kind(path: Path, content: mmap.mmap) -> str:
    # The first 128 bytes of DICOM may be anything.
    if content[128:132] != b"DICM":
        for magic, kind in _KINDS.items():
            if re.match(magic, content):
                return kind
        for extensions, kind in _NAMED.items():
            if path.name.lower().endswith(extensions):
                return kind
    return "DICOM"


def _check_nrrd(path: Path, content: mmap.mmap) -> None:
    end = re.search(rb"\r?\n\r?\n", content)
    if end is None or _DETACHED.search(content[: end.start()]):
        raise ImageError(f"{path.name} is a header of pixels that lie elsewhere; save both together, as .nrrd")


def _check_meta(path: Path, content: mmap.mmap) -> None:
    """Refuse MetaImage with pixels elsewhere or an unusual header, and damaged ones; its reader believes them all."""
    header = _META.match(content)
    if header is None or b"ElementDataFile" in header[1]:
        raise ImageError(
            f"{path.name} is a header of pixels that lie elsewhere, or damaged; save both together, as .mha"
        )
    lines = [re.split(rb" *[=:]", line, maxsplit=1) for line in header[1].splitlines()]
    fields = {name: value.strip() for name, value in lines}
    size = fields.get(b"DimSize", b"").split()
    size.append(fields.get(b"ElementNumberOfChannels", b"1"))
    length = _META_BYTES.get(fields.get(b"ElementType", b""), 0)
    sound = len(fields) == len(lines) and b"HeaderSize" not in fields and length > 0
    sound &= all(number.isdigit() for number in size) and fields.get(b"NDims") in (b"2", b"3", b"4")
    if not sound or int(fields[b"NDims"]) != len(size) - 1:
        raise ImageError(f"{path.name} has a header that is damaged or unusual; save it again as .mha")
    declared = [int(number) for number in size]
    check_size(path, declared)
    numbers = {name: _numbers(fields[name]) for name in _META_NUMBERS if name in fields}
    matrices = [numbers[name] for name in _META_AXES if name in numbers]
    side = len(size) - 1
    # Its reader looks for the inverse for ever where there is none.
    if not all(np.isfinite(found).all() for found in numbers.values()) or not all(
        found.size == side**2 and _are_axes(found.reshape(side, side)) for found in matrices
    ):
        raise ImageError(f"{path.name} does not say where in space it lies; save it again as .mha")
    if fields.get(b"CompressedData", b"False")[:1] in b"Tt1":
        start = header.end()
        end = min(start + int(fields.get(b"CompressedDataSize", b"0")), len(content))
        packed, missing = zlib.decompressobj(zlib.MAX_WBITS | 32), math.prod(declared) * length
        while start < end and missing >= 0 and not packed.eof:
            missing -= len(packed.decompress(content[start : min(start + _BLOCK, end)]))
            start += _BLOCK
        if missing or not packed.eof:
            raise ImageError(f"{path.name} is damaged or cut short; copy or export it again")


def _are_axes(vectors: np.ndarray) -> bool:
    """Say whether vectors are of the length 1, but for rounding, and span all of space."""
    with np.errstate(over="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    return np.allclose(lengths, 1, atol=0.01) and abs(np.linalg.det(vectors)) > FLAT


def _numbers(text: bytes) -> np.ndarray:
    """Return the numbers in a line, or one that is none if a word is none."""
    try:
        return np.array([float(word) for word in text.split()])
    except ValueError:
        return np.array([np.nan])


def _check_jpeg_2000(path: Path, content: mmap.mmap) -> None:
    """Refuse colours of more than 8 bits, of which Pillow would keep 8."""
    header = JPEG_2000.search(content)
    if header is not None and int.from_bytes(header[4], "big") > 1 and header[5][0] & 0x7F >= 8:
        raise ImageError(
            f"{path.name} has colours of more than 8 bits, which are not read of JPEG 2000; save it as .png"
        )


def _check_nesting(path: Path, content: mmap.mmap) -> None:
    # Where each item that is open ends; infinity for those that a mark will end.
    ends: list[float] = []
    for item in _ITEM.finditer(_inflated(path, content)):
        while ends and ends[-1] <= item.start():
            ends.pop()
        if item[1] is None:
            if ends and math.isinf(ends[-1]):
                ends.pop()
            continue
        length = int.from_bytes(item[2], "little" if item[1][0] == 0xFE else "big")
        ends.append(math.inf if length == 0xFFFFFFFF else item.end() + length)
        if len(ends) > DEEPEST:
            raise ImageError(f"{path.name} has sequences nested deeper than {DEEPEST} levels; export it without them")


def _inflated(path: Path, content: mmap.mmap) -> mmap.mmap | bytes:
    """Return what is in a deflated DICOM file, behind its meta information (PS3.10, 7.1); others as they are."""
    if content.find(_DEFLATED) < 0:
        return content
    start = 144 + int.from_bytes(content[140:144], "little")
    if content[128:138] != b"DICM\2\0\0\0UL" or _DEFLATED not in content[144:start]:
        raise ImageError(f"{path.name} is damaged, or no DICOM; export it again")
    most = LONGEST_DEFLATED
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(content[start:], most + 1)
    if len(inflated) > most:
        raise ImageError(f"{path.name} unpacks to more than the {most // 1_000_000} MB that are read; crop it")
    return inflated


_CHECKS: dict[str, Callable[[Path, mmap.mmap], None]] = {
    "Nrrd": _check_nrrd,
    "Meta": _check_meta,
    "JPEG2000": _check_jpeg_2000,
    "DICOM": _check_nesting,
}
