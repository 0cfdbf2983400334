"""A study is read once, until its file changes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import RLELossless

from salt_monailabel.imaging import ImageError
from salt_monailabel.serving.studies import Studies

from ..dicom import written


def drawn(path: Path, seed: int) -> str:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30), np.uint8)).save(path)
    return str(path)


def test_a_study_is_read_once(tmp_path: Path) -> None:
    studies, path = Studies(), drawn(tmp_path / "eye.png", 0)
    assert studies.read(path) is studies.read(path)


def test_all_are_of_what_the_user_says(tmp_path: Path) -> None:
    path = drawn(tmp_path / "eye.png", 0)
    assert Studies().read(path).modality == "other"
    assert Studies("fundus").read(path).modality == "fundus"


def test_a_file_written_anew_is_read_anew(tmp_path: Path) -> None:
    studies, path = Studies(), drawn(tmp_path / "eye.png", 0)
    before = studies.read(path)
    drawn(tmp_path / "new.png", 1)
    os.replace(tmp_path / "new.png", path)
    assert not np.array_equal(studies.read(path).pixels, before.pixels)


def test_a_file_that_is_gone_is_an_error_although_it_was_read(tmp_path: Path) -> None:
    studies, path = Studies(), drawn(tmp_path / "eye.png", 0)
    studies.read(path)
    os.remove(path)
    with pytest.raises(ImageError, match=r"eye\.png"):
        studies.read(path)


def test_only_so_much_is_kept(tmp_path: Path) -> None:
    paths = [drawn(tmp_path / f"{seed}.png", seed) for seed in range(3)]
    studies = Studies(most=2 * 600)
    first, second, third = map(studies.read, paths)
    assert studies.read(paths[1]) is second
    assert studies.read(paths[2]) is third
    assert studies.read(paths[0]) is not first


def test_a_study_larger_than_all_that_is_kept_is_read_each_time(tmp_path: Path) -> None:
    studies, path = Studies(most=599), drawn(tmp_path / "eye.png", 0)
    assert studies.read(path) is not studies.read(path)


def xray(path: Path, frames: int = 6) -> str:
    """Write frames that take little room, as they are packed, and are shown as floats of double precision."""
    pixels = np.zeros((frames, 64, 64), np.uint16)
    pixels[:, 10:20, 10:20] = 3000
    return str(written(path, pixels, RLELossless, WindowCenter=2048, WindowWidth=4000))


def held(studies: Studies) -> int:
    return sum(s.pixels.nbytes + sum(frame.nbytes for frame in s._shown.values()) for s in studies._kept.values())


@pytest.mark.parametrize("frames", [1, 2, 6])
def test_frames_as_they_are_shown_count_among_what_is_kept(tmp_path: Path, frames: int) -> None:
    one = 64 * 64 * 8
    studies = Studies(most=10 * one)
    for number in range(12):
        path = xray(tmp_path / f"{number}.dcm", frames)
        study = studies.read(path)
        shown = [study.frame(index) for index in range(frames)]
        assert shown[-1].nbytes == one
        assert held(studies) <= 10 * one
        assert studies.read(path).frame(frames - 1) is shown[-1]
    assert len(studies._kept) > 1


def test_a_study_of_large_frames_is_kept_alone(tmp_path: Path) -> None:
    studies = Studies(most=64 * 64 * 8 - 1)
    other, path = xray(tmp_path / "other.dcm"), xray(tmp_path / "large.dcm")
    studies.read(other)
    assert studies.read(path).frame(0) is studies.read(path).frame(0)
    assert len(studies._kept) == 1


def test_a_photograph_counts_with_the_bytes_of_its_colours(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3)).astype(np.uint8)
    study = Studies().read(str(written(tmp_path / "photo.dcm", pixels)))
    assert study.frame(0).nbytes == 1800
    assert study.nbytes == 2 * 1800


def test_what_is_kept_cannot_be_changed_by_who_reads_it(tmp_path: Path) -> None:
    study = Studies().read(drawn(tmp_path / "eye.png", 0))
    with pytest.raises(ValueError, match="read-only"):
        study.pixels[0, 0, 0] = 1
