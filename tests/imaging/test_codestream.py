"""Comments in compressed images: gone, and the pixels are the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from salt_monailabel.imaging.codestream import without_comments

PIXELS = np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8)


def jpeg(**options: object) -> bytes:
    about = Image.Exif()
    about[0x0132] = "2021:03:17 Zebrowska"
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG", exif=about, comment=b"Kunigunde", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"dpi": (72, 72)}, {"quality": 5}])
def test_a_jpeg_loses_its_exif_and_comment_and_no_pixel(options: dict[str, object]) -> None:
    before = jpeg(**options)
    after = without_comments(before)
    assert b"Zebrowska" in before
    assert b"Zebrowska" not in after
    assert b"Kunigunde" not in after
    assert np.array_equal(Image.open(io.BytesIO(after)), Image.open(io.BytesIO(before)))
    assert without_comments(after) == after


def test_a_jpeg_in_the_colours_of_print_keeps_what_says_so() -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).convert("CMYK").save(buffer, "JPEG")
    after = without_comments(buffer.getvalue())
    assert b"Adobe" in after
    assert np.array_equal(Image.open(io.BytesIO(after)), Image.open(buffer))


@pytest.mark.parametrize("fill", [b"\xff", b"\xff\xff\xff"])
def test_bytes_that_fill_up_before_a_marker_hide_nothing(fill: bytes) -> None:
    before = jpeg()
    exif = before.index(b"\xff\xe1")
    filled = before[:exif] + fill + before[exif:]
    assert np.array_equal(Image.open(io.BytesIO(filled)), Image.open(io.BytesIO(before)))
    assert without_comments(filled) == without_comments(before)


def test_what_is_written_between_scans_and_after_the_end_is_gone() -> None:
    before = jpeg(progressive=True)
    second = before.index(b"\xff\xda", before.index(b"\xff\xda") + 2)
    comment = b"\xff\xfe\0\x0bKunigunde"
    between = before[:second] + comment + before[second:]
    assert without_comments(between + b"Zebrowska\xff\xd9") == without_comments(before)
    assert np.array_equal(Image.open(io.BytesIO(without_comments(between))), Image.open(io.BytesIO(before)))


def test_a_jpeg_that_is_cut_short_keeps_what_there_is_of_its_pixels() -> None:
    before = jpeg()
    after = without_comments(before[:-20])
    assert b"Kunigunde" not in after
    assert after == without_comments(before)[:-20]


def jpeg_2000() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG2000", no_jp2=True, comment="Kunigunde", tile_size=(16, 16))
    return buffer.getvalue()


def test_a_jpeg_2000_loses_its_comment_and_no_pixel() -> None:
    after = without_comments(jpeg_2000())
    assert b"Kunigunde" in jpeg_2000()
    assert b"Kunigunde" not in after
    assert np.array_equal(Image.open(io.BytesIO(after)), PIXELS)
    assert without_comments(after) == after


def test_a_jpeg_2000_has_no_comments_in_its_tiles_and_after_its_end() -> None:
    before = jpeg_2000()
    tile = before.rindex(b"\xff\x90\0\x0a")
    length = int.from_bytes(before[tile + 6 : tile + 10], "big")
    comment = b"\xff\x64\0\x0d\0\x01Zebrowska"
    longer = (length + len(comment)).to_bytes(4, "big")
    header = before[tile : tile + 6] + longer + before[tile + 10 : tile + 12] + comment
    commented = before[:tile] + header + before[tile + 12 :]
    after = without_comments(commented + b"Zebrowska")
    assert b"Zebrowska" not in after
    for image in (commented, after):
        assert np.array_equal(Image.open(io.BytesIO(image)), PIXELS)


@given(st.integers(0, 600), st.binary(max_size=40))
def test_what_is_damaged_is_no_error(cut: int, end: bytes) -> None:
    without_comments(jpeg()[:cut] + end)
    without_comments(b"\xff\x4f" + end)


def test_other_codings_are_left_as_they_are() -> None:
    assert without_comments(b"\x01\0\0\0 run lengths") == b"\x01\0\0\0 run lengths"
