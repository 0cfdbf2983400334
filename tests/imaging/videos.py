"""Videos, made for tests, and changed afterwards."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

RATE = 15
FRAMES, ROWS, COLUMNS = 12, 48, 64


def run(frames: int = FRAMES, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Return gray frames (frames, rows, columns) in which something moves, smooth enough to be compressed well."""
    time, y, x = np.ogrid[:frames, :rows, :columns]
    return (120 + 60 * np.sin((x + 3 * time) / 9) + 40 * np.cos(y / 7)).astype(np.uint8)


def coloured(gray: np.ndarray) -> np.ndarray:
    """Return frames with a reddish colour, as of a fundus."""
    return np.stack([gray, gray // 2, gray // 4], axis=-1)


def encoded(
    path: Path,
    frames: np.ndarray,
    codec: str = "libx264",
    form: str = "yuv420p",
    pts: Sequence[int] | None = None,
    aspect: int = 1,
    streams: int = 1,
    metadata: str = "",
    **container: str,
) -> Path:
    """Write frames, gray or RGB, as a video of 15 a second, or several such."""
    with av.open(str(path), "w", container_options=container) as file:
        file.metadata["title"] = metadata
        made = [file.add_stream(codec, rate=RATE) for _ in range(streams)]
        for stream in made:
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], form
            stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        for number, pixels in enumerate(frames):
            for stream in made:
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24" if pixels.ndim == 3 else "gray")
                frame.pts, frame.time_base = pts[number] if pts else number, Fraction(1, RATE)
                file.mux(stream.encode(frame))
        for stream in made:
            file.mux(stream.encode())
    return path


def box(kind: bytes, *parts: bytes) -> bytes:
    """Return a box of MP4 and MOV."""
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_numbers(content: bytes, kind: bytes, offset: int, *numbers: int, order: str = ">") -> bytes:
    """Return a video with other numbers of 32 bits, so many bytes behind the name of a box or chunk."""
    place = content.index(kind) + len(kind) + offset
    packed = struct.pack(f"{order}{len(numbers)}I", *(number & 0xFFFFFFFF for number in numbers))
    return content[:place] + packed + content[place + len(packed) :]


def with_pixels_in(content: bytes, other: Path) -> bytes:
    """Return a MOV without its pixels, whose header says that they are in another file."""
    path, name = str(other).encode(), other.name.encode()
    alias = bytes(10) + b"\3" + b"vol".ljust(27, b"\0") + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0")
    alias += bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    alias += struct.pack(">HH", 2, len(path)) + path.ljust(len(path) + len(path) % 2, b"\0") + struct.pack(">hH", -1, 0)
    entry = box(b"alis", bytes(4), alias)
    start = content.index(b"mdat")
    (length,) = struct.unpack_from(">I", content, start - 4)
    content = content[: start + 4] + bytes(length - 8) + content[start - 4 + length :]
    old = box(b"url ", bytes([0, 0, 0, 1]))
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        (length,) = struct.unpack_from(">I", content, content.index(kind) - 4)
        content = with_numbers(content, kind, -8, length + len(entry) - len(old))
    return content.replace(old, entry)


def sound(path: Path) -> Path:
    """Write a file of nothing but silence."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    return path
