"""Text in pixels: believed where the file says something of it, else looked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from salt_monailabel.imaging import read_study, synthesize
from salt_monailabel.imaging.burned_in import burned_in, has_text

from ..dicom import written

NAME = "ZEBROWSKA K. 1954"


def labelled(image: np.ndarray, fill: tuple[int, int, int] = (255, 255, 255), size: int = 16) -> np.ndarray:
    """Return an image with a name in a corner, outlined as devices do."""
    picture = Image.fromarray(image)
    outline = tuple(255 - value for value in fill)
    font = ImageFont.load_default(size)
    ImageDraw.Draw(picture).text((8, 8), NAME, fill, font=font, stroke_width=1, stroke_fill=outline)
    return np.asarray(picture)


@pytest.mark.parametrize("style", ["angiogram", "fundus"])
@pytest.mark.parametrize("fill", [(255, 255, 255), (0, 0, 0), (255, 255, 0)], ids=["white", "black", "yellow"])
def test_a_name_in_a_corner_is_seen(style: str, fill: tuple[int, int, int]) -> None:
    image = synthesize(5, 384, style).image
    assert has_text(labelled(image, fill))
    assert has_text(labelled(image, fill)[..., 1:2].astype(np.uint16) * 16)


@pytest.mark.parametrize("style", ["angiogram", "fundus", "octa"])
def test_vessels_and_noise_are_no_text(style: str) -> None:
    assert [seed for seed in range(5) if has_text(synthesize(seed, 384, style).image)] == []


def test_text_in_a_large_image_is_seen() -> None:
    image = np.kron(labelled(synthesize(5, 384, "fundus").image), np.ones((5, 5, 1), np.uint8))
    assert has_text(image)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 4, 3), (700, 5, 1)])
def test_images_of_any_size_are_looked_at(shape: tuple[int, ...]) -> None:
    assert not has_text(np.zeros(shape, np.uint8))
    assert has_text(np.random.default_rng(0).random(shape)) in (True, False)


@pytest.mark.parametrize(("tag", "found"), [("YES", "yes"), ("NO", "no"), ("", "suspected"), (None, "suspected")])
def test_a_dicom_file_is_believed_where_it_says_something(tmp_path: Path, tag: str | None, found: str) -> None:
    name = np.asarray(labelled(np.full((48, 256, 3), 90, np.uint8)))[..., 0].astype(np.uint16) * 16
    tags = {} if tag is None else {"BurnedInAnnotation": tag}
    path = written(tmp_path / "run.dcm", np.stack([name, name]), **tags)
    assert burned_in(read_study(path), path) == found


def test_text_under_the_shutter_is_seen_too(tmp_path: Path) -> None:
    name = np.asarray(labelled(np.full((96, 256, 3), 90, np.uint8)))[..., 0].astype(np.uint16) * 16
    edges = {"ShutterLeftVerticalEdge": 1, "ShutterRightVerticalEdge": 256, "ShutterLowerHorizontalEdge": 96}
    tags = {"ShutterShape": "RECTANGULAR", "ShutterUpperHorizontalEdge": 60, **edges}
    path = written(tmp_path / "run.dcm", name[None], **tags)
    assert burned_in(read_study(path), path) == "suspected"


def test_a_picture_is_looked_at(tmp_path: Path) -> None:
    image = synthesize(5, 384, "fundus").image
    for name, pixels, found in (("plain", image, "no"), ("named", labelled(image), "suspected")):
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        assert burned_in(read_study(path), path) == found
