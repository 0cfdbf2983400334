"""Videos: the cine exports of workstations, decoded when they are opened."""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NoReturn

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from .header import ImageError, check_size

# How the first box of an MP4 or MOV may be called.
_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
# What exports are coded by. FFmpeg has hundreds of decoders more, few of them as well tested.
_CODECS = (
    "h264", "hevc", "libdav1d", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4", "mjpeg", "png",
    "prores", "dvvideo", "rawvideo", "huffyuv", "ffv1", "msrle", "msvideo1", "cinepak", "indeo5", "qtrle",
)  # fmt: skip
# Pixels of a frame that is decoded to learn what the file declares, 8K; later, how many more a decoder may need.
_LARGEST_FRAME, _MORE = 1 << 25, 1 << 21
# The tables that say how many samples there are: all of one size, or each of its own, in so many bits.
_SAMPLES = re.compile(rb"(?=stsz.{4}(.{4})(.{4})|stz2.{7}(.)(.{4}))", re.DOTALL)
# Boxes that stand for any number of samples, however small they are themselves.
_UNBOUNDED = re.compile(rb"moof|trun|cmov")
# The channels of a pixel with a colour differ by more, and a frame with colours has a larger share of such pixels.
_COLOURFUL, _SHARE = 32, 0.01


class _ColourError(Exception):
    """A video that was taken for gray has colours."""


def container_of(path: Path) -> str | None:
    """Return what a video is packed in by its first bytes: `mov`, which MP4 is too, or `avi`; None for other files."""
    with open(path, "rb") as file:
        head = file.read(132)
    if head[128:] == b"DICM":
        return None
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    return "mov" if head[4:8] in _BOXES else None


def read_video(path: Path, container: str) -> tuple[np.ndarray, tuple[float, ...]]:
    """Decode a video.

    Frames are turned upright where the file says so, as players do. Pixels that are not square are left as they are,
    and frames that an edit list hides are shown.

    Parameters
    ----------
    path : Path
    container : str
        What it is packed in, see `container_of`.

    Returns
    -------
    frames : ndarray of uint8, (frames, rows, columns, channels)
        One channel if no frame has colours, else three.
    times : tuple of float
        When each frame is shown, in milliseconds from the first; empty if there is one only, or it is not known.

    Raises
    ------
    ImageError
        If there is no video, or it is too large, damaged, cut short, or of a codec that is not read.
    """
    try:
        if container == "mov":
            _check_boxes(path)
        try:
            return _decoded(path, container, "gray")
        except _ColourError:
            return _decoded(path, container, "rgb24")
    except av.FFmpegError as error:
        raise ImageError(f"{path.name} is damaged, cut short or no video; copy or export it again") from error


def _check_boxes(path: Path) -> None:
    """Refuse MP4 and MOV that are cut short, or declare more samples than they can hold: a table of all is made."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place, listed = 0, 0
        while place + 16 <= len(content):
            length, kind, longer = struct.unpack_from(">I4sQ", content, place)
            end = place + (longer if length == 1 else length or len(content) - place)
            if not place + 8 <= end <= len(content):
                raise ImageError(f"{path.name} is damaged or cut short; copy or export it again")
            if kind != b"mdat":
                if _UNBOUNDED.search(content, place, end):
                    raise ImageError(f"{path.name} is an MP4 in fragments or a packed one; save it as an ordinary MP4")
                for table in _SAMPLES.finditer(content, place, end):
                    size, count, bits, counted = (int.from_bytes(number or b"", "big") for number in table.groups())
                    listed += count * (size or 4) + counted * bits // 8
            place = end
        if listed > len(content):
            raise ImageError(f"{path.name} declares more samples than it holds; copy or export it again")


def _decoded(path: Path, container: str, kind: str) -> tuple[np.ndarray, tuple[float, ...]]:
    # One converter for all frames: most of the time would go into making it.
    wanted, colours = VideoReformatter(), VideoReformatter()
    frames, stamps = list[np.ndarray](), list[Fraction | None]()
    for frame in _frames(path, container, 1 if kind == "gray" else 3):
        if kind == "gray" and _has_colours(colours.reformat(frame, format="rgb24").to_ndarray()):
            raise _ColourError
        pixels = wanted.reformat(frame, format=kind).to_ndarray().reshape(frame.height, frame.width, -1)
        frames.append(np.rot90(pixels, round(frame.rotation / 90)))
        stamps.append(None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base)
    return np.stack(frames), _times(stamps)


def _has_colours(pixels: np.ndarray) -> bool:
    """Say so of a frame (rows, columns, RGB); compression gives gray some colour that is not meant."""
    return bool((np.ptp(pixels[::4, ::4], axis=-1) > _COLOURFUL).mean() > _SHARE)


def _times(stamps: list[Fraction | None]) -> tuple[float, ...]:
    # AVI knows the order in which frames are decoded only; they are shown at the same times.
    known = sorted({stamp for stamp in stamps if stamp is not None})
    if len(stamps) < 2 or len(known) < len(stamps):
        return ()
    return tuple(float(1000 * (stamp - known[0])) for stamp in known)


def _frames(path: Path, container: str, channels: int) -> Iterator[av.VideoFrame]:
    """Yield the frames of a video if it is whole; none but this file is opened, whatever it names."""
    options = {"codec_whitelist": ",".join(_CODECS), "max_pixels": str(_LARGEST_FRAME), "ignore_editlist": "1"}
    with (
        open(path, "rb") as file,
        av.open(file, "r", container, options, metadata_errors="replace", io_open=_refuse) as source,
    ):
        stream = _stream(path, source)
        size, count, held = (stream.height, stream.width), 0, 0
        check_size(path, (stream.frames, *size, channels))
        for packet in source.demux(stream):
            for frame in packet.decode():
                size = size if count else (frame.height, frame.width)
                count += 1
                if frame.is_corrupt or (frame.height, frame.width) != size:
                    raise ImageError(f"{path.name} is damaged at frame {count}; copy or export it again")
                check_size(path, (max(count, stream.frames), *size, channels))
                yield frame
            if packet.is_corrupt:
                raise ImageError(f"{path.name} is cut short at frame {count}; copy or export it again")
            # In AVI a frame that is shown for longer counts as several.
            held = max(held, count, 1 + packet.dts if container == "avi" and packet.dts is not None else 0)
        if held < stream.frames or not count:
            raise ImageError(
                f"{path.name} should hold {stream.frames} frames, but holds {held}; copy or export it again"
            )


def _stream(path: Path, source: InputContainer) -> VideoStream:
    """Return the one video of a file, ready to be decoded."""
    streams = [stream for stream in source.streams.video if not stream.disposition & Disposition.attached_pic]
    if len(streams) != 1:
        raise ImageError(f"{path.name} holds {len(streams)} videos; export a file that holds one")
    (stream,) = streams
    codec = stream.codec_context.name if stream.codec_context else "an unknown codec"
    if codec not in _CODECS:
        raise ImageError(f"{path.name} is coded by {codec}, which is not read; export it as H.264 or Motion JPEG")
    if stream.frames < 1:
        raise ImageError(f"{path.name} does not say how many frames it holds; save it again as MP4 or AVI")
    stream.codec_context.options = {"max_pixels": str(stream.width * stream.height + _MORE)}
    stream.thread_type = "AUTO"
    return stream


def _refuse(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise PermissionError(f"a video refers to {url}")
