"""What the radiologist sees, drawn by Slicer's own managers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import slicer
from SALTVesselsLib.scene import colours, runs, volumes
from SALTVesselsLib.scene.box import Box
from SALTVesselsLib.scene.segmentation import Outlines
from SALTVesselsLib.scene.way import Way
from scenes import go_to, picture
from slice_view import SliceView

pytest_plugins = ("scenes",)

RETINA = (190, 80, 40)


def pixel_xy(view: SliceView, image: slicer.vtkMRMLVolumeNode, ijk: tuple[float, float, float]) -> tuple[int, int]:
    to_xy = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.node.GetXYToRAS()))
    x, y = (to_xy @ (*volumes.point(image, ijk), 1))[:2]
    return view.node.GetDimensions()[1] - 1 - round(y), round(x)


def share(seen: np.ndarray, colour: Sequence[float], tolerance: float = 60) -> float:
    """Return how much of a picture is about this colour, 0 to 1."""
    return (np.abs(seen.astype(float) - 255 * np.asarray(colour)).max(axis=-1) < tolerance).mean()


@pytest.fixture
def red(scene: slicer.vtkMRMLScene) -> SliceView:
    return SliceView()


def retina() -> np.ndarray:
    return np.broadcast_to(np.array(RETINA, np.uint8), (1, 30, 40, 3)).copy()


def test_a_thin_vessel_is_outlined_and_still_seen(red: SliceView) -> None:
    pixels = retina()
    pixels[0, 14:16] = 20
    image = volumes.add(picture(pixels, spacing_known=0))
    volumes.show(image)
    outlines = Outlines(image, ("vessel",))
    plain = red.picture()
    mask = np.zeros((1, 30, 40), bool)
    mask[0, 14:16, 5:35] = True
    outlines.put("vessel", mask)
    seen = red.picture()
    row, column = pixel_xy(red, image, (20, 14.5, 0))
    assert plain[row, column].max() < 30
    # The fill lies over it like a veil, no more.
    assert seen[row, column].max() < 100
    assert share(plain, colours.LABELS[0]) == 0
    assert share(seen, colours.LABELS[0]) > 0.002
    row, column = pixel_xy(red, image, (20, 5, 0))
    assert np.abs(seen[row, column].astype(int) - RETINA).max() <= 2


def test_the_previous_outline_is_fainter_and_goes(red: SliceView) -> None:
    image = volumes.add(picture(retina(), spacing_known=0))
    volumes.show(image)
    outlines = Outlines(image, ("vessel",))
    plain = red.picture()
    mask = np.zeros((30, 40), bool)
    mask[8:20, 5:35] = True
    outlines.show_previous(mask)
    seen = red.picture()
    row, column = pixel_xy(red, image, (20, 14, 0))
    assert np.array_equal(seen[row, column], plain[row, column])
    changed = (seen != plain).any(axis=-1)
    assert 0.001 < changed.mean() < 0.05
    outlines.show_previous(None)
    assert np.array_equal(red.picture(), plain)


def test_the_outline_of_a_frame_is_seen_on_that_frame_only(red: SliceView) -> None:
    run = runs.add(picture(np.full((3, 30, 40), 90, np.uint8)))
    volumes.show(run.volume)
    outlines = Outlines(run.volume, ("vessel",))
    mask = np.zeros((30, 40), bool)
    mask[8:20, 5:35] = True
    outlines.put_frame("vessel", 1, mask)
    shown = []
    for number in (0, 1, 2):
        go_to(run.volume, number)
        shown.append(share(red.picture(), colours.LABELS[0]) > 0)
    assert shown == [False, True, False]


def test_the_outline_of_one_plane_is_not_seen_over_the_other(scene: slicer.vtkMRMLScene) -> None:
    red, yellow = SliceView("Red"), SliceView("Yellow")
    planes = [volumes.add(picture(np.full((1, 30, 40), 90, np.uint8))) for _ in range(2)]
    volumes.show(*planes)
    mask = np.zeros((1, 30, 40), bool)
    mask[0, 8:20, 5:35] = True
    Outlines(planes[1], ("vessel",)).put("vessel", mask)
    assert share(red.picture(), colours.LABELS[0]) == 0
    assert share(yellow.picture(), colours.LABELS[0]) > 0


def test_a_way_and_a_box_are_lines_that_are_seen(red: SliceView) -> None:
    image = volumes.add(picture(np.full((1, 30, 40), 90, np.uint8)))
    volumes.show(image)
    way = Way(image, [(float(i), 14.0, 0.0) for i in range(5, 35)], 20)
    seen = red.picture()
    for i in (10, 15, 25, 30):
        row, column = pixel_xy(red, image, (i, 14, 0))
        assert share(seen[row - 1 : row + 2, column - 1 : column + 2], colours.BETWEEN, 100) > 0.2
    cross, _ = pixel_xy(red, image, (20, 14, 0))
    assert share(seen[cross - 4 : cross - 2], colours.BETWEEN) > 0, "there is no cross"
    way.close()
    box = Box(image)
    box.show(volumes.point(image, (5, 8, 0)), volumes.point(image, (30, 20, 0)))
    row, column = pixel_xy(red, image, (15, 8, 0))
    assert share(red.picture()[row - 1 : row + 2, column - 1 : column + 2], colours.BETWEEN, 100) > 0.2


def lab(colour: Sequence[float]) -> np.ndarray:
    """CIE L*a*b* of an sRGB colour, D65."""
    value = np.asarray(colour, float)
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / (0.9505, 1.0, 1.089))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_colours_differ_from_each_other_from_grays_and_from_a_retina() -> None:
    retinas = [(0.75, 0.32, 0.16), (0.55, 0.2, 0.08), (0.85, 0.5, 0.3), (0.35, 0.1, 0.05)]
    grays = [(value, value, value) for value in np.linspace(0, 1, 11)]
    for number, colour in enumerate(colours.LABELS):
        others = [*colours.LABELS[:number], *retinas, *grays]
        assert min(np.linalg.norm(lab(colour) - lab(other)) for other in others) > 40
    assert colours.of_label(len(colours.LABELS)) == colours.LABELS[0]
    outlines = [colours.of_label(number) for number in range(3)]
    assert len(set(outlines)) == 3
