"""TIFF: pages of one kind are frames, and what its reader would hang or die at is refused."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from salt_monailabel.imaging import ImageError, read_study

from .stored import STACK, noise

PREVIEW, PAGE = 1, 2


def changed(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def pages(path: Path, *kinds: tuple[np.ndarray, int | None]) -> Path:
    """Write pages, each with the kind it says it is of, if it says so."""
    with tifffile.TiffWriter(path) as file:
        for pixels, kind in kinds:
            file.write(pixels, subfiletype=kind, photometric="minisblack", contiguous=False, metadata=None)
    return path


COLOUR = noise(20, 30, 3, dtype=np.uint16)
TILED = {"tile": (16, 16)}


@pytest.mark.parametrize(
    ("pixels", "stored_as"),
    [
        pytest.param(noise(20, 30, dtype=np.uint16), TILED, id="16 bits in tiles"),
        pytest.param(noise(20, 30, dtype=np.uint16), {**TILED, "byteorder": ">"}, id="the large byte first"),
        pytest.param(noise(20, 30, dtype=np.int16), TILED, id="a sign in tiles"),
        pytest.param(noise(3, 20, 30, dtype=np.uint16), {**TILED, "photometric": "minisblack"}, id="pages in tiles"),
        pytest.param(noise(20, 30, dtype=np.float32), TILED, id="single precision in tiles"),
        pytest.param(noise(20, 30, dtype=np.float64), {}, id="double precision"),
        pytest.param(COLOUR, {**TILED, "photometric": "rgb"}, id="colours in tiles"),
        pytest.param(COLOUR, {"photometric": "rgb", "planarconfig": "separate"}, id="colours in planes"),
        pytest.param(COLOUR, {**TILED, "photometric": "rgb", "planarconfig": "separate"}, id="planes in tiles"),
        pytest.param(noise(20, 30, 3), {"photometric": "rgb", "planarconfig": "separate"}, id="shallow planes"),
    ],
)
def test_values_come_back_as_they_are_however_they_are_arranged(
    tmp_path: Path, pixels: np.ndarray, stored_as: dict[str, Any]
) -> None:
    arranged = np.moveaxis(pixels, -1, 0) if "planarconfig" in stored_as else pixels
    tifffile.imwrite(tmp_path / "scan.tif", arranged, metadata=None, **stored_as)
    read = read_study(tmp_path / "scan.tif").pixels
    assert read.dtype == pixels.dtype
    assert np.array_equal(read, pixels.reshape(read.shape))


def test_half_precision_is_read_as_single(tmp_path: Path) -> None:
    pixels = noise(20, 30, dtype=np.float16)
    tifffile.imwrite(tmp_path / "scan.tif", pixels)
    read = read_study(tmp_path / "scan.tif").pixels
    assert read.dtype == np.float32
    assert np.array_equal(read[0, ..., 0], pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("beside", ["unassalpha", "unspecified"])
def test_what_lies_beside_gray_is_left_out(tmp_path: Path, dtype: type, beside: str) -> None:
    pixels = noise(20, 30, 2, dtype=dtype)
    tifffile.imwrite(
        tmp_path / "scan.tif", pixels, photometric="minisblack", planarconfig="contig", extrasamples=[beside]
    )
    assert np.array_equal(read_study(tmp_path / "scan.tif").pixels, pixels[None, ..., :1])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("stored_as", [{}, {"compression": "zlib"}, TILED])
def test_a_negative_is_read_as_it_is_stored_for_it_may_be_a_mask(
    tmp_path: Path, dtype: type, stored_as: dict[str, Any]
) -> None:
    if dtype is np.uint8 and stored_as is TILED:
        pytest.skip("SimpleITK shows those of 8 bits as they are meant")
    pixels = noise(2, 20, 30, dtype=dtype)
    tifffile.imwrite(tmp_path / "scan.tif", pixels, photometric="miniswhite", metadata=None, **stored_as)
    read = read_study(tmp_path / "scan.tif").pixels
    assert np.array_equal(read, np.broadcast_to(pixels[..., None], read.shape))


def test_numbers_of_a_kind_that_is_not_told_have_no_sign(tmp_path: Path) -> None:
    pixels = noise(20, 30, dtype=np.int16)
    tifffile.imwrite(tmp_path / "scan.tif", pixels, metadata=None)
    content = bytearray((tmp_path / "scan.tif").read_bytes())
    entry = content.index(struct.pack("<HHI", 339, 3, 1))
    content[entry + 8 : entry + 10] = struct.pack("<H", 4)
    (tmp_path / "scan.tif").write_bytes(content)
    assert np.array_equal(read_study(tmp_path / "scan.tif").pixels[0, ..., 0], pixels.view(np.uint16))


@pytest.mark.parametrize(
    "stored_as",
    [
        pytest.param({**TILED, "compression": "zlib"}, id="compressed tiles"),
        pytest.param({"extratags": [(274, 3, 1, 3, True)]}, id="upside down"),
    ],
)
def test_what_would_become_8_bits_is_refused(tmp_path: Path, stored_as: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "scan.tif", noise(20, 30, dtype=np.uint16), metadata=None, **stored_as)
    with pytest.raises(ImageError, match=r"scan\.tif has pixels of 16 bits .*; save it as \.png"):
        read_study(tmp_path / "scan.tif")


def test_gray_with_alpha_that_lies_sideways_is_refused(tmp_path: Path) -> None:
    sideways = {"extrasamples": ["unassalpha"], "extratags": [(274, 3, 1, 6, True)], "photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "scan.tif", noise(20, 30, 2), metadata=None, **sideways)
    with pytest.raises(ImageError, match=r"scan\.tif has pixels of 8 bits .* turned"):
        read_study(tmp_path / "scan.tif")


def test_rows_from_the_bottom_upwards_are_turned(tmp_path: Path) -> None:
    pixels = noise(20, 30, dtype=np.uint16)
    for name, stored_as in (("rows.tif", {}), ("tiles.tif", TILED)):
        tifffile.imwrite(tmp_path / name, pixels, metadata=None, extratags=[(274, 3, 1, 4, True)], **stored_as)
        assert np.array_equal(read_study(tmp_path / name).pixels[0, ..., 0], pixels[::-1])


FIRST, SECOND, SMALL = noise(20, 30), noise(20, 30)[::-1], noise(10, 15)


@pytest.mark.parametrize("kind", [None, 0, PAGE])
def test_pages_of_one_kind_are_frames(tmp_path: Path, kind: int | None) -> None:
    study = read_study(pages(tmp_path / "scan.tif", (FIRST, kind), (SECOND, kind)))
    assert np.array_equal(np.asarray(study.pixels)[..., 0], [FIRST, SECOND])


@pytest.mark.parametrize("kind", [None, 0, PAGE])
def test_a_preview_behind_the_pages_is_passed_over(tmp_path: Path, kind: int | None) -> None:
    study = read_study(pages(tmp_path / "a.tif", (FIRST, kind), (SECOND, kind), (SMALL, PREVIEW)))
    assert np.array_equal(np.asarray(study.pixels)[..., 0], [FIRST, SECOND])
    study = read_study(pages(tmp_path / "b.tif", (FIRST, kind), (SMALL, PREVIEW)))
    assert np.array_equal(np.asarray(study.pixels)[..., 0], [FIRST])


@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param([(SMALL, PREVIEW), (FIRST, PAGE), (SECOND, PAGE)], id="a preview before the pages"),
        pytest.param([(FIRST, PREVIEW), (SECOND, PAGE), (FIRST, PAGE)], id="a preview as large as they"),
        pytest.param([(FIRST, 0), (SECOND, PAGE)], id="one page and another kind of page"),
        pytest.param([(FIRST, 0), (SECOND, None)], id="one page and another that says nothing"),
        pytest.param([(FIRST, None), (SMALL, None)], id="a small page"),
        pytest.param([(SMALL, None), (FIRST, None)], id="a large page"),
        pytest.param([(FIRST, None), (SECOND.astype(np.uint16), None)], id="a deep page"),
        pytest.param([(FIRST, None), (noise(20, 30, 3), None)], id="a page in colour"),
    ],
)
def test_pages_of_several_kinds_are_refused(tmp_path: Path, kinds: list[tuple[np.ndarray, int | None]]) -> None:
    with pytest.raises(ImageError, match=r"scan\.tif has pages of several sizes or kinds; export those of one kind"):
        read_study(pages(tmp_path / "scan.tif", *kinds))


def test_transparency_is_left_out_of_all_pages(tmp_path: Path) -> None:
    pixels = noise(*STACK, 2)
    first, *others = (Image.fromarray(page, "LA") for page in pixels)
    first.save(tmp_path / "scan.tif", save_all=True, append_images=others)
    assert np.array_equal(read_study(tmp_path / "scan.tif").pixels, pixels[..., :1])


def with_next_page(content: bytes, page: int, following: int | None) -> bytes:
    """Return a TIFF in which another page, or a place behind the end, follows one of its pages."""
    wide = content[2] == 43
    form, count, entry, at = ("<Q", "<Q", 20, 8) if wide else ("<I", "<H", 12, 4)
    pages = []
    while (place := struct.unpack_from(form, content, at)[0]) and len(pages) <= page:
        pages.append(place)
        at = place + struct.calcsize(count) + entry * struct.unpack_from(count, content, place)[0]
    changed = bytearray(content)
    struct.pack_into(form, changed, at, len(content) if following is None else pages[following])
    return bytes(changed)


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(("page", "following"), [(0, 0), (2, 0), (2, 1), (2, 2)])
def test_a_tiff_whose_pages_follow_each_other_in_a_circle_is_refused(
    tmp_path: Path, page: int, following: int, wide: bool
) -> None:
    pages = [Image.fromarray(np.full((4, 6), n, np.uint8)) for n in range(3)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:], big_tiff=wide)
    content = (tmp_path / "scan.tif").read_bytes()
    assert read_study(tmp_path / "scan.tif").shape == (3, 4, 6)
    with pytest.raises(ImageError, match=r"scan\.tif has pages that follow each other in a circle"):
        read_study(changed(tmp_path / "scan.tif", with_next_page(content, page, following)))
    with pytest.raises(ImageError, match=r"scan\.tif is damaged or cut short"):
        read_study(changed(tmp_path / "scan.tif", with_next_page(content, page, None)))
