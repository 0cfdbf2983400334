"""Masks lie exactly where their images lie, in every format that has a place for it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st

from salt_monailabel.imaging import Study, read_mask, read_study, write_mask
from salt_monailabel.imaging.geometry import Geometry

from .stored import FLAT, HOLDS_GEOMETRY, geometry, noise, placed, stored_image

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


@pytest.mark.parametrize(
    ("shape", "left_out"),
    [((5, 1, 7, 9), 1), ((5, 7, 1, 9), 2), ((5, 7, 9, 1), 3), ((1, 4, 7, 9), 0), ((1, 1, 7, 9), 1), ((1, 7, 1, 9), 0)],
)
@pytest.mark.parametrize("extension", HOLDS_GEOMETRY)
def test_an_image_and_time_is_a_run_and_its_mask_coincides_with_it(
    tmp_path: Path, extension: str, shape: tuple[int, ...], left_out: int
) -> None:
    turn = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    image = placed(noise(*shape), (0.25, 0.5, 2, 0.125), (-12.5, 80.25, 3, 0), turn)
    path = stored_image(tmp_path / f"run{extension}", image)
    study = read_study(path)
    frames = noise(*shape).squeeze(left_out)
    assert np.array_equal(study.pixels, frames[..., None])
    *_, rows, columns = [spacing for axis, spacing in enumerate((0.125, 2, 0.5, 0.25)) if axis != left_out]
    assert study.spacing == (rows, columns)
    write_mask(frames % 3, study, tmp_path / f"mask{extension}")
    assert np.array_equal(read_mask(tmp_path / f"mask{extension}", study), frames % 3)
    assert geometry(sitk.ReadImage(str(tmp_path / f"mask{extension}"))) == geometry(sitk.ReadImage(str(path)))


@settings(deadline=None, max_examples=40)
@given(shapes, spacings, origins, oblique(), st.data())
def test_a_frame_alone_lies_where_it_lies_in_the_whole(
    shape: tuple[int, ...], spacing: tuple[float, ...], origin: tuple[float, ...], turn: np.ndarray, data: st.DataObject
) -> None:
    image = placed(noise(*shape), spacing, origin, turn)
    study = Study(noise(*shape).reshape(-1, *shape[-2:], 1), Geometry.of(image), "whole.nrrd")
    frame = data.draw(st.integers(0, study.shape[0] - 1))
    alone = study.only(frame)
    assert np.array_equal(alone.frame(0), study.frame(frame))
    mask, last = alone.geometry.image(alone.pixels), [side - 1 for side in shape[::-1][:2]]
    for pixel in ((0, 0), tuple(last)):
        there = image.TransformIndexToPhysicalPoint((*pixel, frame)[: len(shape)])
        assert mask.TransformIndexToPhysicalPoint((*pixel, 0)[: len(shape)]) == pytest.approx(there, abs=1e-6)


def test_a_frame_of_an_image_and_time_is_an_image() -> None:
    image = placed(noise(5, 7, 9, 1), (0.25, 0.5, 2, 0.125), (-12.5, 80.25, 3, 0), np.eye(4))
    study = Study(noise(5, 7, 9)[..., None], Geometry.of(image), "run.nrrd")
    alone = study.only(3)
    assert (alone.shape, alone.geometry.shape, alone.geometry.dimension) == ((1, 7, 9), (1, 7, 9), 3)


@pytest.mark.parametrize("extension", HOLDS_GEOMETRY)
def test_a_colour_image_and_time_is_a_run_in_colour(tmp_path: Path, extension: str) -> None:
    image = sitk.GetImageFromArray(noise(5, 1, 7, 9, 3), isVector=True)
    study = read_study(stored_image(tmp_path / f"run{extension}", image))
    assert np.array_equal(study.pixels, noise(5, 7, 9, 3))
