"""Prediction: any size of image, each tile embedded once, and corrections that stay where they were made."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from salt_monailabel.imaging import Kind, magnify
from salt_monailabel.inference import Edit, Predictor
from salt_monailabel.models import Prompts, VesselSam

from .conftest import ROUNDING, TILE, Asked, noise


def answers(predictor: Predictor, monkeypatch: pytest.MonkeyPatch, edited: np.ndarray) -> None:
    """Make the model see no vessel by itself, and `edited` (S, S) in a tile that is corrected."""

    def decode(images: Tensor, embeddings: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        vessel = torch.from_numpy(edited & (prompts.masks is not None))
        return torch.where(vessel, 5.0, -5.0).expand(len(images), 1, -1, -1), embeddings

    monkeypatch.setattr(predictor.model, "decode", decode)


def changed(after: np.ndarray, before: np.ndarray) -> np.ndarray:
    return np.abs(after - before) > ROUNDING


@pytest.mark.parametrize("shape", [(1, 1), (7, 30), (64, 64), (64, 65), (65, 20), (90, 130)])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_of_any_size_is_segmented(predictor: Predictor, shape: tuple[int, int], channels: int) -> None:
    probability = predictor.segment(predictor.embed(noise(*shape, channels)), "vessel")
    assert probability.shape == shape
    assert probability.dtype == np.float32
    assert np.isfinite(probability).all()
    assert probability.min() >= 0
    assert probability.max() <= 1


@pytest.mark.parametrize("shape", [(30, 40), (64, 64), (90, 150)])
def test_each_pixel_is_answered_for_where_it_is(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    def echo(images: Tensor, embeddings: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        return torch.logit(images[:, :1].clamp(1e-4, 1 - 1e-4)), embeddings

    monkeypatch.setattr(predictor.model, "decode", echo)
    # A ramp fills its range evenly; the percentiles at which it is cut are known.
    pixels = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(*shape, 1)
    share = pixels[..., 0] / pixels.max()
    probability = predictor.segment(predictor.embed(pixels), "vessel")
    np.testing.assert_allclose(probability, np.clip((share - 0.01) / 0.98, 0, 1), atol=5e-3)


def test_the_batch_size_does_not_change_the_answer(tiny_sam: VesselSam) -> None:
    one, many = (Predictor(tiny_sam, overlap=16, batch=batch, magnify=1) for batch in (1, 5))
    pixels = noise(100, 150, 3)
    first, second = (p.segment(p.embed(pixels), "vessel") for p in (one, many))
    np.testing.assert_allclose(first, second, atol=5e-3)


def test_an_image_is_encoded_once_and_each_label_decoded_once(predictor: Predictor, asked: Asked) -> None:
    embedded = predictor.embed(noise(100, 64, 3), Kind(single=False))
    assert (asked.encoded, asked.decoded) == (2, 0)
    first = predictor.segment(embedded, "vessel")
    assert (asked.encoded, asked.decoded) == (2, 2)
    assert np.array_equal(predictor.segment(embedded, "vessel"), first)
    predictor.edit(embedded, "vessel", Edit(foreground=[(5, 5)]))
    assert (asked.encoded, asked.decoded) == (2, 3)


def test_a_cache_can_count_the_memory(predictor: Predictor) -> None:
    for mirrors in (False, True):
        embedded = predictor.embed(noise(64, 64, 3), Kind(single=mirrors))
        before = embedded.nbytes
        assert before == 4 * (3 * TILE**2 + 256 * 4**2)
        predictor.segment(embedded, "vessel")
        assert embedded.nbytes == (4 if mirrors else 1) * before + 2 * 4 * TILE**2


def test_one_more_click_decodes_only_the_tiles_it_falls_into(
    predictor: Predictor, asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In bfloat16 a tile is answered for a little differently when there is another in its batch.
    monkeypatch.setattr("salt_monailabel.inference.predictor.autocast", lambda device: nullcontext())
    embedded = predictor.embed(noise(64, 160, 3))
    predictor.segment(embedded, "vessel")
    one, both = Edit(foreground=[(5, 5)]), Edit(foreground=[(5, 5)], background=[(150, 5)])
    before = asked.decoded
    predictor.edit(embedded, "vessel", one)
    assert asked.decoded == before + 1
    together = predictor.edit(embedded, "vessel", both)
    assert asked.decoded == before + 2
    embedded.answers.clear()
    np.testing.assert_allclose(predictor.edit(embedded, "vessel", both), together, atol=ROUNDING)
    # A mask of the user's own makes another question of it.
    predictor.edit(embedded, "vessel", Edit(foreground=[(5, 5)], mask=np.zeros((64, 160), bool)))
    assert asked.decoded == before + 5


@pytest.mark.parametrize("kind", ["foreground", "background"])
def test_a_click_changes_the_tiles_it_falls_in_and_no_others(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    answers(predictor, monkeypatch, np.ones((TILE, TILE), bool))
    embedded = predictor.embed(noise(64, 160, 3))
    before = predictor.segment(embedded, "vessel").copy()
    assert embedded.tiling.corners == ((0, 0), (0, 48), (0, 96))
    after = predictor.edit(embedded, "vessel", Edit(**{kind: [(55.0, 30.0)]}))
    assert (after[:, :96] > 0.5).all()
    assert np.array_equal(after[:, 112:], before[:, 112:])


def test_what_is_not_connected_to_a_click_stays_as_the_user_drew_it(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches = np.zeros((TILE, TILE), bool)
    branches[10:14], branches[40:44] = True, True
    answers(predictor, monkeypatch, branches)
    embedded = predictor.embed(noise(64, 64, 3))
    drawn = np.zeros((64, 64), bool)
    after = predictor.edit(embedded, "vessel", Edit(foreground=[(30, 12)], mask=drawn))
    assert np.array_equal(np.flatnonzero((after > 0.5).any(axis=1)), np.arange(10, 14))
    # In a mask that is still the model's own, a click tells about the whole tile.
    after = predictor.edit(embedded, "vessel", Edit(foreground=[(30, 12)]))
    assert np.array_equal(after > 0.5, branches)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 9), st.lists(st.tuples(st.floats(0, 79), st.floats(0, 69)), min_size=1, max_size=4))
def test_a_mask_never_loses_by_foreground_clicks_nor_gains_by_background_clicks(
    predictor: Predictor, seed: int, given_clicks: list[tuple[float, float]]
) -> None:
    embedded = predictor.embed(noise(70, 80, 3))
    drawn = ndimage.gaussian_filter(np.random.default_rng(seed).standard_normal((70, 80)), 3) > 0.02
    more = predictor.edit(embedded, "vessel", Edit(foreground=given_clicks, mask=drawn)) > predictor.threshold
    less = predictor.edit(embedded, "vessel", Edit(background=given_clicks, mask=drawn)) > predictor.threshold
    assert not (drawn & ~more).any()
    assert not (less & ~drawn).any()


def test_a_click_far_outside_the_image_adds_nothing_to_one_inside(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    branches = np.zeros((TILE, TILE), bool)
    branches[10:14], branches[40:44] = True, True
    answers(predictor, monkeypatch, branches)
    embedded = predictor.embed(noise(64, 64, 3))
    drawn = np.zeros((64, 64), bool)
    after = predictor.edit(embedded, "vessel", Edit(foreground=[(30, 12), (-20, -20)], mask=drawn))
    assert not (after[40:44] > 0.5).any()


def test_clicks_reach_the_model_in_the_pixels_of_their_tile_with_their_kind(predictor: Predictor, asked: Asked) -> None:
    embedded = predictor.embed(noise(64, 160, 3))
    predictor.edit(embedded, "vessel", Edit(foreground=[(10, 20), (130, 5)], background=[(55, 33)]))
    prompts = asked.prompts[-1]
    assert prompts.points is not None
    assert prompts.point_labels is not None
    found = [
        {(*point, label) for point, label in zip(points, labels, strict=True) if label >= 0}
        for points, labels in zip(prompts.points.tolist(), prompts.point_labels.tolist(), strict=True)
    ]
    assert found == [{(10, 20, 1), (55, 33, 0)}, {(7, 33, 0)}, {(34, 5, 1)}]
    assert (prompts.point_labels == -1).sum() == 2
    assert prompts.boxes is None


@pytest.mark.parametrize("box", [(10.0, 12.0, 90.0, 40.0), (-20.0, -5.0, 30.0, 500.0), (70.0, 20.0, 71.0, 21.0)])
def test_a_box_changes_nothing_outside_it(predictor: Predictor, box: tuple[float, float, float, float]) -> None:
    embedded = predictor.embed(noise(64, 160, 3))
    before = predictor.segment(embedded, "vessel").copy()
    difference = predictor.edit(embedded, "vessel", Edit(box=box)) != before
    rows, columns = np.nonzero(difference)
    assert len(rows)
    assert columns.min() >= box[0]
    assert columns.max() <= box[2]
    assert rows.min() >= box[1]
    assert rows.max() <= box[3]


def test_a_box_reaches_the_model_cut_to_each_tile(predictor: Predictor, asked: Asked) -> None:
    embedded = predictor.embed(noise(64, 160, 3))
    predictor.edit(embedded, "vessel", Edit(foreground=[(150, 9)], box=(20, 10, 80, 40)))
    boxes = asked.prompts[-1].boxes
    assert boxes is not None
    # The last tile is clicked at, but the box is not in it.
    assert boxes.tolist() == [[20, 10, 63, 40], [0, 10, 32, 40], [0, 0, 63, 63]]


@pytest.mark.parametrize(
    "edit", [Edit(), Edit(foreground=[(-3, 5), (500, 5)]), Edit(background=[(5, 64)]), Edit(box=(200, 0, 300, 40))]
)
def test_an_edit_of_nothing_in_the_image_changes_nothing(predictor: Predictor, asked: Asked, edit: Edit) -> None:
    embedded = predictor.embed(noise(64, 100, 3))
    before = predictor.segment(embedded, "vessel").copy()
    decoded = asked.decoded
    assert np.array_equal(predictor.edit(embedded, "vessel", edit), before)
    assert asked.decoded == decoded


def test_a_click_beside_an_image_smaller_than_a_tile_changes_nothing(predictor: Predictor) -> None:
    embedded = predictor.embed(noise(30, 40, 3))
    before = predictor.segment(embedded, "vessel").copy()
    assert np.array_equal(predictor.edit(embedded, "vessel", Edit(foreground=[(50, 35)])), before)


@pytest.mark.parametrize("factor", [1, 1.5])
@pytest.mark.parametrize("at", [(-0.5, 20), (99.4, 20), (50, -0.5), (50, 63.4), (99.4, 63.4)])
def test_a_click_on_the_outer_half_of_a_border_pixel_is_followed(
    predictor: Predictor, asked: Asked, at: tuple[float, float], factor: float
) -> None:
    predictor.magnify = factor
    embedded = predictor.embed(noise(64, 100, 3))
    predictor.edit(embedded, "vessel", Edit(foreground=[at], mask=np.zeros((64, 100), bool)))
    assert asked.decoded


def test_an_edit_does_not_change_the_automatic_answer(predictor: Predictor) -> None:
    embedded = predictor.embed(noise(64, 100, 3))
    before = predictor.segment(embedded, "vessel").copy()
    predictor.edit(embedded, "vessel", Edit(foreground=[(5, 5)], mask=np.ones((64, 100), bool)))
    assert np.array_equal(predictor.segment(embedded, "vessel"), before)


def test_a_previous_mask_takes_the_place_of_the_automatic_one(predictor: Predictor, asked: Asked) -> None:
    embedded = predictor.embed(noise(64, 160, 3))
    mask = noise(64, 160) > 128
    after = predictor.edit(embedded, "vessel", Edit(foreground=[(5, 5)], mask=mask))
    # Only the first tile is asked about; the automatic mask is not needed.
    assert asked.decoded == 1
    assert np.array_equal(after[:, 64:] > predictor.threshold, mask[:, 64:])


def test_a_previous_mask_reaches_the_model_as_it_was_drawn(predictor: Predictor, asked: Asked) -> None:
    embedded = predictor.embed(noise(64, 100, 3))
    mask = noise(64, 100) > 128
    predictor.edit(embedded, "vessel", Edit(foreground=[(5, 5), (90, 5)], mask=mask))
    masks = asked.prompts[-1].masks
    assert masks is not None
    assert np.array_equal(masks[:, 0].numpy(), np.stack([mask[:, :64], mask[:, 36:]]))


@pytest.mark.parametrize("shape", [(64, 63), (100, 64), (1, 64, 64)])
def test_a_previous_mask_of_another_size_is_refused(predictor: Predictor, shape: tuple[int, ...]) -> None:
    embedded = predictor.embed(noise(64, 64, 3))
    with pytest.raises(ValueError, match=r"the mask has .* but the image \(64, 64\)"):
        predictor.edit(embedded, "vessel", Edit(foreground=[(5, 5)], mask=np.zeros(shape, bool)))


def test_an_unknown_label_is_refused_and_the_known_ones_named(predictor: Predictor) -> None:
    embedded = predictor.embed(noise(64, 64, 3))
    with pytest.raises(ValueError, match=r"unknown label 'stent'.*vessel"):
        predictor.segment(embedded, "stent")


def test_each_label_is_asked_for_by_its_own_prompt(tiny_sam: VesselSam) -> None:
    model = VesselSam(tiny_sam.architecture, ("vessel", "stenosis"))
    with torch.no_grad():
        model.label_prompts.tokens[1] += 30
    predictor = Predictor(model, overlap=16, magnify=1)
    embedded = predictor.embed(noise(64, 64, 3))
    assert changed(predictor.segment(embedded, "vessel"), predictor.segment(embedded, "stenosis")).any()


def test_the_likeliest_label_above_the_threshold_wins(predictor: Predictor) -> None:
    first = np.array([[0.9, 0.4, 0.6, 0.1]], np.float32)
    second = np.array([[0.8, 0.2, 0.7, 0.51]], np.float32)
    labels = predictor.label_map([first, second])
    assert labels.tolist() == [[1, 0, 2, 2]]
    assert labels.dtype == np.uint8


def test_a_higher_threshold_keeps_less(tiny_sam: VesselSam) -> None:
    probability = np.array([[0.9, 0.6]], np.float32)
    assert Predictor(tiny_sam, overlap=16, threshold=0.7).label_map([probability]).tolist() == [[1, 0]]


def test_a_magnified_image_is_answered_in_its_own_pixels(tiny_sam: VesselSam) -> None:
    predictor = Predictor(tiny_sam, overlap=16, magnify=1.5)
    embedded = predictor.embed(noise(50, 70, 3))
    assert (embedded.shape, embedded.tiling.shape) == ((50, 70), (75, 105))
    assert predictor.segment(embedded, "vessel").shape == (50, 70)
    assert predictor.edit(embedded, "vessel", Edit(foreground=[(69, 49)])).shape == (50, 70)


def test_a_large_image_is_looked_at_smaller_and_answered_in_its_own_pixels(
    tiny_sam: VesselSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(magnify, "SIDE", 60)
    predictor = Predictor(tiny_sam, overlap=16)
    pixels = noise(150, 120, 1)
    embedded = predictor.embed(pixels)
    assert embedded.tiling.shape == (75, 60)
    drawn = predictor.segment(embedded, "vessel") > predictor.threshold
    assert drawn.shape == (150, 120)
    corrected = predictor.edit(embedded, "vessel", Edit(foreground=((100, 130),), mask=drawn)) > predictor.threshold
    assert corrected.shape == (150, 120)
    assert np.array_equal(corrected[:20, :20], drawn[:20, :20])


@pytest.mark.parametrize("side", [150, 60, 40])
@pytest.mark.parametrize("width", [1, 2, 5])
def test_what_is_fine_in_a_large_image_can_be_erased_and_drawn(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, side: int, width: int
) -> None:
    monkeypatch.setattr(magnify, "SIDE", side)
    embedded = predictor.embed(noise(150, 150, 1), Kind(single=False))
    line = np.zeros((150, 150), bool)
    line[20 : 20 + width] = True
    answers(predictor, monkeypatch, np.zeros((TILE, TILE), bool))
    erased = predictor.edit(embedded, "vessel", Edit(background=[(5, 20)], mask=line)) > predictor.threshold
    assert not erased[:, :20].any()
    answers(predictor, monkeypatch, np.ones((TILE, TILE), bool))
    drawn = (
        predictor.edit(embedded, "vessel", Edit(foreground=[(5, 5)], mask=np.zeros_like(line))) > predictor.threshold
    )
    assert drawn[:30, :20].all()


def test_what_the_model_leaves_alone_stays_to_the_pixel_though_magnified(tiny_sam: VesselSam) -> None:
    predictor = Predictor(tiny_sam, overlap=16, magnify=1.5)
    embedded = predictor.embed(noise(60, 200, 3))
    before = predictor.segment(embedded, "vessel")
    after = predictor.edit(embedded, "vessel", Edit(foreground=[(5, 30)]))
    far = np.s_[:, 70:]
    assert changed(after, before).any()
    np.testing.assert_allclose(after[far], before[far], atol=1e-6)
    line = np.zeros((60, 200), bool)
    line[20] = True
    kept = predictor.edit(embedded, "vessel", Edit(foreground=[(5, 50)], mask=line)) > 0.5
    assert kept[20, 70:].all()


def test_clicks_and_boxes_are_magnified_with_the_image() -> None:
    asked = Edit(foreground=[(10.0, 20.0)], box=(0.0, 3.0, 9.0, 5.0)).magnified((40, 60), (60, 90))
    assert asked.foreground == [(15.25, 30.25)]
    assert asked.box == (0.25, 4.75, 13.75, 7.75)
