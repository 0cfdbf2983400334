"""What is sent arrives: the values of all pixels, and where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from SALTVesselsLib.pixels import Picture, from_nrrd, mask_from_nrrd_by_steps, mask_to_nrrd, to_nrrd
from SALTVesselsLib.steps import at_once
from scipy.spatial.transform import Rotation

sizes = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6))
shapes = st.one_of(sizes, sizes.map(lambda size: (*size, 3)))
types = st.sampled_from([np.uint8, np.int16, np.uint16, np.float32])
pixels = st.tuples(types, shapes).flatmap(lambda drawn: arrays(*drawn))
angles = st.tuples(*[st.floats(-180, 180)] * 3)
flips = st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3)
spacings = st.tuples(*[st.floats(0.01, 50)] * 3)
origins = st.tuples(*[st.floats(-1000, 1000)] * 3)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1).map(str.strip)
facts = st.dictionaries(st.sampled_from(["modality", "frame_times_ms", "spacing_known"]), words.filter(bool))


@st.composite
def places(draw: st.DrawFn) -> np.ndarray:
    """Oblique and flipped axes, spaced differently."""
    place = np.eye(4)
    axes = Rotation.from_euler("xyz", draw(angles), degrees=True).as_matrix()
    place[:3, :3] = axes * draw(flips) * draw(spacings)
    place[:3, 3] = draw(origins)
    return place


def mask_from(file: bytes) -> np.ndarray:
    return at_once(mask_from_nrrd_by_steps(file))


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@settings(deadline=None, max_examples=60)
@given(pixels, places(), words.filter(bool), facts)
def test_a_picture_arrives_as_it_was_sent(pixels: np.ndarray, place: np.ndarray, name: str, facts: dict) -> None:
    arrived = from_nrrd(to_nrrd(Picture(pixels, place, name, facts)))
    assert same(arrived.pixels, pixels)
    np.testing.assert_allclose(arrived.ijk_to_lps, place, rtol=1e-12, atol=1e-12)
    assert (arrived.name, arrived.facts) == (name, facts)


@settings(deadline=None)
@given(sizes.flatmap(lambda size: arrays(np.uint8, size)))
def test_a_mask_arrives_as_it_was_sent(mask: np.ndarray) -> None:
    assert same(mask_from(mask_to_nrrd(mask)), mask)


def test_a_pixel_lies_where_the_file_says(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.zeros((2, 3, 4), np.uint8))
    image.SetSpacing((0.5, 2.0, 3.0))
    image.SetOrigin((10.0, 20.0, 30.0))
    image.SetDirection((0.0, -1.0, 0.0, 0.6, 0.0, 0.8, 0.8, 0.0, -0.6))
    sitk.WriteImage(image, str(tmp_path / "image.nrrd"))
    picture = from_nrrd((tmp_path / "image.nrrd").read_bytes())
    for index in ((0, 0, 0), (3, 0, 0), (0, 2, 0), (1, 2, 1)):
        expected = image.TransformIndexToPhysicalPoint(index)
        assert (picture.ijk_to_lps @ [*index, 1])[:3].tolist() == pytest.approx(expected)


def test_a_picture_is_not_compressed_and_a_mask_is() -> None:
    blank = np.zeros((1, 100, 100), np.uint8)
    assert len(to_nrrd(Picture(blank, np.eye(4), "blank"))) > blank.size
    assert len(mask_to_nrrd(blank)) < blank.size / 5


def test_a_flat_mask_has_one_frame(tmp_path: Path) -> None:
    flat = np.eye(3, 4, dtype=np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(flat), str(tmp_path / "mask.nrrd"))
    assert same(mask_from((tmp_path / "mask.nrrd").read_bytes()), flat[None])


def test_a_mask_from_another_kind_of_machine_is_read() -> None:
    values = np.arange(24).reshape(2, 3, 4)
    header = "NRRD0004\ntype: uint16\ndimension: 3\nsizes: 4 3 2\nendian: big\nencoding: raw\n\n"
    assert same(mask_from(header.encode() + values.astype(">u2").tobytes()), values.astype(np.uint8))


@pytest.mark.parametrize("value", [-1, 256, 0.5])
def test_what_is_no_label_map_is_refused(value: float, tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.full((1, 2, 2), value, np.float32)), str(tmp_path / "mask.nrrd"))
    with pytest.raises(ValueError, match="whole numbers from 0 to 255"):
        mask_from((tmp_path / "mask.nrrd").read_bytes())


@pytest.mark.parametrize("read", [from_nrrd, mask_from])
def test_a_damaged_file_is_refused(read: object) -> None:
    whole = to_nrrd(Picture(np.arange(60, dtype=np.uint8).reshape(3, 4, 5), np.eye(4), "whole"))
    for damaged in (b"", b"<html></html>", whole[:20], whole[:-10]):
        with pytest.raises(ValueError, match="no NRRD, or damaged"):
            read(damaged)


def test_a_file_that_claims_more_than_it_can_hold_is_refused() -> None:
    file = mask_to_nrrd(np.zeros((2, 30, 40), np.uint8))
    for claim in (b"sizes: 40 30 3", b"sizes: 40 30 1", b"sizes: 99999 99999 99999"):
        with pytest.raises(ValueError, match="no NRRD, or damaged"):
            mask_from(file.replace(b"sizes: 40 30 2", claim))
    # One pixel more than is read in one step.
    longer = mask_to_nrrd(np.zeros((1, 1, (1 << 20) + 1), np.uint8))
    with pytest.raises(ValueError, match="no NRRD, or damaged"):
        mask_from(longer.replace(b"sizes: 1048577", b"sizes: 1048576"))
