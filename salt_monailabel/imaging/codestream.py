"""Compressed pixels without what is written beside them: cameras leave dates, names and programs in there."""

from __future__ import annotations

import re

# A JPEG or JPEG-LS image, and a JPEG 2000 image; the marker both end with.
_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f"
_END = b"\xff\xd9"
# Of JPEG those that have a length: among pixels there are none, and before each there may be more bytes of 0xFF.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
_SCAN, _COMMENT = b"\xff\xda", b"\xff\xfe"
# Of its application segments those say how colours are to be read: JFIF, that of JPEG-LS, Adobe's.
_APPLICATIONS = re.compile(rb"\xff[\xe0-\xef]")
_COLOURS = (b"\xff\xe0", b"\xff\xe8", b"\xff\xee")
# Of JPEG 2000: the pixels of a part of a tile, what may follow on them, and comments in the headers before.
_DATA, _COMMENT_2000 = b"\xff\x93", b"\xff\x64"
_AFTER_DATA = re.compile(rb"\xff[\x90\xd9]")


def without_comments(image: bytes) -> bytes:
    """Return a compressed image without comments, EXIF and the like, and without what follows on its end.

    A JPEG that is damaged is returned as far as it goes; what is neither JPEG nor a codestream of JPEG 2000, as it is.
    """
    if image.startswith(_JPEG):
        return _jpeg(image)
    return _jpeg_2000(image) if image.startswith(_JPEG_2000) else image


def _jpeg(image: bytes) -> bytes:
    parts, place = [_JPEG], len(_JPEG)
    while (found := _MARKER.search(image, place)) is not None:
        marker, begin, place = found[0], found.start(), found.end()
        if marker == _END:
            parts.append(_END)
            break
        place += int.from_bytes(image[place : place + 2], "big")
        if marker == _SCAN:
            following = _MARKER.search(image, place)
            place = len(image) if following is None else following.start()
        if not _is_comment(marker):
            parts.append(image[begin:place])
    return b"".join(parts)


def _is_comment(marker: bytes) -> bool:
    return marker == _COMMENT or (_APPLICATIONS.match(marker) is not None and marker not in _COLOURS)


def _jpeg_2000(image: bytes) -> bytes:
    """Blank the comments: each part of a tile says how long it is with them."""
    blanked, place = bytearray(image), len(_JPEG_2000)
    while (marker := image[place : place + 2]).startswith(b"\xff"):
        if marker == _END:
            return bytes(blanked[: place + 2])
        end = place + 2 + int.from_bytes(image[place + 2 : place + 4], "big")
        if marker == _DATA:
            following = _AFTER_DATA.search(image, place)
            end = len(image) if following is None else following.start()
        elif marker == _COMMENT_2000:
            # What kind of text it is stays, as the standard asks for it.
            text = slice(place + 6, min(end, len(image)))
            blanked[text] = bytes(len(blanked[text]))
        place = end
    return bytes(blanked)
