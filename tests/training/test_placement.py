"""Outlines that were moved are told from those that lie well, and from those that are wrong in another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.morphology import skeletonize

from salt_monailabel.imaging import synthesize
from salt_monailabel.inference import Predictor
from salt_monailabel.models import VesselSam
from salt_monailabel.training import LabelledFrame, placement
from salt_monailabel.training.placement import FARTHEST, displacement, is_inverted, is_noise, misplaced

VESSELS = synthesize(3, 400, "octa").mask > 0
WINDOW = np.s_[100:270, 100:270]


@given(st.integers(-40, 40), st.integers(-40, 40))
def test_an_outline_that_was_moved_is_told_how_far_to_go_back(rows: int, columns: int) -> None:
    moved = np.roll(VESSELS, (rows, columns), (0, 1))
    found = displacement([(VESSELS[WINDOW], moved[WINDOW])])
    # By little, it still lies on the vessels.
    assert found == (-rows, -columns) or (found is None and max(abs(rows), abs(columns)) < 6)


def test_a_single_straight_vessel_is_not_displaced_along_itself() -> None:
    vessel = np.zeros((170, 170), bool)
    vessel[:, 80:90] = True
    assert displacement([(vessel, np.roll(vessel, 20, 0))]) is None
    assert displacement([(vessel, np.roll(vessel, 20, 1))]) == (0, -20)


def test_a_speck_is_no_evidence() -> None:
    found = np.zeros((170, 170), bool)
    found[80:84, 80:84] = True
    assert displacement([(found, np.roll(found, 20, 1))]) is None
    assert displacement([(found, VESSELS[WINDOW])]) is None


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda mask: mask, id="right"),
        pytest.param(lambda mask: ~mask, id="inverted"),
        pytest.param(lambda mask: np.random.default_rng(0).random(mask.shape) < 0.5, id="random"),
        pytest.param(np.zeros_like, id="empty"),
        pytest.param(lambda mask: np.roll(mask, 2 * FARTHEST, 0), id="too far"),
        pytest.param(lambda mask: mask & (np.random.default_rng(0).random(mask.shape) < 0.3), id="a part"),
    ],
)
def test_what_lies_nowhere_better_is_not_displaced(change: object) -> None:
    assert callable(change)
    assert displacement([(VESSELS[WINDOW], change(VESSELS)[WINDOW])]) is None


def test_a_catheter_beside_a_vessel_in_one_place_does_not_move_an_outline(
    tiny_sam: VesselSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = np.meshgrid(np.arange(600), np.arange(600))
    catheter = abs(x - 300) < 6
    vessel = abs(x - 320 - (y - 300) ** 2 // 300) < 6
    windows = [np.s_[top : top + 100, 250:450] for top in (250, 100, 400)]
    found = [(catheter[window], vessel[window]) for window in windows]
    assert displacement(found[:1]) is not None
    seen = iter([[found[:1]], [found]])
    monkeypatch.setattr("salt_monailabel.training.placement.answers", lambda predictor, asked: next(seen))
    frame = LabelledFrame(np.zeros((600, 600, 3), np.float32), vessel.astype(np.uint8), "a")
    assert misplaced(Predictor(tiny_sam, overlap=16), frame) is None
    assert next(seen, None) is None


def test_windows_add_up() -> None:
    still, moved = VESSELS, np.roll(VESSELS, 20, 0)
    parts = [np.s_[100:200, 100:200], np.s_[170:270, 170:270]]
    assert displacement([(still[part], moved[part]) for part in parts]) == (-20, 0)
    assert displacement([]) is None


def test_of_an_image_that_was_made_smaller_its_own_pixels_are_told(
    tiny_sam: VesselSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(placement, "displacement", lambda pairs: (4, -16))
    frame = LabelledFrame(np.zeros((90, 80, 3), np.float32), np.ones((90, 80), np.uint8), "large", pixel=2.75)
    assert misplaced(Predictor(tiny_sam, overlap=16), frame) == (11, -44)


def test_an_outline_of_what_vessels_leave_is_inverted_as_far_as_the_view_reaches() -> None:
    pixels, labels = np.zeros((100, 100, 3), np.float32), np.zeros((100, 100), np.uint8)
    labels[40:60], view = 1, np.zeros((100, 100), np.float32)
    view[30:70] = 1
    assert not is_inverted(LabelledFrame(pixels, labels, "a"))
    assert is_inverted(LabelledFrame(pixels, 1 - labels, "a"))
    assert not is_inverted(LabelledFrame(pixels, labels, "a", view))
    assert not is_inverted(LabelledFrame(pixels, 1 - labels, "a", view))
    view[40:60] = 0
    assert is_inverted(LabelledFrame(pixels, 1 - labels, "a", view))


@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.5))
def test_pixels_marked_by_chance_are_noise_however_many_and_wherever_they_are_seen(seed: int, share: float) -> None:
    rng, view = np.random.default_rng(seed), np.zeros(VESSELS.shape, np.float32)
    view[50:300, 80:390] = 1
    pixels, garbled = np.zeros((*VESSELS.shape, 3), np.float32), rng.random(VESSELS.shape) < share
    for seen in (None, view):
        marked = garbled if seen is None else garbled & (seen > 0)
        assert is_noise(LabelledFrame(pixels, marked.astype(np.uint8), "a", seen))
        for outline in (VESSELS, skeletonize(VESSELS), ~VESSELS, np.ones_like(VESSELS)):
            assert not is_noise(LabelledFrame(pixels, outline.astype(np.uint8), "a", seen))
