"""Drawn images: the same for the same seed, true to their masks, and quick to draw."""

from __future__ import annotations

import time
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from salt_monailabel.imaging import synthesize
from salt_monailabel.imaging.synthetic import STYLES, Drawing
from salt_monailabel.imaging.synthetic.annotator import Annotator
from salt_monailabel.imaging.synthetic.raster import View, draw
from salt_monailabel.imaging.synthetic.tree import Growth, Roots, grow, murray

SIZE = 192
SEEDS = range(6)


@pytest.fixture(scope="module")
def drawn() -> dict[str, list[Drawing]]:
    """Return a few images and masks of every style."""
    return {style: [synthesize(seed, SIZE, style) for seed in SEEDS] for style in STYLES}


def roots(count: int, size: int, radius: float) -> Roots:
    """Return roots in the middle that head in all directions."""
    heading = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return Roots(np.full((count, 2), size / 2), heading, np.full(count, radius), np.zeros(count))


@pytest.mark.parametrize("style", [*STYLES, None])
def test_the_same_seed_draws_the_same_image(style: str | None) -> None:
    (image, mask, _), (again, mask_again, _) = synthesize(5, 96, style), synthesize(5, 96, style)
    assert np.array_equal(image, again)
    assert np.array_equal(mask, mask_again)


@pytest.mark.parametrize("style", STYLES)
def test_another_seed_draws_other_vessels(drawn: dict[str, list[Drawing]], style: str) -> None:
    assert len({image.tobytes() for image, _, _ in drawn[style]}) == len(SEEDS)
    assert len({mask.tobytes() for _, mask, _ in drawn[style]}) == len(SEEDS)


@pytest.mark.parametrize("style", STYLES)
def test_images_are_rgb_of_the_size_and_masks_boolean(drawn: dict[str, list[Drawing]], style: str) -> None:
    for image, mask, _ in drawn[style]:
        assert (image.shape, image.dtype) == ((SIZE, SIZE, 3), np.uint8)
        assert (mask.shape, mask.dtype) == ((SIZE, SIZE), bool)


@pytest.mark.parametrize("style", STYLES)
def test_vessels_cover_some_of_an_image_and_not_most_of_it(drawn: dict[str, list[Drawing]], style: str) -> None:
    assert 0.02 < np.mean([mask.mean() for _, mask, _ in drawn[style]]) < 0.6


@pytest.mark.parametrize("style", STYLES)
def test_vessels_can_be_seen(drawn: dict[str, list[Drawing]], style: str) -> None:
    contrasts = []
    for image, mask, _ in drawn[style]:
        beside = ndimage.binary_dilation(mask, iterations=3) & ~ndimage.binary_dilation(mask)
        contrasts.append(np.abs(image[mask].mean(axis=0) - image[beside].mean(axis=0)).mean())
    assert np.median(contrasts) > 5
    # Some drawings are meant to be hard.
    assert np.mean(np.array(contrasts) > 2) >= 0.8


def test_styles_differ_and_are_drawn_from_the_seed_if_none_is_asked_for() -> None:
    images = {style: synthesize(3, 96, style)[0].tobytes() for style in STYLES}
    assert len(set(images.values())) == len(STYLES)
    gray = [np.ptp(synthesize(seed, 96)[0].astype(int), axis=-1).max() == 0 for seed in range(12)]
    assert len(set(gray)) == 2


def test_an_unknown_style_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(ValueError, match="unknown style 'mri'; one of fundus, angiogram, octa, mixed, overlap"):
        synthesize(0, 64, "mri")


def test_an_image_of_512_pixels_takes_well_below_half_a_second() -> None:
    seconds = []
    for seed, style in enumerate([*STYLES, *STYLES]):
        started = time.thread_time()
        synthesize(seed, 512, style)
        seconds.append(time.thread_time() - started)
    assert np.median(seconds) < 0.5


def test_the_parts_of_a_drawing_make_up_its_vessels() -> None:
    for style, parts in {"fundus": ("artery", "vein"), "overlap": ("tree 1", "tree 2")}.items():
        for seed in SEEDS:
            _, mask, structures = synthesize(seed, SIZE, style)
            assert tuple(structures) == parts
            assert np.array_equal(structures[parts[0]] | structures[parts[1]], mask)


def test_a_catheter_is_drawn_and_is_no_vessel() -> None:
    drawings = [synthesize(seed, 512, "angiogram") for seed in range(6)]
    assert sum(drawing.structures["catheter"].any() for drawing in drawings) >= 2
    assert not any((drawing.structures["catheter"] & drawing.mask).any() for drawing in drawings)


def test_a_catheter_is_marked_where_it_can_be_seen() -> None:
    marked = 0
    for seed in (0, 3, 4, 11, 12, 15):
        # Drawn without the losses of compression, which spread over the edge of a collimator.
        image, _, structures = STYLES["angiogram"](rng := np.random.default_rng(seed), 512, rng)
        # Behind a collimator nothing is seen, not even grain.
        even = ndimage.maximum_filter(image[..., 0], 15) - ndimage.minimum_filter(image[..., 0], 15) < 1e-3
        assert not (structures["catheter"] & even).any()
        marked += bool(structures["catheter"].any())
    assert marked >= 3


