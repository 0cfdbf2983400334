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


def test_a_jpeg_2000_loses_its_comment_and_no_pixel() -> None:
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "JPEG2000", no_jp2=True, comment="Kunigunde")
    after = without_comments(buffer.getvalue())
    assert b"Kunigunde" in buffer.getvalue()
    assert b"Kunigunde" not in after
    assert np.array_equal(Image.open(io.BytesIO(after)), PIXELS)


@given(st.integers(0, 600), st.binary(max_size=40))
def test_what_is_damaged_is_no_error(cut: int, end: bytes) -> None:
    without_comments(jpeg()[:cut] + end)
    without_comments(b"\xff\x4f" + end)


def test_other_codings_are_left_as_they_are() -> None:
    assert without_comments(b"\x01\0\0\0 run lengths") == b"\x01\0\0\0 run lengths"
