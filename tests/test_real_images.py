"""Recordings of real devices, where there are some on this computer: they may not be shipped with the tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from salt_monailabel.imaging import read_mask, read_study, write_mask
from salt_monailabel.inference import Predictor
from salt_monailabel.models import load_base
from salt_monailabel.training import evaluate, read_cases

DATA = Path(os.environ.get("SALT_DATA") or Path(__file__).parents[1] / ".." / "shared" / "data")


def existing(name: str) -> Path:
    """Return a file or folder of the real images, or skip the test."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"there is no {path}; set SALT_DATA to a folder that has {name}")
    return path


@pytest.mark.parametrize(
    ("name", "shape", "bits"),
    [
        ("rca_cine_96f.dcm", (96, 512, 512), 8),
        ("wg04_xa1_uncompressed.dcm", (1, 1024, 1024), 10),
        ("wg04_xa1_rle.dcm", (1, 1024, 1024), 10),
        ("wg04_xa1_jpeg_lossless.dcm", (1, 1024, 1024), 10),
    ],
)
def test_an_angiogram_of_an_x_ray_system_is_read(name: str, shape: tuple[int, int, int], bits: int) -> None:
    study = read_study(existing(f"XA/{name}"))
    assert (study.shape, study.modality) == (shape, "xa")
    assert study.pixels.shape[-1] == 1
    assert study.pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
    assert all((frame != frame.flat[0]).any() for frame in study.pixels)
    # The brightest of them is not 10 bits bright, but more than 8.
    assert 2 ** min(bits - 1, 8) <= np.max(study.pixels) < 2**bits


def test_the_frames_of_a_cine_have_their_times() -> None:
    study = read_study(existing("XA/rca_cine_96f.dcm"))
    assert study.acquisition.times == pytest.approx(33 * np.arange(96))


@pytest.mark.parametrize("compression", ["rle", "jpeg_lossless"])
def test_a_compressed_angiogram_holds_the_same_pixels_at_the_same_place(compression: str) -> None:
    plain, packed = (read_study(existing(f"XA/wg04_xa1_{name}.dcm")) for name in ("uncompressed", compression))
    assert np.array_equal(packed.pixels, plain.pixels)
    assert packed.geometry.spacing == plain.geometry.spacing


def test_a_mask_on_a_cine_has_its_geometry(tmp_path: Path) -> None:
    study = read_study(existing("XA/rca_cine_96f.dcm"))
    mask = (np.asarray(study.pixels)[..., 0] < 60).astype(np.uint8)
    write_mask(mask, study, tmp_path / "mask.nrrd")
    written = sitk.ReadImage(str(tmp_path / "mask.nrrd"))
    assert written.GetSize() == sitk.ReadImage(str(existing("XA/rca_cine_96f.dcm"))).GetSize()
    assert written.GetSpacing() == pytest.approx(study.geometry.spacing)
    assert written.GetOrigin() == pytest.approx(study.geometry.origin)
    assert written.GetDirection() == pytest.approx(study.geometry.direction)
    assert np.array_equal(read_mask(tmp_path / "mask.nrrd", study), mask)


def test_the_shipped_base_segments_a_retina_it_has_never_seen() -> None:
    case = read_cases(existing("DRIVE"), "val")[0]
    assert case.fov is not None
    (score,) = evaluate(Predictor(load_base("vessel_t")), [case], "vessel")
    assert score.dice >= 0.5
