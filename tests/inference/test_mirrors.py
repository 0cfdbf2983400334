"""A small image is looked at in mirror images too."""

from __future__ import annotations

import numpy as np
import pytest

from salt_monailabel.imaging import Kind
from salt_monailabel.inference import Edit, Predictor

from .conftest import ROUNDING, Asked, noise


@pytest.mark.parametrize(("tiles", "views"), [(1, 4), (4, 4), (6, 3), (9, 2), (16, 1), (30, 1)])
def test_an_image_of_few_tiles_is_looked_at_in_mirrors_too(
    predictor: Predictor, asked: Asked, tiles: int, views: int
) -> None:
    embedded = predictor.embed(noise(64, 64 + 48 * (tiles - 1), 1))
    assert (asked.encoded, asked.decoded) == (tiles, 0)
    first = predictor.segment(embedded, "vessel")
    assert (asked.encoded, asked.decoded) == (views * tiles, views * tiles)
    assert np.array_equal(predictor.segment(embedded, "vessel"), first)
    predictor.edit(embedded, "vessel", Edit(foreground=[(5, 5)]))
    assert (asked.encoded, asked.decoded) == (views * tiles, views * tiles + 1)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_a_mirror_image_has_the_mirrored_answer(predictor: Predictor, axes: tuple[int, ...]) -> None:
    pixels = noise(64, 64, 1)
    mirrored = np.ascontiguousarray(np.flip(pixels, axes))

    def answer(image: np.ndarray, several: bool) -> np.ndarray:
        return predictor.segment(predictor.embed(image, Kind(single=several)), "vessel")

    np.testing.assert_allclose(np.flip(answer(mirrored, True), axes), answer(pixels, True), atol=ROUNDING)
    assert not np.allclose(np.flip(answer(mirrored, False), axes), answer(pixels, False), atol=1e-2)


def test_a_click_leaves_what_mirrors_showed_elsewhere(predictor: Predictor) -> None:
    embedded = predictor.embed(noise(64, 160, 1))
    before = predictor.segment(embedded, "vessel")
    after = predictor.edit(embedded, "vessel", Edit(foreground=[(10, 10)]))
    assert np.abs(after - before)[:, :48].max() > 1e-3
    np.testing.assert_allclose(after[:, 64:], before[:, 64:], atol=ROUNDING)
