"""Netpbm: values come back as they are stored, however they are written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from salt_monailabel.imaging import ImageError, read_study
from salt_monailabel.imaging.netpbm import read_netpbm

from .stored import FLAT, noise, stored


def content(pixels: np.ndarray, most: int, written_out: bool, between: bytes = b"\n") -> bytes:
    """Return a file of pixels, (rows, columns[, 3]), with something between the numbers of its header."""
    kind = b"P%d" % ((2 if written_out else 5) + (pixels.ndim == 3))
    head = between.join([kind, b"%d" % pixels.shape[1], b"%d" % pixels.shape[0], b"%d" % most]) + b"\n"
    if written_out:
        return head + b" ".join(b"%d" % value for value in pixels.ravel().tolist())
    return head + pixels.astype(">u2" if most > 255 else np.uint8).tobytes()


@given(
    pixels=array_shapes(min_dims=2, max_dims=2, max_side=6).flatmap(
        lambda shape: arrays(np.uint16, st.sampled_from([shape, (*shape, 3)]))
    ),
    spare=st.integers(0, 300),
    written_out=st.booleans(),
    between=st.sampled_from([b" ", b"\n", b"\t\r\n", b"\n# by 1 program\n", b"#\n"]),
)
def test_values_come_back_as_they_are_stored(
    tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray, spare: int, written_out: bool, between: bytes
) -> None:
    most = min(max(1, int(pixels.max()) + spare), 65535)
    path = tmp_path_factory.getbasetemp() / "image.pgm"
    path.write_bytes(content(pixels, most, written_out, between))
    read = read_netpbm(path)
    assert read.dtype == (np.uint8 if most < 256 else np.uint16)
    assert np.array_equal(read[0], pixels)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        pytest.param(lambda whole: whole[:-1], "is damaged or cut short", id="cut short"),
        pytest.param(lambda whole: whole.replace(b"\n255\n", b"\n90\n"), "is damaged", id="brighter than it says"),
        pytest.param(lambda whole: whole.replace(b"\n30\n", b"\nx\n"), "has a header that is damaged", id="no number"),
        pytest.param(lambda whole: whole.replace(b"\n30\n", b"\n0\n"), r"has the size \(0, 20\)", id="no columns"),
        pytest.param(lambda whole: whole.replace(b"\n30\n", b"\n999999999\n"), "declares", id="too many columns"),
        pytest.param(lambda whole: 2 * whole, "holds several images", id="two images"),
    ],
)
def test_what_is_damaged_or_several_is_refused(tmp_path: Path, broken: Callable[[bytes], bytes], message: str) -> None:
    path = tmp_path / "scan.pgm"
    path.write_bytes(broken(content(noise(*FLAT), 255, False)))
    with pytest.raises(ImageError, match=rf"scan\.pgm {message}"):
        read_study(path)


@pytest.mark.parametrize("damage", [b" x", b" -1", b" 300", b""])
def test_numbers_that_are_none_or_missing_are_refused(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "scan.pgm"
    path.write_bytes(b"P2 3 2 255 0 1 2 3 4" + damage)
    with pytest.raises(ImageError, match=r"scan\.pgm is damaged or cut short"):
        read_study(path)


def test_what_pillow_writes_is_read(tmp_path: Path) -> None:
    pixels = noise(*FLAT, dtype=np.uint16)
    assert np.array_equal(read_netpbm(stored(tmp_path / "image.pgm", pixels))[0], pixels)