def test_arteries_are_lighter_than_veins() -> None:
    lighter = []
    for seed in range(12):
        image, _, structures = synthesize(seed, 256, "fundus")
        green = image[..., 1].astype(float) - ndimage.median_filter(image[..., 1], 25)
        if all(part.sum() > 200 for part in structures.values()):
            lighter.append(green[structures["artery"]].mean() > green[structures["vein"]].mean())
    assert len(lighter) >= 6
    assert np.mean(lighter) > 0.8


def test_annotators_differ_in_width_and_in_what_is_too_fine() -> None:
    segments = np.array([[10.0, 20, 90, 20, 0.6], [10, 60, 90, 60, 3]])
    narrow, wide = Annotator(0.0).mark(segments, 100), Annotator(1.0).mark(segments, 100)
    assert 0 < narrow.sum() < wide.sum()
    coarse = Annotator(0.0, finest=1.0).mark(segments, 100)
    assert not coarse[20].any()
    assert coarse[60].any()


def test_a_view_magnifies_and_leaves_out_what_lies_outside() -> None:
    segments = np.array([[10.0, 10, 20, 10, 1, 0, 0], [500, 500, 510, 500, 1, 0, 0]])
    placed = View(100, zoom=3.0, corner=(5.0, 5.0)).place(segments)
    np.testing.assert_allclose(placed, [[15, 15, 45, 15, 3, 0, 0]])


@given(st.floats(0.5, 20), st.floats(0.1, 1))
def test_vessels_divide_by_murrays_law(radius: float, ratio: float) -> None:
    larger, smaller, turn, turn_smaller = (float(v) for v in murray(np.array(radius), np.array(ratio)))
    assert larger**3 + smaller**3 == pytest.approx(radius**3)
    assert smaller / larger == pytest.approx(ratio)
    # The smaller daughter turns further; both lie between straight on and a right angle.
    assert -1e-9 <= turn <= turn_smaller + 1e-9 <= np.pi / 2 + 1e-9


def test_equal_daughters_leave_at_37_degrees() -> None:
    *_, turn, turn_smaller = murray(np.array(1.0), np.array(1.0))
    assert np.degrees([turn, turn_smaller]) == pytest.approx(37.47, abs=0.01)


def test_branches_of_a_grown_tree_keep_murrays_law() -> None:
    growth = Growth(wiggle=0.03, forks=0.03, twigs=0, fork_ratio=(0.4, 0.9), taper=0, smallest=1.0, ends=0)
    segments = grow(np.random.default_rng(0), 256, roots(8, 256, 6.0), growth)
    starting = defaultdict(list)
    for segment in segments:
        starting[tuple(segment[:2])].append(segment[4])
    branches = [(parent[4], starting[tuple(parent[2:4])]) for parent in segments]
    branches = [(parent, daughters) for parent, daughters in branches if len(daughters) == 2]
    assert len(branches) > 20
    for parent, daughters in branches:
        assert sum(radius**3 for radius in daughters) == pytest.approx(parent**3)
        assert 0.4 <= min(daughters) / max(daughters) <= 0.9


@pytest.mark.parametrize("seed", range(3))
def test_trees_stay_near_the_image_and_end_at_the_smallest_radius(seed: int) -> None:
    size, growth = 200, Growth(smallest=0.7)
    segments = grow(np.random.default_rng(seed), size, roots(6, size, 4.0), growth)
    reach = 0.1 * size + growth.step
    assert segments[:, :4].min() >= -reach
    assert segments[:, :4].max() <= size + reach
    assert segments[:, 4].min() >= 0.7
    assert segments[:, 4].max() <= 4.0
    assert set(segments[:, 5]) == set(range(6))
    np.testing.assert_allclose(np.hypot(*(segments[:, 2:4] - segments[:, :2]).T), growth.step)


def test_no_more_is_grown_once_there_is_enough() -> None:
    endless = Growth(forks=0.2, taper=0, smallest=0.01, ends=0)
    segments = grow(np.random.default_rng(0), 10_000, roots(4, 10_000, 5.0), endless, most=300)
    assert 300 <= len(segments) <= 3 * 300


def test_nothing_grows_without_roots() -> None:
    assert grow(np.random.default_rng(0), 100, roots(0, 100, 1.0), Growth()).shape == (0, 7)


@pytest.mark.parametrize("radius", [1.0, 2.0, 5.0])
def test_a_vessel_is_drawn_as_wide_and_dark_as_asked(radius: float) -> None:
    drawing = draw(np.array([[20.0, 50.0, 80.0, 50.0, radius]]), 100, shades=102)
    assert drawing.max() == pytest.approx(0.4)
    assert drawing[:, 50].sum() / 0.4 == pytest.approx(2 * radius, abs=0.5)
    assert not drawing[:, :10].any()


@pytest.mark.parametrize("device", range(4))
def test_images_of_one_device_look_alike_and_show_different_vessels(device: int) -> None:
    drawings = [synthesize(seed, 128, "overlap", device) for seed in range(5)]
    brighter = {bool(d.image[d.mask].mean() > d.image[~d.mask].mean()) for d in drawings}
    assert len(brighter) == 1
    assert len({d.mask.tobytes() for d in drawings}) == 5


@pytest.mark.parametrize("style", STYLES)
def test_a_device_draws_the_same_image_again(style: str) -> None:
    first, again, other = (synthesize(3, 96, style, device) for device in (1, 1, 2))
    assert np.array_equal(first.image, again.image)
    assert not np.array_equal(first.image, other.image)
