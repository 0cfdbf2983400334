"""Masks: written whole or not at all, read back to the bit, and refused by name if they are none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from salt_monailabel.imaging import ImageError, Study, read_mask, read_study, write_mask

from .stored import FLAT, STACK, noise, stored


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


@pytest.mark.parametrize("extension", [".png", ".tif", ".bmp", ".nrrd", ".nii.gz", ".mha"])
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


@pytest.mark.parametrize("name", ["mask.jpg", "smoothed.png"])
def test_a_mask_in_shades_of_gray_is_refused_with_a_remedy(study: Study, folder: Path, name: str) -> None:
    drawn = np.kron(noise(4, 6) > 100, np.ones((5, 5))).astype(np.uint8) * 255
    picture = Image.fromarray(drawn)
    if name == "smoothed.png":
        picture = picture.resize((60, 40), Image.Resampling.BILINEAR).resize(picture.size, Image.Resampling.BOX)
    picture.save(folder / name)
    with pytest.raises(ImageError, match=rf"{name} marks in \d+ shades of gray.*as PNG, in black and white"):
        read_mask(folder / name, study)


@pytest.mark.parametrize(
    "values", [(0, 1, 2, 3, 4, 5), (0, 128, 255), (0, 100, 255), (0, 20, 40, 60, 80, 100), (1, 255)]
)
def test_a_label_map_of_few_or_low_values_is_none_in_shades_of_gray(
    study: Study, folder: Path, values: tuple[int, ...]
) -> None:
    labels = np.array(values, np.uint8)[noise(1, *FLAT) % len(values)]
    assert np.array_equal(read_mask(stored(folder / "mask.png", labels[0]), study), labels)


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


@pytest.mark.parametrize("extension", [".png", ".tif", ".bmp", ".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_full_disk_keeps_the_mask_before_and_leaves_nothing(tmp_path: Path, folder: Path, extension: str) -> None:
    pixels = noise(200, 150)
    study = read_study(stored(tmp_path / "big.png", pixels))
    path = folder / f"mask{extension}"
    path.write_bytes(b"the mask before")
    with no_room(1500), pytest.raises(OSError, match="disk full"):
        write_mask(pixels[None] % 2, study, path)
    assert [path.read_bytes() for path in folder.iterdir()] == [b"the mask before"]
