"""What a request asks for, without a server."""

from __future__ import annotations

import numpy as np
import pytest

from salt_monailabel.imaging import ImageError, Study
from salt_monailabel.imaging.geometry import Geometry
from salt_monailabel.serving.infer.asked import clicks

ROWS, COLUMNS = 20, 30
STUDY = Study(np.zeros((1, ROWS, COLUMNS, 1), np.uint8), Geometry.unknown(1, ROWS, COLUMNS), "eye.png")


@pytest.mark.parametrize("at", [(-0.5, 9), (COLUMNS - 0.6, 9), (9, -0.5), (9, ROWS - 0.6)])
def test_a_click_on_the_outer_half_of_a_border_pixel_is_on_the_image(at: tuple[float, float]) -> None:
    assert clicks({"foreground": [[*at, 0]]}, "foreground", STUDY) == [(*at, 0)]


@pytest.mark.parametrize("at", [(-0.6, 9), (COLUMNS - 0.5, 9), (9, -0.6), (9, ROWS - 0.5), (float("nan"), 9)])
def test_a_click_beyond_the_border_pixels_is_refused(at: tuple[float, float]) -> None:
    with pytest.raises(ImageError, match=r"outside of eye\.png"):
        clicks({"foreground": [[*at, 0]]}, "foreground", STUDY)
