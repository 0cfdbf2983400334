"""Masks over images: only what is labelled changes, and each label looks different."""

from __future__ import annotations

import numpy as np
import pytest

from salt_monailabel.imaging import difference, overlay

RED, GREEN, BLUE = range(3)


@pytest.fixture
def gray() -> np.ndarray:
    return np.full((12, 16, 3), 0.4, np.float32)


def test_an_image_without_a_label_is_left_as_it_is(gray: np.ndarray) -> None:
    assert np.array_equal(overlay(gray, np.zeros((12, 16), np.uint8)), np.full((12, 16, 3), 102, np.uint8))


def test_only_what_is_labelled_changes(gray: np.ndarray) -> None:
    mask, before = np.zeros((12, 16), np.uint8), gray.copy()
    mask[3:9, 4:10] = 1
    changed = (overlay(gray, mask) != 102).any(axis=-1)
    assert np.array_equal(changed, mask > 0)
    assert np.array_equal(gray, before)


def test_every_label_up_to_255_has_a_colour_and_neighbours_differ(gray: np.ndarray) -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[:, 4:8], mask[:, 8:12], mask[:, 12:] = 1, 2, 255
    painted = overlay(gray, mask).astype(int)
    assert np.abs(painted[6, 6] - painted[6, 10]).max() > 30
    assert np.abs(painted[6, 14] - 102).max() > 30


def test_a_wide_label_is_outlined(gray: np.ndarray) -> None:
    mask = np.zeros((12, 16), np.uint8)
    mask[2:10, 2:14] = 1
    painted = overlay(gray, mask).astype(int)
    assert np.abs(painted[2, 7] - 102).sum() > np.abs(painted[6, 7] - 102).sum()


def test_right_is_green_missed_is_red_and_too_much_is_blue() -> None:
    truth, prediction = np.zeros((12, 16), bool), np.zeros((12, 16), bool)
    truth[:, :8], prediction[:, 4:12] = True, True
    painted = difference(np.zeros((12, 16, 3), np.float32), prediction, truth)
    assert painted[6, 6].argmax() == GREEN
    assert painted[6, 2].argmax() == RED
    assert painted[6, 10].argmax() == BLUE
    assert not painted[:, 12:].any()
