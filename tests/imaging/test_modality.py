"""What an image is of: told by a tag or the user, else by what it looks like; and what the model sees of it then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from salt_monailabel.imaging import Kind, Modality, Study, modality_named, model_input, read_study, synthesize, to_rgb
from salt_monailabel.imaging.intensity import evened
from salt_monailabel.imaging.run import RunView
from salt_monailabel.imaging.volume import write_volume
from salt_monailabel.training import read_labelled

from ..dicom import run, written

SIDE = 140


def pictured(folder: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(folder / "eye.png")
    return folder / "eye.png"


def colours() -> np.ndarray:
    return synthesize(0, SIDE, "fundus").image


def gray() -> np.ndarray:
    return colours()[..., 1].copy()


def stored(folder: Path, pixels: np.ndarray, **tags: object) -> Study:
    return read_study(written(folder / "a.dcm", pixels, **tags))


def test_a_photograph_in_colours_is_of_a_fundus_and_a_gray_one_of_anything(tmp_path: Path) -> None:
    assert read_study(pictured(tmp_path, colours())).modality == "fundus"
    assert read_study(pictured(tmp_path, gray())).modality == "other"
    assert read_study(pictured(tmp_path, np.dstack([gray()] * 3))).modality == "other"


def test_a_gray_run_is_an_angiogram_and_a_stack_of_anything(tmp_path: Path) -> None:
    assert stored(tmp_path, run(), Modality="OT", FrameTime=40).modality == "xa"
    assert stored(tmp_path, run(), Modality="OT").modality == "other"


def test_of_a_run_in_colours_a_black_first_frame_says_nothing(tmp_path: Path) -> None:
    frames = np.stack([np.zeros_like(colours()), colours(), colours()])
    assert stored(tmp_path, frames, Modality="OT", FrameTime=40).modality == "fundus"


@pytest.mark.parametrize(("tag", "modality"), [("OP", "fundus"), ("XA", "xa"), ("OT", "other")])
def test_a_volume_for_a_viewer_keeps_what_the_tag_said(tmp_path: Path, tag: str, modality: str) -> None:
    write_volume(stored(tmp_path, run(1), Modality=tag), "eye", tmp_path / "eye.nrrd")
    assert read_study(tmp_path / "eye.nrrd").modality == modality


@pytest.mark.parametrize(("tag", "modality"), [("OPT", "octa"), ("OP", "fundus"), ("XA", "xa"), ("OT", "fundus")])
def test_a_tag_knows_better_than_colours(tmp_path: Path, tag: str, modality: str) -> None:
    assert stored(tmp_path, colours()[None], Modality=tag).modality == modality


@pytest.mark.parametrize("modality", ["fundus", "octa", "xa", "other"])
def test_the_user_knows_better_than_all(tmp_path: Path, modality: Modality) -> None:
    path = written(tmp_path / "a.dcm", colours()[None], Modality="OPT")
    assert read_study(path, modality).kind == Kind(single=True, modality=modality)


@pytest.mark.parametrize("view", [RunView(), RunView(subtracted=True, mask=0), RunView(projection="minimum")])
def test_a_frame_is_of_what_its_run_is(tmp_path: Path, view: RunView) -> None:
    seen = view.seen(stored(tmp_path, run(), Modality="OT", FrameTime=40))
    assert seen.modality == "xa"
    assert seen.only(1).kind == Kind(single=False, modality="xa")


def test_the_light_of_a_fundus_is_evened_and_of_nothing_else() -> None:
    assert np.array_equal(model_input(gray(), "fundus"), evened(gray()))
    assert np.array_equal(model_input(colours()), evened(colours()))
    for modality in ("octa", "xa", "other"):
        assert np.array_equal(model_input(colours(), modality), to_rgb(colours()))


@pytest.mark.parametrize("modality", [None, "octa", "fundus"])
def test_what_is_learned_from_is_seen_like_what_is_outlined(tmp_path: Path, modality: Modality | None) -> None:
    image, label = pictured(tmp_path, colours()), tmp_path / "label.png"
    Image.fromarray(synthesize(0, SIDE, "fundus").mask.astype(np.uint8)).save(label)
    (learned,) = read_labelled(str(image), str(label), 1, modality=modality)
    study = read_study(image, modality)
    assert np.array_equal(learned.rgb, model_input(study.frame(0), study.modality))


def test_an_unknown_modality_is_refused_with_those_there_are() -> None:
    assert modality_named("auto") is None
    assert modality_named("octa") == "octa"
    with pytest.raises(ValueError, match="'mri'; one of auto, fundus, octa, xa, other"):
        modality_named("mri")
