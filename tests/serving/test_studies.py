"""A study is read once, until its file changes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salt_monailabel.imaging import ImageError
from salt_monailabel.serving.studies import Studies


def drawn(path: Path, seed: int) -> str:
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 30), np.uint8)).save(path)
    return str(path)


def test_a_study_is_read_once(tmp_path: Path) -> None:
    studies, path = Studies(), drawn(tmp_path / "eye.png", 0)
    assert studies.read(path) is studies.read(path)


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


def test_what_is_kept_cannot_be_changed_by_who_reads_it(tmp_path: Path) -> None:
    study = Studies().read(drawn(tmp_path / "eye.png", 0))
    with pytest.raises(ValueError, match="read-only"):
        study.pixels[0, 0, 0] = 1
