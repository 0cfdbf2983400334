"""MetaImage: its header is looked at before its reader, which believes everything, is given it."""

from __future__ import annotations

import re
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from salt_monailabel.imaging import ImageError, header, read_study

from .. import hostile
from .stored import STACK, noise, stored

PIXELS = noise(20, 30)


def meta(*fields: str, pixels: bytes = PIXELS.tobytes(), end: str = "LOCAL", line: str = "\n") -> bytes:
    """Return an image of 30 columns and 20 rows, with other fields in the place of, or after, those it has."""
    lines = {"ObjectType": "Image", "NDims": "2", "DimSize": "30 20", "ElementType": "MET_UCHAR"}
    lines |= dict(field.split(" = ") for field in fields)
    text = [f"{name} = {value}" for name, value in lines.items()]
    return line.join([*text, f"ElementDataFile = {end}", ""]).encode() + pixels


def packed(pixels: bytes, size: int | None = None, lost: int = 0) -> bytes:
    """Return the image with its pixels compressed, so many bytes by its header, and some lost."""
    data = zlib.compress(pixels)
    data = data[: len(data) - lost]
    return meta("CompressedData = True", f"CompressedDataSize = {size or len(data)}", pixels=data)


def refused(path: Path, content: bytes, message: str = "") -> None:
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"{re.escape(path.name)}.*{message}"):
        read_study(path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_a_stack_comes_back_to_the_bit_compressed_or_not(tmp_path: Path, dtype: type, compressed: bool) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(noise(*STACK, dtype=dtype)), str(tmp_path / "a.mha"), compressed)
    assert np.array_equal(read_study(tmp_path / "a.mha").pixels[..., 0], noise(*STACK, dtype=dtype))


@pytest.mark.parametrize("name", ["scan.mha", "SCAN.MHA", "scan.mhd", "scan.nrrd", "scan"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_it_is_read_whatever_it_is_called_and_however_its_lines_end(tmp_path: Path, name: str, line: str) -> None:
    (tmp_path / name).write_bytes(meta("PatientName = Müller", "0008|0060 = XA", line=line))
    assert np.array_equal(read_study(tmp_path / name).pixels[0, ..., 0], PIXELS)


@pytest.mark.parametrize("name", ["scan.mha", "scan.mhd", "scan.nrrd", "scan.dcm", "scan"])
def test_one_whose_pixels_lie_elsewhere_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(26)) * 40)
    refused(tmp_path / name, hostile.meta_image(secret), "save both together, as .mha")


@pytest.mark.parametrize(
    "content",
    [
        meta(end="{}"),
        meta(end="{} LOCAL"),
        meta(end="LIST\n{}"),
        meta(end="%d"),
        meta("ElementDataFile = {}"),
        meta().replace(b"ElementDataFile", b"ElementDataFile: {}\nElementDataFile"),
        meta().replace(b"ElementDataFile", b" ElementDataFile = {}\nElementDataFile"),
        meta().replace(b"ElementDataFile", b"ElementDataFile\0x = {}\nElementDataFile"),
        # Its reader looks for two lengths, wherever they are.
        meta("DimSize = 30", "20ElementDataFile = {}"),
        meta("Comment = " + "x" * 40_000),
    ],
)
def test_no_spelling_makes_it_open_another_file(tmp_path: Path, content: bytes) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(PIXELS.tobytes())
    refused(tmp_path / "scan.mha", content.replace(b"{}", str(secret).encode()))


@pytest.mark.parametrize(
    "field",
    [
        *(f"NDims = {number}" for number in ("-1", "0", "1", "3", "5000", "2147483648", "two")),
        *(f"DimSize = {sizes}" for sizes in ("30", "-30 20", "30 20 1", "3e1 20", "")),
        "ElementNumberOfChannels = -1",
        "ElementType = MET_OTHER",
        "HeaderSize = 99",
    ],
)
def test_a_header_its_reader_would_hang_or_die_at_is_refused(tmp_path: Path, field: str) -> None:
    refused(tmp_path / "scan.mha", meta(field), "damaged or unusual")


@pytest.mark.parametrize("name", ["TransformMatrix", "Rotation", "Orientation"])
@pytest.mark.parametrize(
    "axes",
    ["0 0 0 0", "1 0 1 0", "nan 0 0 1", "1e999 0 0 1", "2 0 0 2", "1e308 1e308 -1e308 1e308", "1 0 0", "x 0 0 1", ""],
)
def test_axes_that_are_none_are_refused(tmp_path: Path, name: str, axes: str) -> None:
    refused(tmp_path / "scan.mha", meta(f"{name} = {axes}"), "does not say where in space it lies")


@pytest.mark.parametrize("field", ["Offset = nan 0", "ElementSpacing = 1e999 1", "Position = one two"])
def test_places_that_are_no_numbers_are_refused(tmp_path: Path, field: str) -> None:
    refused(tmp_path / "scan.mha", meta(field), "does not say where in space it lies")


def test_axes_that_were_rounded_are_axes(tmp_path: Path) -> None:
    (tmp_path / "scan.mha").write_bytes(meta("TransformMatrix = 0.707 0.707 -0.707 0.707"))
    study = read_study(tmp_path / "scan.mha")
    assert study.geometry.direction == (0.707, -0.707, 0.707, 0.707)


def test_a_field_said_twice_is_refused(tmp_path: Path) -> None:
    twice = meta().replace(b"ElementDataFile", b"DimSize = 10 60\nElementDataFile")
    refused(tmp_path / "scan.mha", twice, "damaged or unusual")


@pytest.mark.parametrize("field", ["DimSize = 100000 100000", "ElementNumberOfChannels = 1000000"])
def test_one_that_declares_too_much_is_refused(tmp_path: Path, field: str) -> None:
    refused(tmp_path / "scan.mha", meta(field), "values, more than the .* crop it")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(packed(PIXELS.tobytes()[:-1]), id="too little"),
        pytest.param(packed(PIXELS.tobytes() * 2), id="too much"),
        pytest.param(packed(bytes(1 << 28)), id="far too much"),
        pytest.param(packed(PIXELS.tobytes(), 300), id="a part"),
        pytest.param(packed(PIXELS.tobytes(), 10**30, lost=9), id="cut short"),
        pytest.param(packed(PIXELS.tobytes(), lost=2), id="without a checksum"),
        pytest.param(meta("CompressedData = True", pixels=zlib.compress(PIXELS.tobytes())), id="of no size"),
        pytest.param(meta("CompressedData = True", "CompressedDataSize = -1"), id="of a size below zero"),
    ],
)
def test_compressed_pixels_that_are_not_whole_are_refused(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path / "scan.mha", content)


def test_a_bit_that_flipped_in_compressed_pixels_is_seen(tmp_path: Path) -> None:
    content = packed(PIXELS.tobytes())
    start = content.index(b"LOCAL\n") + 6
    for place in range(start, len(content), 29):
        flipped = bytearray(content)
        flipped[place] ^= 0x10
        (tmp_path / "scan.mha").write_bytes(flipped)
        with suppress(ImageError):
            assert np.array_equal(read_study(tmp_path / "scan.mha").pixels[0, ..., 0], PIXELS)


def test_as_much_is_read_as_of_other_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path / "scan.mha", PIXELS)
    monkeypatch.setattr(header, "LARGEST", PIXELS.size)
    assert read_study(path).pixels.size == PIXELS.size
    monkeypatch.setattr(header, "LARGEST", PIXELS.size - 1)
    with pytest.raises(ImageError, match=r"scan\.mha declares 30 x 20 x 1 values"):
        read_study(path)
