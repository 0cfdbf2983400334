"""What was measured is shown with the image that it is of, and with no other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
from SALTVesselsLib.answers import Measured, Profile
from SALTVesselsLib.parameters import Parameters
from SALTVesselsLib.pixels import mask_to_nrrd
from SALTVesselsLib.scene import runs, volumes
from SALTVesselsLib.scene.nodes import owner
from SALTVesselsLib.scene.way import MOST, Way
from SALTVesselsLib.workflow.case import Case
from SALTVesselsLib.workflow.context import Context
from SALTVesselsLib.workflow.measure import Measure
from scenes import go_to, picture, read_scene

pytest_plugins = ("scenes",)

FIGURES = {"label": "vessel", "density": 0.25, "unit": "px", "total_length": 40.0, "mean_diameter": 3.0}
NARROW = Profile((0.0, 1.0), (4.0, 1.2), ((1.0, 1.0), (1.0, 2.0)), 1, 4.0, 1.2, 70.0, "px")
HALF = np.arange(8)[:, None] < np.full(9, 4)


class Bench:
    """The section *Measure*; the server answers when a test says so."""

    def __init__(self) -> None:
        self.context = Context(SimpleNamespace())
        self.context.client = SimpleNamespace(measure=self._asked)
        self.answers: list[Any] = []
        self.masks: list[bytes] = []
        self.given_up: list[str] = []
        server, self.segment = SimpleNamespace(may_send=lambda: True), SimpleNamespace(label="vessel")
        uploads = SimpleNamespace(send=lambda then: self.context.case.once_settled(then))
        self.measure = Measure(self.context, server, uploads, self.segment)

    def _asked(self, image: str, mask: bytes, between: Any, done: Any, failed: Any, **_: Any) -> Any:
        self.answers.append(done)
        self.masks.append(mask)
        return SimpleNamespace(cancel=lambda: self.given_up.append(image))

    def answer(self, profile: Profile | None = None) -> None:
        """Answer the last request."""
        self.answers[-1](Measured((dict(FIGURES),), profile))

    def open(
        self, volume: slicer.vtkMRMLVolumeNode, vessel: bool = True, labels: tuple[str, ...] = ("vessel",)
    ) -> None:
        """Work on an image, on which everything or nothing is the last label."""
        case = Case(volume, labels, Parameters(), lambda: self.context.identity, self.context.changed)
        self.segment.label = labels[-1]
        for frame in range(case.shape[0]):
            case.outlined(labels[-1], frame, np.full(case.shape[1:], vessel))
        self.context.case = case
        self.context.changed()


@pytest.fixture
def bench(scene: slicer.vtkMRMLScene) -> Bench:
    return Bench()


def image(name: str) -> slicer.vtkMRMLVolumeNode:
    return volumes.add(picture(np.zeros((1, 8, 9), np.uint8)), name)


def test_figures_name_their_image(bench: Bench) -> None:
    bench.open(image("anna"))
    bench.measure.density()
    bench.answer()
    assert bench.measure.words.startswith("anna, vessel: 25.0 % of the area")
    bench.measure.between((1, 1, 0), (1, 5, 0))
    bench.answer(NARROW)
    assert bench.measure.words == "anna: narrowest 1.2 px, beside it 4 px; narrowed by 70 %."


def test_figures_of_a_run_name_their_frame_counted_from_one(bench: Bench) -> None:
    run = runs.add(picture(np.zeros((3, 8, 9), np.uint8)), "anna")
    volumes.show(run.volume)
    bench.open(run.volume)
    go_to(run.volume, 1)
    bench.measure.density()
    bench.answer()
    assert bench.measure.words.startswith("anna, frame 2, vessel: ")
    assert [(row["image"], row["frame"]) for row in bench.measure.rows] == [("anna", 2)]


def test_a_measurement_goes_with_its_image(bench: Bench) -> None:
    bench.open(image("anna"))
    bench.measure.between((1, 1, 0), (1, 5, 0))
    bench.answer(NARROW)
    assert bench.measure.curve is not None
    bench.open(image("bert"))
    assert bench.measure.words == ""
    assert bench.measure.curve is None
    assert [row["image"] for row in bench.measure.rows] == ["anna"]


def ways() -> list[tuple[list[tuple[int, int, int]], bool]]:
    """Return, of each line and each cross that is drawn, the pixels it goes through, and whether it is seen."""
    drawn = slicer.util.getNodesByClass("vtkMRMLMarkupsNode")
    return [
        (
            [
                volumes.pixel(owner(node), node.GetNthControlPointPositionWorld(number))
                for number in range(node.GetNumberOfControlPoints())
            ],
            bool(node.GetDisplayVisibility()),
        )
        for node in sorted(drawn, key=lambda node: node.GetName())
    ]


def test_the_way_along_the_vessel_and_its_narrowest_place_are_drawn(bench: Bench) -> None:
    bench.open(image("anna"))
    bench.measure.between((1, 1, 0), (1, 5, 0))
    bench.answer(NARROW)
    assert ways() == [([(1, 1, 0), (1, 2, 0)], True), ([(1, 2, 0)], True)]
    bench.measure.between((1, 1, 0), (1, 5, 0))
    assert ways() == [], "it stays while another is measured"
    bench.answer(NARROW)
    assert len(ways()) == 2
    bench.measure.density()
    bench.answer()
    assert ways() == []
    assert bench.measure.curve is None


def test_the_way_goes_when_the_outline_changes_or_another_image_is_in_view(bench: Bench) -> None:
    bench.open(image("anna"))
    for leave in (
        lambda: bench.context.case.outlined("vessel", 0, HALF),
        bench.measure.forget,
        lambda: bench.open(image("bert")),
    ):
        bench.measure.between((1, 1, 0), (1, 5, 0))
        bench.answer(NARROW)
        assert len(ways()) == 2
        leave()
        bench.context.changed()
        assert ways() == []
    bench.measure.between((1, 1, 0), (1, 5, 0))
    bench.context.case.outlined("vessel", 0, ~HALF)
    bench.answer(NARROW)
    assert ways() == [], "it was of an outline that is no more"


def test_the_way_is_seen_on_its_own_frame_alone(bench: Bench) -> None:
    run = runs.add(picture(np.zeros((3, 8, 9), np.uint8)), "anna")
    volumes.show(run.volume)
    bench.open(run.volume)
    bench.measure.between((1, 1, 1), (1, 5, 1))
    bench.answer(NARROW)
    for frame in (0, 1, 2):
        go_to(run.volume, frame)
        assert [seen for _, seen in ways()] == [frame == 1] * 2


def test_a_long_way_is_drawn_through_some_of_its_places_and_both_ends(scene: slicer.vtkMRMLScene) -> None:
    drawn_on = volumes.add(picture(np.zeros((1, 8, 3000), np.uint8)))
    way = Way(drawn_on, [(float(i), 4.0, 0.0) for i in range(3000)], 1001)
    (line, _), (cross, _) = ways()
    assert cross == [(1001, 4, 0)]
    assert len(line) <= MOST + 2
    assert {(0, 4, 0), (1001, 4, 0), (2999, 4, 0)} <= {*line}
    way.close()
    assert ways() == []


def test_a_reply_for_another_image_goes_into_the_table_alone(bench: Bench) -> None:
    bench.open(image("anna"))
    bench.measure.between((1, 1, 0), (1, 5, 0))
    bench.open(image("bert"))
    bench.context.say("bert is in view.")
    bench.answer(NARROW)
    assert bench.measure.words == ""
    assert bench.measure.curve is None
    assert bench.context.message == "bert is in view."
    assert [(row["image"], row["stenosis"]) for row in bench.measure.rows] == [("anna", 70.0)]


def test_the_table_is_saved_with_the_scene(bench: Bench, tmp_path: Path) -> None:
    bench.open(image("anna"))
    bench.measure.density()
    bench.answer()
    bench.measure.between((1, 1, 0), (1, 5, 0))
    bench.answer(NARROW)
    before = bench.measure.rows
    assert slicer.mrmlScene.WriteToMRB(str(tmp_path / "scene.mrb"))
    read_scene(tmp_path / "scene.mrb", tmp_path)
    assert Bench().measure.rows == before
    assert len(before) == 2
    slicer.mrmlScene.Clear(0)
    assert Bench().measure.rows == []


def test_an_outline_that_is_on_its_way_is_measured_when_it_is_there(bench: Bench) -> None:
    bench.open(image("anna"), vessel=False)
    bench.context.case.asked("vessel", 0)
    bench.measure.density()
    assert bench.context.message == ""
    bench.context.case.outlined("vessel", 0, HALF)
    bench.context.case.answered("vessel", 0)
    assert bench.masks == [mask_to_nrrd(HALF[None])]


def test_the_user_is_told_that_something_is_measured_and_can_stop_it(bench: Bench) -> None:
    bench.open(image("anna"))
    bench.measure.density()
    assert (bench.measure.busy, bench.context.message) == (True, "Measuring anna …")
    bench.answer()
    assert (bench.measure.busy, bench.context.message) == (False, "")
    bench.measure.density()
    bench.given_up.clear()
    bench.measure.stop()
    assert (bench.measure.busy, bench.context.message, bench.given_up) == (False, "Stopped.", ["anna"])
    bench.answer()
    assert len(bench.measure.rows) == 1, "what was given up was noted"
    bench.measure.density()
    bench.context.give_up()
    assert not bench.measure.busy


def test_it_is_not_said_any_more_that_an_image_is_measured_that_is_not_in_view(bench: Bench) -> None:
    bench.open(image("anna"))
    bench.measure.density()
    bench.open(image("bert"))
    bench.answer()
    assert bench.context.message == ""


def test_of_several_labels_the_one_measured_is_sent_by_its_value(bench: Bench) -> None:
    bench.open(image("anna"), labels=("artery", "vein"))
    bench.measure.density()
    assert bench.masks == [mask_to_nrrd(np.full((1, 8, 9), 2, np.uint8))]


def test_there_is_nothing_to_measure_once_a_click_has_removed_all(bench: Bench) -> None:
    bench.open(image("anna"))
    bench.context.case.asked("vessel", 0)
    bench.measure.density()
    bench.context.case.outlined("vessel", 0, np.zeros_like(HALF))
    bench.context.case.answered("vessel", 0)
    assert bench.context.message.startswith("There is no vessel to measure")
    assert not bench.masks
