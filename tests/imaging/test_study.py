"""Files: every format is read to the bit, and what cannot be used is refused by name."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import DTypeLike
from PIL import ExifTags, Image

from salt_monailabel.imaging import EXTENSIONS, ImageError, extension_of, read_mask, read_study, split_name, write_mask

from .stored import BY_PILLOW, FLAT, HOLDS_GEOMETRY, STACK, noise, stored, stored_image

GRAY = (".png", ".tif", ".nii", ".nii.gz", ".nrrd", ".mha")
STACKS = (".tif", ".nii", ".nii.gz", ".nrrd", ".mha")
VIDEOS = (".mp4", ".mov", ".m4v", ".avi")
# What a tool that is stopped half-way leaves: enough of the file that its header is whole.
SHARES = (0.6, 0.95)


@pytest.mark.parametrize("extension", GRAY)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_gray_image_comes_back_to_the_bit(tmp_path: Path, extension: str, dtype: DTypeLike) -> None:
    pixels = noise(*FLAT, dtype=dtype)
    study = read_study(stored(tmp_path / f"image{extension}", pixels))
    assert study.pixels.dtype == dtype
    assert np.array_equal(study.pixels, pixels[None, ..., None])
    assert study.shape == (1, *FLAT)
    assert study.name == f"image{extension}"


@pytest.mark.parametrize("extension", GRAY)
def test_a_colour_image_comes_back_to_the_bit(tmp_path: Path, extension: str) -> None:
    pixels = noise(*FLAT, 3)
    study = read_study(stored(tmp_path / f"image{extension}", pixels, colour=True))
    assert np.array_equal(study.pixels, pixels[None])


@pytest.mark.parametrize("extension", STACKS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_stack_comes_back_to_the_bit(tmp_path: Path, extension: str, dtype: DTypeLike) -> None:
    pixels = noise(*STACK, dtype=dtype)
    study = read_study(stored(tmp_path / f"stack{extension}", pixels))
    assert study.pixels.dtype == dtype
    assert np.array_equal(study.pixels, pixels[..., None])
    assert study.shape == STACK


@pytest.mark.parametrize("extension", STACKS)
def test_a_colour_stack_comes_back_to_the_bit(tmp_path: Path, extension: str) -> None:
    pixels = noise(*STACK, 3)
    study = read_study(stored(tmp_path / f"stack{extension}", pixels, colour=True))
    assert np.array_equal(study.pixels, pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate"])
def test_the_pages_of_a_tiff_are_frames_in_their_depth(tmp_path: Path, dtype: DTypeLike, compression: str) -> None:
    pages = [Image.fromarray(page) for page in noise(*STACK, dtype=dtype)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:], compression=compression)
    study = read_study(tmp_path / "pages.tif")
    assert study.pixels.dtype == dtype
    assert np.array_equal(np.asarray(study.pixels)[..., 0], noise(*STACK, dtype=dtype))
    assert study.spacing is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_a_gray_dicom_of_one_frame_comes_back_to_the_bit(tmp_path: Path, dtype: DTypeLike) -> None:
    pixels = noise(*FLAT, dtype=dtype)
    study = read_study(stored(tmp_path / "image.dcm", pixels))
    assert np.array_equal(study.pixels, pixels[None, ..., None])


def test_a_colour_dicom_comes_back_to_the_bit(tmp_path: Path) -> None:
    study = read_study(stored(tmp_path / "image.dcm", noise(*FLAT, 3), colour=True))
    assert np.array_equal(study.pixels, noise(*FLAT, 3)[None])


@pytest.mark.parametrize("extension", BY_PILLOW)
def test_a_picture_that_pillow_writes_comes_back_to_the_bit(tmp_path: Path, extension: str) -> None:
    study = read_study(stored(tmp_path / f"gray{extension}", noise(*FLAT)))
    # WebP holds gray as colours.
    assert np.array_equal(study.pixels, np.broadcast_to(noise(*FLAT)[None, ..., None], study.pixels.shape))
    assert (study.shape, study.geometry.dimension, study.spacing) == ((1, *FLAT), 2, None)
    if extension not in (".gif", ".pgm"):
        study = read_study(stored(tmp_path / f"colour{extension}", noise(*FLAT, 3)))
        assert np.array_equal(study.pixels, noise(*FLAT, 3)[None])


@pytest.mark.parametrize("extension", [".jp2", ".pgm"])
def test_16_bits_that_pillow_writes_come_back_to_the_bit(tmp_path: Path, extension: str) -> None:
    study = read_study(stored(tmp_path / f"image{extension}", noise(*FLAT, dtype=np.uint16)))
    assert study.pixels.dtype == np.uint16
    assert np.array_equal(study.pixels[0, ..., 0], noise(*FLAT, dtype=np.uint16))


def test_a_gif_marks_what_its_palette_marks(tmp_path: Path) -> None:
    mask = noise(*FLAT) > 200
    drawn = Image.fromarray(mask.astype(np.uint8), "P")
    drawn.putpalette([0, 0, 0, 255, 255, 255])
    drawn.save(tmp_path / "mask.gif")
    study = read_study(stored(tmp_path / "image.gif", noise(*FLAT)))
    assert np.array_equal(read_mask(tmp_path / "mask.gif", study)[0], mask)


@pytest.mark.parametrize("extension", [".gif", ".webp"])
def test_frames_that_move_are_not_taken_for_one(tmp_path: Path, extension: str) -> None:
    first, *others = (Image.fromarray(page) for page in noise(*STACK))
    first.save(tmp_path / f"scan{extension}", save_all=True, append_images=others)
    with pytest.raises(ImageError, match=rf"scan{extension} holds several frames; export them as \.mp4"):
        read_study(tmp_path / f"scan{extension}")


def test_colours_of_16_bits_in_jpeg_2000_are_refused(tmp_path: Path) -> None:
    whole = stored(tmp_path / "scan.jp2", noise(*FLAT, 3)).read_bytes()
    # The depth of the first channel, less one.
    place = whole.index(b"\xff\x4f\xff\x51") + 42
    assert whole[place] == 7
    (tmp_path / "scan.jp2").write_bytes(whole[:place] + b"\x0f" + whole[place + 1 :])
    with pytest.raises(ImageError, match=r"scan\.jp2 has colours of more than 8 bits"):
        read_study(tmp_path / "scan.jp2")


def test_a_gray_bitmap_comes_back_gray(tmp_path: Path) -> None:
    study = read_study(stored(tmp_path / "image.bmp", noise(*FLAT)))
    # BMP holds gray as a palette, which is read as colour.
    assert np.array_equal(study.pixels, np.broadcast_to(noise(*FLAT)[None, ..., None], study.pixels.shape))


@pytest.mark.parametrize("lost", range(1, 5))
def test_a_bitmap_without_its_last_bytes_is_not_taken_for_another(tmp_path: Path, lost: int) -> None:
    # Its rows are filled up to four bytes.
    path = stored(tmp_path / "image.bmp", noise(*FLAT, 3), colour=True)
    path.write_bytes(path.read_bytes()[:-lost])
    with suppress(ImageError):
        assert np.array_equal(read_study(path).pixels, noise(*FLAT, 3)[None])


@pytest.mark.parametrize("name", ["scan.nrrd", "scan", "scan.nii.png", "scan.bmp"])
def test_a_truncated_picture_is_refused_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    whole = stored(tmp_path / "whole.png", noise(200, 150)).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=re.escape(name)):
        read_study(tmp_path / name)


def test_a_colour_bitmap_comes_back_to_the_bit(tmp_path: Path) -> None:
    study = read_study(stored(tmp_path / "image.bmp", noise(*FLAT, 3), colour=True))
    assert np.array_equal(study.pixels, noise(*FLAT, 3)[None])


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_comes_back_nearly(tmp_path: Path, mode: str) -> None:
    ramp = Image.fromarray(np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8) * 2).convert(mode)
    ramp.save(tmp_path / "image.jpg", quality=95)
    pixels = read_study(tmp_path / "image.jpg").pixels
    assert pixels.shape == (1, 40, 60, len(mode))
    assert np.abs(pixels[0].astype(int) - np.asarray(ramp).reshape(40, 60, -1)).max() <= 6


@pytest.mark.parametrize("extension", [".jpg", ".png", ".tif"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_photograph_taken_sideways_lies_as_simpleitk_reads_it_and_so_does_its_mask(
    tmp_path: Path, extension: str, orientation: int
) -> None:
    held = Image.Exif()
    held[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"photograph{extension}"
    Image.fromarray(noise(*FLAT, 3)).save(path, exif=held)
    shown = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    study = read_study(path)
    assert np.array_equal(study.pixels[0], shown[..., :3])
    write_mask(np.ones(study.shape, np.uint8), study, tmp_path / "mask.png")
    assert sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "mask.png"))).shape == shown.shape[:2]


@pytest.mark.parametrize("extension", [".png", ".tif"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_left_out(tmp_path: Path, extension: str, mode: str) -> None:
    pixels = noise(*FLAT, len(mode))
    Image.fromarray(pixels, mode).save(tmp_path / f"image{extension}")
    assert np.array_equal(read_study(tmp_path / f"image{extension}").pixels, pixels[None, ..., :-1])


def test_an_extension_in_capitals_is_read(tmp_path: Path) -> None:
    path = stored(tmp_path / "image.png", noise(*FLAT)).rename(tmp_path / "IMAGE.PNG")
    assert read_study(path).shape == (1, *FLAT)


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.nii.gz", ".nii.gz"),
        ("A.NII.GZ", ".nii.gz"),
        ("a.b.PNG", ".png"),
        ("a.png.nrrd", ".nrrd"),
        ("a.xyz", ".xyz"),
        ("a", ""),
    ],
)
def test_the_extension_of_a_name_is_the_listed_one_in_small_letters(name: str, extension: str) -> None:
    assert extension_of(Path("folder.nii.gz") / name) == extension


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\nsize 4600000\n" * 20])
def test_a_file_that_is_no_image_is_refused_by_name(tmp_path: Path, extension: str, content: bytes) -> None:
    path = tmp_path / f"scan{extension}"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=re.escape(path.name)):
        read_study(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_missing_file_is_refused_by_name(tmp_path: Path, extension: str) -> None:
    with pytest.raises(ImageError, match=re.escape(f"scan{extension}")):
        read_study(tmp_path / f"scan{extension}")


@pytest.mark.parametrize("extension", [extension for extension in EXTENSIONS if extension not in VIDEOS])
@pytest.mark.parametrize("share", SHARES)
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, extension: str, share: float) -> None:
    path = stored(tmp_path / f"scan{extension}", noise(200, 150))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ImageError, match=re.escape(path.name)):
        read_study(path)


@pytest.mark.parametrize(
    ("extension", "offset", "bits"),
    [
        pytest.param(".png", 37, b"%R-\x04", id="a PNG's chunk of no kind"),
        pytest.param(".bmp", 18, b"\x00\x00\x00\x10", id="a BMP of 268 million columns"),
        pytest.param(".nii", 70, b"\x95\x00", id="a NIfTI of an unknown type"),
        pytest.param(".nii", 42, b"\x00\x00", id="a NIfTI of no columns"),
        pytest.param(".nii.gz", 40, b"\x00\x00\x00\x00", id="a gzip with other bits"),
        pytest.param(".tif", 4, b"\xff\xff\xff\x7f", id="a TIFF that points beyond its end"),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, extension: str, offset: int, bits: bytes) -> None:
    path = stored(tmp_path / f"scan{extension}", noise(*FLAT))
    whole = path.read_bytes()
    path.write_bytes(whole[:offset] + bits + whole[offset + len(bits) :])
    with pytest.raises(ImageError, match=re.escape(path.name)):
        read_study(path)


@pytest.mark.parametrize("extension", [".nrrd", ".tif"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_numbers_are_refused_by_name(tmp_path: Path, extension: str, value: float) -> None:
    pixels = noise(*STACK, dtype=np.float32)
    pixels[2, 3, 4] = value
    path = stored(tmp_path / f"scan{extension}", pixels)
    with pytest.raises(ImageError, match=rf"{re.escape(path.name)} has pixels that are not numbers"):
        read_study(path)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_of_nifti_that_are_not_numbers_never_get_through(tmp_path: Path, extension: str, value: float) -> None:
    pixels = noise(*STACK, dtype=np.float32)
    pixels[2, 3, 4] = value
    path = stored(tmp_path / f"scan{extension}", pixels)
    # The NIfTI reader itself may have put a zero in their place.
    with suppress(ImageError):
        assert np.isfinite(read_study(path).pixels).all()


def test_a_compressed_image_is_not_mixed_up_with_its_namesake_beside_it(tmp_path: Path) -> None:
    stored(tmp_path / "scan.nii", 255 - noise(*STACK))
    path = stored(tmp_path / "scan.nii.gz", noise(*STACK))
    # The NIfTI reader looks for the pixels of scan.nii.gz in scan.nii first.
    with suppress(ImageError):
        assert np.array_equal(np.asarray(read_study(path).pixels)[..., 0], noise(*STACK))


@pytest.mark.parametrize("colour", [(7,), (0, 0, 0), (7, 80, 9)])
def test_an_image_of_one_colour_is_refused_by_name(tmp_path: Path, colour: tuple[int, ...]) -> None:
    pixels = np.broadcast_to(np.array(colour, np.uint8), (*FLAT, len(colour)))
    path = stored(tmp_path / "scan.png", pixels, colour=True)
    with pytest.raises(ImageError, match=r"scan\.png is constant"):
        read_study(path)


@pytest.mark.parametrize("extension", HOLDS_GEOMETRY)
def test_an_image_of_four_dimensions_is_refused_by_name(tmp_path: Path, extension: str) -> None:
    path = stored_image(tmp_path / f"scan{extension}", sitk.GetImageFromArray(noise(2, *STACK), isVector=False))
    with pytest.raises(ImageError, match=re.escape(path.name)):
        read_study(path)


def test_an_extension_is_taken_off_the_end_alone() -> None:
    assert split_name("a.png.b.png") == ("a.png.b", ".png")
    assert split_name("eye.NII.gz") == ("eye", ".NII.gz")
    assert split_name("1.2.840.10008") == ("1.2.840.10008", "")
