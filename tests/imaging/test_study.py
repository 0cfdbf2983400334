"""Files: every format in and out with its geometry, and what cannot be used refused by name."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import DTypeLike
from PIL import Image

from salt_monailabel.imaging import EXTENSIONS, ImageError, Study, extension_of, read_mask, read_study, write_mask

FLAT, STACK = (20, 30), (4, 20, 30)
GRAY = (".png", ".tif", ".nii", ".nii.gz", ".nrrd")
STACKS = (".tif", ".nii", ".nii.gz", ".nrrd")
HOLDS_GEOMETRY = (".nii", ".nii.gz", ".nrrd")
# What a tool that is stopped half-way leaves: enough of the file that its header is whole.
SHARES = (0.6, 0.95)


def noise(*shape: int, dtype: DTypeLike = np.uint8) -> np.ndarray:
    """Return pixels that use all of the range of their type, the same for the same shape."""
    rng = np.random.default_rng(0)
    if np.issubdtype(dtype, np.floating):
        return rng.normal(0, 1000, shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def stored(path: Path, pixels: np.ndarray, colour: bool = False) -> Path:
    """Write pixels by SimpleITK."""
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=colour), str(path))
    return path


def geometry(image: sitk.Image) -> tuple[Any, ...]:
    return (
        image.GetDimension(),
        image.GetSize(),
        image.GetSpacing(),
        image.GetOrigin(),
        image.GetDirection(),
    )


def placed(pixels: np.ndarray, spacing: tuple[float, ...], origin: tuple[float, ...], turn: np.ndarray) -> sitk.Image:
    """Return an image of two or three dimensions somewhere in space."""
    image = sitk.GetImageFromArray(pixels)
    dimensions = image.GetDimension()
    image.SetSpacing(spacing[:dimensions])
    image.SetOrigin(origin[:dimensions])
    image.SetDirection(turn[:dimensions, :dimensions].ravel().tolist())
    return image


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Return a gray image of one frame, read from a file beside the test's folder."""
    (tmp_path / "studies").mkdir()
    return read_study(stored(tmp_path / "studies" / "study.png", noise(*FLAT)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with nothing in it."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """Make every file of this process end at `size` bytes, as on a disk that is full."""
    resource = pytest.importorskip("resource", reason="only Unix limits the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


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


def test_the_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    pages = [Image.fromarray(page) for page in noise(*STACK)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert np.array_equal(np.asarray(read_study(tmp_path / "pages.tif").pixels)[..., 0], noise(*STACK))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16])
def test_a_gray_dicom_of_one_frame_comes_back_to_the_bit(tmp_path: Path, dtype: DTypeLike) -> None:
    pixels = noise(*FLAT, dtype=dtype)
    study = read_study(stored(tmp_path / "image.dcm", pixels))
    assert np.array_equal(study.pixels, pixels[None, ..., None])


def test_a_colour_dicom_comes_back_to_the_bit(tmp_path: Path) -> None:
    study = read_study(stored(tmp_path / "image.dcm", noise(*FLAT, 3), colour=True))
    assert np.array_equal(study.pixels, noise(*FLAT, 3)[None])


def test_a_gray_bitmap_comes_back_gray(tmp_path: Path) -> None:
    study = read_study(stored(tmp_path / "image.bmp", noise(*FLAT)))
    # BMP holds gray as a palette, which is read as colour.
    assert np.array_equal(study.pixels, np.broadcast_to(noise(*FLAT)[None, ..., None], study.pixels.shape))


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


spacings = st.tuples(*[st.floats(0.01, 20)] * 3)
origins = st.tuples(*[st.floats(-500, 500)] * 3)


@st.composite
def aligned(draw: st.DrawFn) -> np.ndarray:
    """Directions along the axes, mirrored or not; the third stays apart, so that an image is one as well."""
    axes = np.diag([draw(st.sampled_from((-1.0, 1.0))) for _ in range(3)])
    return axes[:, [1, 0, 2]] if draw(st.booleans()) else axes


@st.composite
def oblique(draw: st.DrawFn) -> np.ndarray:
    angle = draw(st.floats(-np.pi, np.pi))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    return turn @ draw(aligned())


shapes = st.one_of(
    st.tuples(st.integers(2, 9), st.integers(2, 9)),
    st.tuples(st.integers(1, 4), st.integers(2, 9), st.integers(2, 9)),
)


def written(image: sitk.Image, extension: str, mask_extension: str) -> tuple[sitk.Image, sitk.Image]:
    """Store an image, write a mask on it and return both as another program reads them."""
    with TemporaryDirectory() as folder:
        path, mask_path = Path(folder) / f"image{extension}", Path(folder) / f"mask{mask_extension}"
        sitk.WriteImage(image, str(path))
        study = read_study(path)
        mask = (np.asarray(study.pixels)[..., 0] > 100).astype(np.uint8)
        write_mask(mask, study, mask_path)
        assert np.array_equal(read_mask(mask_path, study), mask)
        return sitk.ReadImage(str(path)), sitk.ReadImage(str(mask_path))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(HOLDS_GEOMETRY), shapes, spacings, origins, aligned())
def test_a_mask_has_exactly_the_geometry_of_its_image(
    extension: str,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    turn: np.ndarray,
) -> None:
    image = placed(noise(*shape), spacing, origin, turn)
    image, mask = written(image, extension, extension)
    if extension == ".nrrd":
        # It holds spacing and direction as one vector, whose length and direction are computed again.
        for of_mask, of_image in zip(geometry(mask), geometry(image), strict=True):
            assert of_mask == pytest.approx(of_image, rel=1e-14, abs=1e-14)
    else:
        assert geometry(mask) == geometry(image)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(HOLDS_GEOMETRY), st.sampled_from(HOLDS_GEOMETRY), shapes, spacings, origins, oblique())
def test_an_oblique_mask_in_any_format_has_the_geometry_of_its_image_but_for_rounding(
    extension: str,
    mask_extension: str,
    shape: tuple[int, ...],
    spacing: tuple[float, ...],
    origin: tuple[float, ...],
    turn: np.ndarray,
) -> None:
    image = placed(noise(*shape), spacing, origin, turn)
    image, mask = written(image, extension, mask_extension)
    assert mask.GetDimension() == image.GetDimension()
    assert mask.GetSize() == image.GetSize()
    # NIfTI holds single precision, and directions as a quaternion of it.
    assert mask.GetSpacing() == pytest.approx(image.GetSpacing(), rel=1e-5)
    assert mask.GetOrigin() == pytest.approx(image.GetOrigin(), rel=1e-5, abs=1e-4)
    assert mask.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-5)


@pytest.mark.parametrize("extension", HOLDS_GEOMETRY)
def test_a_mask_on_a_dicom_lies_where_the_image_lies(tmp_path: Path, extension: str) -> None:
    image = placed(noise(1, *FLAT, dtype=np.int16), (0.3, 0.25, 1), (-12.5, 80.25, 3), np.eye(3))
    study = read_study(stored_image(tmp_path / "image.dcm", image))
    assert study.geometry.spacing[:2] == pytest.approx((0.3, 0.25))
    write_mask((np.asarray(study.pixels)[..., 0] > 0).astype(np.uint8), study, tmp_path / f"mask{extension}")
    mask = sitk.ReadImage(str(tmp_path / f"mask{extension}"))
    whole = sitk.ReadImage(str(tmp_path / "image.dcm"))
    for of_mask, of_image in zip(geometry(mask), geometry(whole), strict=True):
        assert of_mask == pytest.approx(of_image, rel=1e-6)


def stored_image(path: Path, image: sitk.Image) -> Path:
    sitk.WriteImage(image, str(path))
    return path


@pytest.mark.parametrize("extension", [".png", ".tif", ".bmp", ".nrrd", ".nii.gz"])
def test_a_mask_of_several_labels_comes_back_to_the_bit(study: Study, folder: Path, extension: str) -> None:
    mask = np.array([0, 1, 2, 200], np.uint8)[noise(1, *FLAT) % 4]
    write_mask(mask, study, folder / f"mask{extension}")
    assert np.array_equal(read_mask(folder / f"mask{extension}", study), mask)
    assert [path.name for path in folder.iterdir()] == [f"mask{extension}"]


@pytest.mark.skipif(os.name != "posix", reason="only Unix has permissions of others")
def test_a_mask_can_be_read_by_other_users(study: Study, folder: Path) -> None:
    write_mask(noise(1, *FLAT) % 2, study, folder / "mask.nrrd")
    assert (folder / "mask.nrrd").stat().st_mode & 0o044 == 0o044


def test_a_mask_replaces_the_one_before(study: Study, folder: Path) -> None:
    for mask in (np.zeros((1, *FLAT), np.uint8), np.ones((1, *FLAT), np.uint8)):
        write_mask(mask, study, folder / "mask.nrrd")
        assert np.array_equal(read_mask(folder / "mask.nrrd", study), mask)


@pytest.mark.parametrize("white", [255, 200, 128])
def test_a_mask_of_black_and_white_is_label_1(study: Study, folder: Path, white: int) -> None:
    drawn = noise(*FLAT) > 100
    mask = read_mask(stored(folder / "mask.png", drawn.astype(np.uint8) * white), study)
    assert np.array_equal(mask[0], drawn)
    assert mask.dtype == np.uint8


def test_a_coloured_mask_marks_what_is_not_black(study: Study, folder: Path) -> None:
    drawn = noise(*FLAT) > 100
    colour = drawn[..., None] * np.array([255, 0, 0], np.uint8)
    assert np.array_equal(read_mask(stored(folder / "mask.png", colour, colour=True), study)[0], drawn)


def test_a_mask_of_several_colours_is_refused(study: Study, folder: Path) -> None:
    colour = np.zeros((*FLAT, 3), np.uint8)
    colour[2:4], colour[5:7] = (255, 0, 0), (0, 0, 255)
    with pytest.raises(ImageError, match=r"mask\.png marks by several colours; save it as a label map"):
        read_mask(stored(folder / "mask.png", colour, colour=True), study)


def test_a_mask_of_one_slice_fits_a_flat_image(study: Study, folder: Path) -> None:
    labels = noise(1, *FLAT) % 3
    assert np.array_equal(read_mask(stored(folder / "mask.nrrd", labels), study), labels)


def test_a_mask_of_whole_numbers_held_as_floats_is_read(study: Study, folder: Path) -> None:
    labels = noise(1, *FLAT) % 3
    assert np.array_equal(read_mask(stored(folder / "mask.nrrd", labels.astype(np.float64)), study), labels)


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("content", [b"", b"version https://git-lfs.github.com/spec/v1\nsize 4600000\n" * 20])
def test_a_file_that_is_no_image_is_refused_by_name(folder: Path, extension: str, content: bytes) -> None:
    path = folder / f"scan{extension}"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=re.escape(path.name)):
        read_study(path)
    assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_missing_file_is_refused_by_name(folder: Path, extension: str) -> None:
    with pytest.raises(ImageError, match=re.escape(f"scan{extension}")):
        read_study(folder / f"scan{extension}")


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("share", SHARES)
def test_a_truncated_file_is_refused_by_name(folder: Path, extension: str, share: float) -> None:
    path = stored(folder / f"scan{extension}", noise(200, 150))
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
def test_a_damaged_file_is_refused_by_name(folder: Path, extension: str, offset: int, bits: bytes) -> None:
    path = stored(folder / f"scan{extension}", noise(*FLAT))
    whole = path.read_bytes()
    path.write_bytes(whole[:offset] + bits + whole[offset + len(bits) :])
    with pytest.raises(ImageError, match=re.escape(path.name)):
        read_study(path)


@pytest.mark.parametrize("extension", [".nrrd", ".tif"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_not_numbers_are_refused_by_name(folder: Path, extension: str, value: float) -> None:
    pixels = noise(*STACK, dtype=np.float32)
    pixels[2, 3, 4] = value
    path = stored(folder / f"scan{extension}", pixels)
    with pytest.raises(ImageError, match=rf"{re.escape(path.name)} has pixels that are not numbers"):
        read_study(path)


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_of_nifti_that_are_not_numbers_never_get_through(folder: Path, extension: str, value: float) -> None:
    pixels = noise(*STACK, dtype=np.float32)
    pixels[2, 3, 4] = value
    path = stored(folder / f"scan{extension}", pixels)
    # The NIfTI reader itself may have put a zero in their place.
    with suppress(ImageError):
        assert np.isfinite(read_study(path).pixels).all()


def test_a_compressed_image_is_not_mixed_up_with_its_namesake_beside_it(folder: Path) -> None:
    stored(folder / "scan.nii", 255 - noise(*STACK))
    path = stored(folder / "scan.nii.gz", noise(*STACK))
    # The NIfTI reader looks for the pixels of scan.nii.gz in scan.nii first.
    with suppress(ImageError):
        assert np.array_equal(np.asarray(read_study(path).pixels)[..., 0], noise(*STACK))


@pytest.mark.parametrize("colour", [(7,), (0, 0, 0), (7, 80, 9)])
def test_an_image_of_one_colour_is_refused_by_name(folder: Path, colour: tuple[int, ...]) -> None:
    pixels = np.broadcast_to(np.array(colour, np.uint8), (*FLAT, len(colour)))
    path = stored(folder / "scan.png", pixels, colour=True)
    with pytest.raises(ImageError, match=r"scan\.png is constant"):
        read_study(path)


@pytest.mark.parametrize("extension", HOLDS_GEOMETRY)
def test_an_image_of_four_dimensions_is_refused_by_name(folder: Path, extension: str) -> None:
    path = stored_image(folder / f"scan{extension}", sitk.GetImageFromArray(noise(2, *STACK), isVector=False))
    with pytest.raises(ImageError, match=re.escape(path.name)):
        read_study(path)


@pytest.mark.parametrize("shape", [(30, 20), (20, 31), (2, 20, 30)])
def test_a_mask_of_another_size_is_refused_and_both_sizes_told(
    study: Study, folder: Path, shape: tuple[int, ...]
) -> None:
    path = stored(folder / "mask.nrrd", noise(*shape) % 2)
    size = " x ".join(str(length) for length in ((1, *shape) if len(shape) == 2 else shape))
    with pytest.raises(ImageError, match=rf"mask\.nrrd has {size} .*study\.png has 1 x 20 x 30"):
        read_mask(path, study)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda labels: labels / 2, id="fractional"),
        pytest.param(lambda labels: labels * 300, id="above 255"),
        pytest.param(lambda labels: -labels, id="negative"),
        pytest.param(lambda labels: np.where(labels > 0, np.nan, 0), id="no number"),
        pytest.param(lambda labels: np.where(labels > 0, np.inf, 0), id="infinite"),
    ],
)
def test_a_mask_that_is_no_label_map_is_refused_by_name(
    study: Study, folder: Path, spoil: Callable[[np.ndarray], np.ndarray]
) -> None:
    path = stored(folder / "mask.nrrd", spoil((noise(*FLAT) % 2).astype(np.float64)))
    with pytest.raises(ImageError, match=r"mask\.nrrd is no label map"):
        read_mask(path, study)


def test_a_photograph_is_no_mask(study: Study, folder: Path) -> None:
    path = stored(folder / "mask.nrrd", noise(*FLAT, dtype=np.float32))
    with pytest.raises(ImageError, match=r"mask\.nrrd is no label map"):
        read_mask(path, study)


@pytest.mark.parametrize("name", ["mask.xyz", "mask", "mask.gz", "mask.txt"])
def test_a_format_that_cannot_be_written_is_refused_and_nothing_left(study: Study, folder: Path, name: str) -> None:
    with pytest.raises(ImageError, match="cannot be written"):
        write_mask(np.ones((1, *FLAT), np.uint8), study, folder / name)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("extension", [".jpg", ".jpeg"])
def test_a_format_that_changes_labels_is_refused_and_nothing_left(study: Study, folder: Path, extension: str) -> None:
    with pytest.raises(ImageError, match="cannot be written"):
        write_mask(noise(1, *FLAT) % 3, study, folder / f"mask{extension}")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("extension", [".png", ".bmp"])
def test_a_stack_is_not_written_to_a_format_of_one_frame(tmp_path: Path, folder: Path, extension: str) -> None:
    study = read_study(stored(tmp_path / "stack.nrrd", noise(*STACK)))
    with pytest.raises(ImageError, match="cannot be written"):
        write_mask(noise(*STACK) % 2, study, folder / f"mask{extension}")
    assert list(folder.iterdir()) == []


def test_a_mask_with_its_extension_in_capitals_is_written(study: Study, folder: Path) -> None:
    write_mask(noise(1, *FLAT) % 2, study, folder / "MASK.NII.GZ")
    assert [path.name for path in folder.iterdir()] == ["MASK.NII.GZ"]


@pytest.mark.parametrize("shape", [(20, 30), (1, 30, 20), (2, 20, 30)])
def test_a_mask_of_another_shape_is_not_written(study: Study, folder: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match=r"study\.png"):
        write_mask(np.ones(shape, np.uint8), study, folder / "mask.nrrd")
    assert list(folder.iterdir()) == []


def test_a_mask_for_a_folder_that_is_not_there_is_not_written(study: Study, folder: Path) -> None:
    with pytest.raises(OSError, match="gone"):
        write_mask(np.ones((1, *FLAT), np.uint8), study, folder / "gone" / "mask.nrrd")


@pytest.mark.parametrize(
    "message",
    [
        "cannot write: No space left on device",
        "ITK ERROR: PNGImageIO(0x561f92d59970): Error while writing Slice to file: x.png\nReason: No space left",
    ],
)
def test_a_writer_that_fails_half_way_keeps_the_mask_before_and_leaves_nothing(
    study: Study, folder: Path, monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    def full(image: sitk.Image, path: str, useCompression: bool) -> NoReturn:
        Path(path).write_bytes(b"half of it")
        raise RuntimeError(message)

    (folder / "mask.png").write_bytes(b"the mask before")
    monkeypatch.setattr("salt_monailabel.imaging.mask.sitk.WriteImage", full)
    with pytest.raises(OSError, match="disk full"):
        write_mask(np.ones((1, *FLAT), np.uint8), study, folder / "mask.png")
    assert [path.read_bytes() for path in folder.iterdir()] == [b"the mask before"]


@pytest.mark.parametrize("extension", [".png", ".tif", ".bmp", ".nii", ".nii.gz", ".nrrd"])
def test_a_full_disk_keeps_the_mask_before_and_leaves_nothing(tmp_path: Path, folder: Path, extension: str) -> None:
    pixels = noise(200, 150)
    study = read_study(stored(tmp_path / "big.png", pixels))
    path = folder / f"mask{extension}"
    path.write_bytes(b"the mask before")
    with no_room(1500), pytest.raises(OSError, match="disk full"):
        write_mask(pixels[None] % 2, study, path)
    assert [path.read_bytes() for path in folder.iterdir()] == [b"the mask before"]
