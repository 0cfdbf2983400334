"""A study as one file: every program finds the frames that the model is shown, where they lie."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from salt_monailabel.imaging import ImageError, Study, read_study
from salt_monailabel.imaging.volume import write_volume

from ..dicom import COLUMNS, ROWS, item, run, written
from .stored import FLAT, STACK, noise, placed, stored, stored_image
from .test_world import turn

WINDOW = {"WindowCenter": 2000, "WindowWidth": 900}
OBLIQUE = turn(0.3, 0.8, -0.5)
PLACE = ((0.3, 0.2, 2.5, 7.0), (10.0, -20.0, 5.0, 3.0))


def in_time(pixels: np.ndarray) -> sitk.Image:
    """Return frames over time, which are four-dimensional, of one oblique slice."""
    direction = np.eye(4)
    direction[:3, :3] = OBLIQUE
    return placed(pixels[:, None], *PLACE, direction)


KINDS: dict[str, Callable[[Path], Path]] = {
    "gray PNG": lambda folder: _png(folder, noise(*FLAT)),
    "colour PNG": lambda folder: _png(folder, noise(*FLAT, 3)),
    "oblique NIfTI": lambda folder: stored_image(folder / "a.nii.gz", placed(noise(*STACK), *PLACE, OBLIQUE)),
    "double NRRD": lambda folder: stored(folder / "a.nrrd", noise(*STACK, dtype=np.float64)),
    "colour stack": lambda folder: stored(folder / "a.mha", noise(*STACK, 3), colour=True),
    "frames over time": lambda folder: stored_image(folder / "a.nrrd", in_time(noise(*STACK))),
    "DICOM run": lambda folder: written(folder / "a.dcm", run()),
    "windowed": lambda folder: written(folder / "a.dcm", run(), **WINDOW),
    "inverted": lambda folder: written(folder / "a.dcm", run(), PhotometricInterpretation="MONOCHROME1"),
    "shuttered": lambda folder: written(folder / "a.dcm", run(), **_shutter()),
    "colour DICOM": lambda folder: written(folder / "a.dcm", noise(2, ROWS, COLUMNS, 3)),
}


def _png(folder: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(folder / "a.png")
    return folder / "a.png"


def _shutter() -> dict[str, Any]:
    edges = {"UpperHorizontal": 4, "LowerHorizontal": ROWS - 3, "LeftVertical": 5, "RightVertical": COLUMNS - 4}
    return {"ShutterShape": "RECTANGULAR", **{f"Shutter{side}Edge": place for side, place in edges.items()}}


def volume(study: Study, folder: Path, name: str = "a") -> sitk.Image:
    write_volume(study, name, folder / "volume.nrrd")
    return sitk.ReadImage(str(folder / "volume.nrrd"))


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_pixels_are_those_the_model_is_shown(kind: str, tmp_path: Path) -> None:
    study = read_study(KINDS[kind](tmp_path))
    image = volume(study, tmp_path)
    frames = np.stack(list(study.frames()))
    found = sitk.GetArrayFromImage(image).reshape(frames.shape)
    assert image.GetDimension() == 3
    assert image.GetSize() == study.shape[::-1]
    assert found.dtype == (np.float32 if frames.dtype == np.float64 else frames.dtype)
    assert np.array_equal(found, frames.astype(found.dtype))
    again = read_study(tmp_path / "volume.nrrd")
    assert np.array_equal(np.asarray(again.pixels), found)


@pytest.mark.parametrize("kind", ["oblique NIfTI", "colour stack", "DICOM run", "gray PNG"])
def test_each_pixel_lies_where_it_lay(kind: str, tmp_path: Path) -> None:
    path = KINDS[kind](tmp_path)
    source, image = sitk.ReadImage(str(path)), volume(read_study(path), tmp_path)
    for i, j, k in ((0, 0, 0), (7, 2, 0), (3, 11, image.GetDepth() - 1)):
        wanted = [*source.TransformIndexToPhysicalPoint((i, j, k)[: source.GetDimension()]), 0][:3]
        assert image.TransformIndexToPhysicalPoint((i, j, k)) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_frames_over_time_lie_along_the_axis_of_length_one(left_out: int, tmp_path: Path) -> None:
    direction = np.eye(4)
    direction[:3, :3] = OBLIQUE
    pixels = np.moveaxis(noise(4, 1, 20, 30), 1, 3 - left_out)
    source = placed(pixels, *PLACE, direction)
    image = volume(read_study(stored_image(tmp_path / "a.nrrd", source)), tmp_path)
    assert image.GetSize() == (30, 20, 4)
    index = [7, 11, 0]
    index.insert(left_out, 0)
    place = np.array(source.TransformIndexToPhysicalPoint(index)[:3])
    assert image.TransformIndexToPhysicalPoint((7, 11, 0)) == pytest.approx(place)
    behind = place + 2 * PLACE[0][left_out] * OBLIQUE[:, left_out]
    assert image.TransformIndexToPhysicalPoint((7, 11, 2)) == pytest.approx(behind)


def test_the_spacing_is_the_one_that_is_measured_by(tmp_path: Path) -> None:
    calibrated = written(tmp_path / "a.dcm", run(), PixelSpacing=[0.2, 0.3], ImagerPixelSpacing=[0.4, 0.5])
    image = volume(read_study(calibrated), tmp_path)
    assert image.GetSpacing()[:2] == (0.3, 0.2)
    assert image.GetMetaData("spacing_known") == "1"
    assert volume(read_study(KINDS["gray PNG"](tmp_path)), tmp_path).GetMetaData("spacing_known") == "0"


def test_what_is_known_of_the_image_is_beside_its_pixels(tmp_path: Path) -> None:
    image = volume(read_study(written(tmp_path / "a.dcm", run(), FrameTime=66.7)), tmp_path, "Größe 1_IM2")
    assert image.GetMetaData("name") == "Größe 1_IM2"
    assert image.GetMetaData("modality") == "xa"
    assert [float(time) for time in image.GetMetaData("frame_times_ms").split(" ")] == pytest.approx([0, 66.7, 133.4])
    plain = volume(read_study(KINDS["gray PNG"](tmp_path)), tmp_path)
    assert not {"modality", "frame_times_ms"} & set(plain.GetMetaDataKeys())


def test_a_frame_without_a_window_is_shown_as_the_model_sees_it(tmp_path: Path) -> None:
    window = item(FrameVOILUTSequence=[item(**WINDOW)])
    study = read_study(written(tmp_path / "a.dcm", run(), PerFrameFunctionalGroupsSequence=[item(), window, window]))
    assert study.frame(0).dtype != study.frame(1).dtype
    found = sitk.GetArrayFromImage(volume(study, tmp_path))
    assert all(np.array_equal(found[k], study.frame(k)[..., 0].astype(np.float32)) for k in range(3))


def test_a_damaged_frame_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = read_study(written(tmp_path / "a.dcm", run()))
    decode = type(study.pixels)._decode

    def damaged(frames: Any, index: int) -> np.ndarray:
        if index == 2:
            raise ImageError("frame 3 of a.dcm cannot be decoded")
        return decode(frames, index)

    monkeypatch.setattr(type(study.pixels), "_decode", damaged)
    with pytest.raises(ImageError, match="frame 3"):
        write_volume(study, "a", tmp_path / "volume.nrrd")


def test_a_file_that_found_no_room_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = sitk.WriteImage

    def cut_short(image: sitk.Image, path: str, **settings: Any) -> None:
        write(image, path, **settings)
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[:-1])

    monkeypatch.setattr(sitk, "WriteImage", cut_short)
    with pytest.raises(OSError, match="is the disk full"):
        write_volume(read_study(KINDS["DICOM run"](tmp_path)), "a", tmp_path / "volume.nrrd")


# Linux alone lets a process forget what it held at most.
MEASURED = """
import re, sys
from pathlib import Path
from salt_monailabel.imaging import read_study
from salt_monailabel.imaging.volume import write_volume
def held(which):
    return int(re.search(which + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
study = read_study(sys.argv[1])
before = held("VmRSS")
Path("/proc/self/clear_refs").write_text("5")
write_volume(study, "run", Path(sys.argv[2]))
print(held("VmHWM") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux to measure memory")
def test_a_long_run_is_in_memory_twice_at_most(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 4096, (32, 512, 512)).astype(np.uint16)
    path = written(tmp_path / "run.dcm", frames, **WINDOW)
    arguments = [sys.executable, "-c", MEASURED, str(path), str(tmp_path / "run.nrrd")]
    ended = subprocess.run(arguments, capture_output=True, check=True)
    megabytes = (tmp_path / "run.nrrd").stat().st_size / 1e6
    assert megabytes == pytest.approx(4 * frames.size / 1e6, rel=0.01)
    assert int(ended.stdout) * 1024 / 1e6 < 2.5 * megabytes
