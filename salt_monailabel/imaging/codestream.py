"""Compressed pixels without what is written beside them: cameras leave dates, names and programs in there."""

from __future__ import annotations

# A JPEG or JPEG-LS image, a JPEG 2000 image; where their headers end, and the comments in them.
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f"
_SCAN, _TILE = 0xDA, 0x90
_COMMENT, _COMMENT_2000 = 0xFE, 0x64
# Of JPEG's application segments those say how colours are to be read: JFIF, that of JPEG-LS, Adobe's.
_APPLICATIONS = range(0xE0, 0xF0)
_COLOURS = (0xE0, 0xE8, 0xEE)


def without_comments(image: bytes) -> bytes:
    """Return a compressed image without comments, EXIF and the like; any other and a damaged one as it is."""
    start = image[:2]
    if start not in (_JPEG, _JPEG_2000):
        return image
    parts, place = [start], 2
    while place + 4 <= len(image) and image[place] == 0xFF:
        marker, length = image[place + 1], int.from_bytes(image[place + 2 : place + 4], "big")
        if marker in (_SCAN, _TILE):
            return b"".join([*parts, image[place:]])
        if not _is_comment(marker, start):
            parts.append(image[place : place + 2 + length])
        place += 2 + length
    return image


def _is_comment(marker: int, start: bytes) -> bool:
    if start == _JPEG_2000:
        return marker == _COMMENT_2000
    return marker == _COMMENT or (marker in _APPLICATIONS and marker not in _COLOURS)
