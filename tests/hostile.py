"""Files that do harm to whoever reads them without a look at their header: small to send, and built by hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

SIDE = 30_000
JPEG_2000, DEFLATED, PLAIN = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.1"


def zeros(count: int = SIDE * (SIDE + 1)) -> bytes:
    """Return so many zeros as a deflate stream: one block of a thirtieth of them, thirty times over."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(bytes(count // 30)) + packer.flush(zlib.Z_FULL_FLUSH)) * 30 + b"\x03\0"


def gzip(head: bytes) -> bytes:
    """Return `head` and 900 million zeros, compressed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"\x1f\x8b\x08" + bytes(7) + packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH) + zeros() + bytes(8)


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b"\x78\xda" + zeros()) + chunk(b"IEND", b"")


def nifti(side: int = SIDE, end: float = 352, extension: int = 0) -> bytes:
    """Return compressed NIfTI whose pixels begin at `end`, after an extension of so many bytes."""
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 2, side, side, 1, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 2, 8)
    struct.pack_into("<9f", header, 76, *[1.0] * 8, end)
    header[344:348] = b"n+1\0"
    header[348] = extension > 0
    return gzip(bytes(header) + struct.pack("<ii", extension, 6))


def nrrd(sizes: str, more: str = "", end: str = "\n", encoding: str = "gzip") -> bytes:
    dimension = len(sizes.split())
    lines = ["NRRD0004", "type: uint8", f"dimension: {dimension}", f"sizes: {sizes}", f"encoding: {encoding}"]
    return end.join([*lines, *([more] if more else []), "", ""]).encode()


def tiff() -> bytes:
    entries = [(256, 4, 100_000), (257, 4, 100_000), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1)]
    entries += [(278, 4, 100_000), (279, 4, 16)]
    packed = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"II*\0" + struct.pack("<I", 24) + bytes(16) + struct.pack("<H", len(entries)) + packed + bytes(4)


def meta_image(elsewhere: Path) -> bytes:
    """Return the header of an image whose pixels are in another file."""
    lines = ("ObjectType = Image", "NDims = 2", "DimSize = 26 40", "ElementType = MET_UCHAR")
    return "\n".join((*lines, f"ElementDataFile = {elsewhere}", "")).encode()


def dicom(syntax: str = PLAIN, rows: int = 64, columns: int = 64, frames: int = 1, inside: bytes = b"") -> bytes:
    """Return DICOM of so many gray pixels by its header; `inside` is laid in before the header's last elements."""
    encapsulated = syntax == JPEG_2000
    pixels = bytes(range(64)) * 64
    parts = [
        element(0x0008, 0x0016, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0"),
        element(0x0008, 0x0018, b"UI", b"1.2.3\0"),
        element(0x0008, 0x0060, b"CS", b"OT"),
        inside,
        element(0x0028, 0x0002, b"US", struct.pack("<H", 1)),
        element(0x0028, 0x0004, b"CS", b"MONOCHROME2 "),
        element(0x0028, 0x0008, b"IS", f"{frames:<10}".encode()),
        element(0x0028, 0x0010, b"US", struct.pack("<H", rows)),
        element(0x0028, 0x0011, b"US", struct.pack("<H", columns)),
        *(element(0x0028, 0x0100 + n, b"US", struct.pack("<H", value)) for n, value in enumerate((8, 8, 7, 0))),
        _encapsulated(_jpeg_2000()) if encapsulated else element(0x7FE0, 0x0010, b"OB", pixels),
    ]
    # The identifier is padded to an even length.
    identifier = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = element(0x0002, 0x0002, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0") + element(0x0002, 0x0003, b"UI", b"1.2.3\0")
    meta += element(0x0002, 0x0010, b"UI", identifier)
    length = element(0x0002, 0x0000, b"UL", struct.pack("<I", len(meta)))
    body = zeros() if syntax == DEFLATED else b"".join(parts)
    return bytes(128) + b"DICM" + length + meta + body


def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
    if kind in (b"OB", b"SQ"):
        return struct.pack("<HH2sHI", group, number, kind, 0, len(value)) + value
    return struct.pack("<HH2sH", group, number, kind, len(value)) + value


def nested(levels: int, with_lengths: bool = False) -> bytes:
    """Return sequences within sequences, each of one item; their ends are marked, or known by their lengths."""
    if with_lengths:
        whole = b""
        for _ in range(levels):
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(whole)) + whole
            whole = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(item)) + item
        return whole
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return opening * levels + closing * levels


def _encapsulated(image: bytes) -> bytes:
    start, end = struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + start
    return head + struct.pack("<HHI", 0xFFFE, 0xE000, len(image)) + image + end


def _jpeg_2000() -> bytes:
    """Return the beginning of a JPEG 2000 image of 28 000 x 28 000 pixels."""
    sizes = (28_000, 28_000, 0, 0, 28_000, 28_000, 0, 0)
    return b"\xff\x4f\xff\x51" + struct.pack(">HH8IHBBB", 41, 0, *sizes, 1, 7, 1, 1) + bytes(2000)


# What declares far more than it holds, or becomes far more than it is.
BOMBS = {
    "scan.png": png,
    "scan.gif": lambda: b"GIF89a" + struct.pack("<HHBBB", SIDE, SIDE, 0, 0, 0) + b"," + bytes(5) + bytes(2000),
    "scan.pgm": lambda: b"P5 %d %d 255 " % (SIDE, SIDE) + bytes(2000),
    "named-nrrd.nrrd": png,
    "named-dicom.dcm": png,
    "scan.nii.gz": nifti,
    "late.nii.gz": lambda: nifti(64, 800_000_000),
    "extended.nii.gz": lambda: nifti(64, 800_000_000, 800_000_000 - 352),
    "beyond.nii.gz": lambda: nifti(64, 1000, 800_000_000),
    "endless.nii.gz": lambda: nifti(64, 0, 800_000_000),
    "scan.nrrd": lambda: nrrd("100000 100000") + b"\x1f\x8b\x08" + bytes(7) + zeros() + bytes(8),
    "scan.tif": tiff,
    "named-tiff.nrrd": tiff,
    "scan.dcm": lambda: dicom(rows=65535, columns=65535),
    "frames.dcm": lambda: dicom(rows=1000, columns=1000, frames=2_000_000),
    "deflated.dcm": lambda: dicom(DEFLATED),
    "inside.dcm": lambda: dicom(JPEG_2000),
    "nested.dcm": lambda: dicom(inside=nested(100_000)),
    "nested-with-lengths.dcm": lambda: dicom(inside=nested(2_000, with_lengths=True)),
}
