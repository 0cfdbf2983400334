"""An image as large as a camera for the retina makes it holds the application no longer than a small one."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from clocks import MORE_THAN_ONCE, Clock
from SALTVesselsLib.answers import Profile
from SALTVesselsLib.scene import volumes
from scenes import picture
from scipy.ndimage import gaussian_filter
from test_measure import Bench

pytest_plugins = ("scenes", "clocks")

ROWS, COLUMNS = 2336, 3504


def outline(seed: int) -> np.ndarray:
    """Return an outline with the finest details, bool, (rows, columns)."""
    ground = gaussian_filter(np.random.default_rng(seed).normal(size=(ROWS // 4, COLUMNS // 4)), 4)
    return np.kron(np.abs(ground) < 0.012, np.ones((4, 4), bool))


@pytest.fixture
def bench(scene: slicer.vtkMRMLScene, application: object) -> Bench:
    bench = Bench()
    image = volumes.add(picture(np.zeros((1, ROWS, COLUMNS, 3), np.uint8)), "large")
    volumes.show(image)
    bench.open(image, vessel=False)
    return bench


@MORE_THAN_ONCE
def test_an_outline_is_shown_at_once_be_it_the_first(bench: Bench, clock: Clock) -> None:
    case = bench.context.case
    outlines = [outline(seed) for seed in range(3)]
    for number, mask in enumerate(outlines, start=1):
        with clock.watching(f"outline {number}"):
            case.outlined("vessel", 0, mask)
    with clock.watching("undo"):
        case.corrections("vessel", 0).undo()
        case.show("vessel", 0)
    assert np.array_equal(case.outlines.frame_mask("vessel", 0), outlines[1])


@MORE_THAN_ONCE
def test_a_vessel_from_one_border_to_the_other_is_measured_and_drawn_at_once(bench: Bench, clock: Clock) -> None:
    bench.context.case.outlined("vessel", 0, outline(0))
    count = COLUMNS - 200
    line = tuple((100.0 + n, 1000 + 200 * np.sin(n / 90)) for n in range(count))
    along = tuple(map(float, range(count)))
    profile = Profile(along, (8.0,) * count, line, 1500, 8.0, 8.0, 0.0, "px")
    with clock.watching("ask"):
        bench.measure.between((100, 1000, 0), (100 + count, 1000, 0))
    with clock.watching("answer"):
        bench.answer(profile)
    assert bench.measure.curve.table.GetNumberOfRows() == count
