"""Files are looked at before they are read: none makes the reader take all memory, open another file, or die."""

from __future__ import annotations

import gzip
import struct
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from salt_monailabel.imaging import ImageError, header, read_study

from .. import hostile

resource = pytest.importorskip("resource", reason="only Unix measures memory")


def stored(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", hostile.BOMBS)
def test_a_bomb_is_refused_by_name_before_it_takes_time_or_memory(name: str, tmp_path: Path) -> None:
    path = stored(tmp_path / name, hostile.BOMBS[name]())
    assert path.stat().st_size < 4_000_000
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(ImageError, match=path.name):
        read_study(path)
    assert time.perf_counter() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_the_largest_size_is_read_and_no_larger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "LARGEST", 48)
    for shape in ((4, 4, 3), (2, 4, 6)):
        pixels = np.arange(48, dtype=np.uint8).reshape(shape)
        sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=shape[-1] == 3), str(tmp_path / "scan.nrrd"))
        assert read_study(tmp_path / "scan.nrrd").pixels.size == 48
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(49, dtype=np.uint8)[None]), str(tmp_path / "scan.nrrd"))
    with pytest.raises(ImageError, match=r"scan\.nrrd declares 49 x 1 x 1 values.* crop it"):
        read_study(tmp_path / "scan.nrrd")


@pytest.mark.parametrize("extension", [".nrrd", ".mha", ".nii", ".nii.gz", ".tif"])
@pytest.mark.parametrize(
    ("dtype", "most"), [(np.uint8, 48), (np.int16, 48), (np.float32, 24), (np.int32, 24), (np.float64, 12)]
)
def test_values_wider_than_16_bits_count_for_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extension: str, dtype: type, most: int
) -> None:
    if extension == ".tif" and dtype not in (np.uint8, np.float32):
        pytest.skip("not stored in TIFF")
    monkeypatch.setattr(header, "LARGEST", 48)
    path = tmp_path / f"scan{extension}"
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(most, dtype=dtype).reshape(2, -1)), str(path))
    assert read_study(path).pixels.dtype == dtype
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(most + 2, dtype=dtype).reshape(2, -1)), str(path))
    with pytest.raises(ImageError, match=rf"scan{extension} declares {most // 2 + 1} x 2 x 1 values"):
        read_study(path)


@pytest.mark.parametrize(
    "field", ["data file: {}", "datafile: {}", "DataFile: {}", "data file: LIST\n{}", "byte skip: 9"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_header_of_pixels_that_lie_elsewhere_is_refused(tmp_path: Path, field: str, end: str) -> None:
    secret = stored(tmp_path / "secret", bytes(range(26)) * 40)
    content = hostile.nrrd("26 40", field.format(secret), end, "raw") + b"\r\n\r\n"
    with pytest.raises(ImageError, match=r"scan\.nrrd"):
        read_study(stored(tmp_path / "scan.nrrd", content))


@pytest.mark.parametrize("name", ["scan.vtk", "scan.mha", "scan.nrrd", "scan.png", "scan.dcm", "scan.mp4", "scan"])
def test_a_format_that_is_not_listed_is_not_read_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(60, dtype=np.uint8).reshape(6, 10)), str(tmp_path / "other.vtk"))
    with pytest.raises(ImageError, match=name):
        read_study(stored(tmp_path / name, (tmp_path / "other.vtk").read_bytes()))


def test_an_image_is_read_by_what_it_is_not_by_what_it_is_called(tmp_path: Path) -> None:
    pixels = np.arange(60, dtype=np.uint8).reshape(6, 10)
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / "scan.png"))
    content = (tmp_path / "scan.png").read_bytes()
    for name in ("scan.jpg", "scan.nrrd", "scan.tif", "scan"):
        assert np.array_equal(read_study(stored(tmp_path / name, content)).pixels[0, ..., 0], pixels)


@pytest.mark.parametrize("with_lengths", [False, True])
def test_sequences_may_be_nested_as_deep_as_agreed(tmp_path: Path, with_lengths: bool) -> None:
    content = hostile.dicom(inside=hostile.nested(header.DEEPEST, with_lengths))
    assert read_study(stored(tmp_path / "scan.dcm", content)).shape == (1, 64, 64)
    content = hostile.dicom(inside=hostile.nested(header.DEEPEST + 1, with_lengths))
    with pytest.raises(ImageError, match=r"scan\.dcm has sequences nested deeper"):
        read_study(stored(tmp_path / "scan.dcm", content))


def test_many_sequences_beside_each_other_are_not_deep(tmp_path: Path) -> None:
    content = hostile.dicom(inside=hostile.nested(3) * 500)
    assert read_study(stored(tmp_path / "scan.dcm", content)).shape == (1, 64, 64)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_extensions_of_nifti_are_read_as_far_as_they_are_whole(tmp_path: Path, order: str, extension: str) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(4, 6)
    image = nibabel.Nifti1Image(pixels, np.eye(4), nibabel.Nifti1Header(endianness=order))
    image.header.extensions += [nibabel.nifti1.Nifti1Extension("comment", b"x" * n) for n in (10, 5000)]
    path = tmp_path / f"scan{extension}"
    nibabel.save(image, path)
    assert np.array_equal(read_study(path).pixels[0, ..., 0], pixels.T)
    content = bytearray(gzip.decompress(path.read_bytes()) if extension == ".nii.gz" else path.read_bytes())
    content[352:356] = struct.pack(f"{order}i", 1_000_000)
    path.write_bytes(gzip.compress(bytes(content)) if extension == ".nii.gz" else bytes(content))
    with pytest.raises(ImageError, match=f"{path.name} has a header that is damaged or too long"):
        read_study(path)


def test_nifti_2_is_refused_by_name(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(np.arange(24, dtype=np.uint8).reshape(4, 6), np.eye(4)), tmp_path / "scan.nii")
    with pytest.raises(ImageError, match=r"scan\.nii is not NIfTI-1"):
        read_study(tmp_path / "scan.nii")


@pytest.mark.parametrize("scale", [(2, 0), (0.5, 1), (0, 5), (np.nan, 0), (np.inf, 0)])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_colours_that_are_to_be_scaled_are_refused(
    tmp_path: Path, scale: tuple[float, float], order: str
) -> None:
    colours = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    structured = colours.view([(name, "u1") for name in "RGB"])[..., 0]
    # As one value of three bytes, and as three values.
    for pixels in (structured, colours[:, :, None, None], colours[:, :, None, None].astype(np.float32)):
        path = tmp_path / "scan.nii"
        header = nibabel.Nifti1Header(endianness=order)
        header.set_data_dtype(pixels.dtype)
        if pixels.ndim > 2:
            header.set_intent("vector")
        nibabel.save(nibabel.Nifti1Image(pixels, np.eye(4), header), path)
        assert np.array_equal(read_study(path).pixels[0], colours.transpose(1, 0, 2))
        content = bytearray(path.read_bytes())
        content[112:120] = struct.pack(f"{order}2f", *scale)
        path.write_bytes(content)
        with pytest.raises(ImageError, match=r"scan\.nii has colours that are to be scaled"):
            read_study(path)
