"""Measuring an uploaded mask: figures as JSON, without a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.measurements import tube
from salt_monailabel.measure import measure, profile

from ..dicom import written
from .viewer import Upload, Viewer, nrrd, one_slice, our_server

MASK = tube(10.0, 20, narrowing=0.5)
SIDE = len(MASK)
MIDDLE = (SIDE - 1) / 2
AHEAD = 60 * np.array([np.cos(np.radians(20)), np.sin(np.radians(20))])
START, END = ((MIDDLE - AHEAD).tolist(), (MIDDLE + AHEAD).tolist())
BETWEEN = [[*START, 1], [*END, 1]]
SPACING = (0.2, 0.2)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Upload:
    """Return a run of three frames whose pixels are 0.2 mm wide."""
    pixels = np.random.default_rng(0).integers(0, 4096, (3, SIDE, SIDE)).astype(np.uint16)
    path = written(tmp_path_factory.mktemp("measure") / "run.dcm", pixels, PixelSpacing=list(SPACING))
    return path.name, path.read_bytes()


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory, image: Upload) -> Iterator[Viewer]:
    with our_server(tmp_path_factory.mktemp("measures") / "studies", labels="artery,vein") as connected:
        assert connected.put_image("run", image).status_code == 200
        yield connected


@pytest.fixture(scope="module")
def masks() -> Upload:
    """Return veins on two frames of the run."""
    return nrrd(2 * np.stack([np.zeros_like(MASK), MASK, MASK[::-1]]).astype(np.uint8))


def measured(viewer: Viewer, mask: Upload, label_name: str = "vein", **params: Any) -> dict[str, Any]:
    reply = viewer.infer("salt_measure", "run", mask, output="json", label_name=label_name, **params)
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_each_frame_with_vessels_is_measured(viewer: Viewer, masks: Upload) -> None:
    rows = measured(viewer, masks, job="mine")["measurements"]
    assert viewer.send("GET", "/salt/jobs/mine").json() == {"done": 2, "of": 2, "state": "done"}
    assert [(row["frame"], row["label"], row["unit"]) for row in rows] == [(1, "vein", "mm"), (2, "vein", "mm")]
    assert rows[0]["mean_diameter"] == pytest.approx(measure(MASK, SPACING).mean_diameter)
    assert rows[0]["total_length"] == pytest.approx(30, abs=3)


def test_between_two_places_the_diameters_are_those_of_salt_measure(viewer: Viewer, masks: Upload) -> None:
    answer = measured(viewer, masks, between=BETWEEN)
    found, wanted = answer["profile"], profile(measure(MASK, SPACING), tuple(START), tuple(END))
    assert found["unit"] == "mm"
    assert found["positions"] == pytest.approx(wanted.positions)
    assert found["diameters"] == pytest.approx(wanted.diameters)
    assert np.array(found["points"])[:, ::-1] == pytest.approx(wanted.points)
    assert found["narrowest"] == wanted.narrowest
    assert found["points"][found["narrowest"]] == pytest.approx([MIDDLE, MIDDLE], abs=3)
    assert found["min_diameter"] == pytest.approx(1, abs=0.1)
    assert found["reference"] == pytest.approx(2, abs=0.1)
    assert found["stenosis"] == pytest.approx(wanted.stenosis) == pytest.approx(50, abs=5)
    assert [row["frame"] for row in answer["measurements"]] == [1, 2]


def test_a_frame_alone_is_measured_as_in_the_run(viewer: Viewer, masks: Upload) -> None:
    whole = measured(viewer, masks, between=BETWEEN)
    alone = measured(viewer, one_slice(2 * MASK), between=[[*START, 0], [*END, 0]], only_frame=1)
    assert alone["profile"] == whole["profile"]
    assert alone["measurements"] == [{**whole["measurements"][0], "frame": 0}]


def test_diameters_that_have_no_meaning_are_null(viewer: Viewer) -> None:
    crossing = np.zeros((3, SIDE, SIDE), np.uint8)
    crossing[0, 60:68, 10:150], crossing[0, 60:140, 70:76] = 2, 2
    answer = measured(viewer, nrrd(crossing), between=[[20, 64, 0], [140, 64, 0]])
    assert None in answer["profile"]["diameters"]


def test_figures_come_whatever_output_is_asked_for_but_an_image(viewer: Viewer, masks: Upload) -> None:
    assert viewer.infer("salt_measure", "run", masks, output="all", label_name="vein").json()["measurements"]
    reply = viewer.infer("salt_measure", "run", masks, output="image", label_name="vein")
    assert (reply.status_code, "output=json" in reply.json()["detail"]) == (400, True)


def test_of_a_mask_of_several_labels_one_is_measured(viewer: Viewer) -> None:
    both = np.zeros((3, SIDE, SIDE), np.uint8)
    both[0, 20:28, 10:150], both[0, 60:64, 10:150] = 1, 2
    widths = {
        name: measured(viewer, nrrd(both), label_name=name)["measurements"][0]["mean_diameter"]
        for name in ("artery", "vein")
    }
    assert widths == pytest.approx({"artery": 1.6, "vein": 0.8}, abs=0.05)


def test_arteries_are_never_measured_as_veins(viewer: Viewer) -> None:
    arteries = np.stack([MASK, MASK, MASK]).astype(np.uint8)
    reply = viewer.infer("salt_measure", "run", nrrd(arteries), output="json", label_name="vein")
    assert (reply.status_code, "marks no vein, which has the value 2" in reply.json()["detail"]) == (400, True)
    assert len(measured(viewer, nrrd(arteries), label_name="artery")["measurements"]) == 3
    assert measured(viewer, nrrd(0 * arteries))["measurements"] == []


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"between": [[5, 5, 1], [9, 200, 1]]}, "outside"),
        ({"between": [[5, 5, 1], [30, 30, 2]]}, "choose both on one"),
        ({"between": [[*START, 1], [*START, 1]]}, "the same"),
        ({"between": [[*START, 0], [*END, 0]]}, "there is no vessel within 20 pixels"),
        ({"between": [[*START, 1], [START[0] - 1.4, START[1] + 3.8, 1]]}, "choose them farther apart"),
        ({"label_name": "bone"}, "unknown label 'bone'"),
    ],
)
def test_what_cannot_be_measured_is_said(viewer: Viewer, masks: Upload, params: dict[str, Any], said: str) -> None:
    reply = viewer.infer("salt_measure", "run", masks, output="json", **{"label_name": "vein", **params})
    assert reply.status_code == 400
    assert said in reply.json()["detail"]


def test_without_a_mask_that_fits_there_is_nothing_to_measure(viewer: Viewer) -> None:
    reply = viewer.infer("salt_measure", "run", output="json")
    assert (reply.status_code, "file 'label'" in reply.json()["detail"]) == (400, True)
    reply = viewer.infer("salt_measure", "run", one_slice(MASK), output="json")
    assert (reply.status_code, "1 x" in reply.json()["detail"]) == (400, True)
    assert viewer.infer("salt_measure", "nobody", one_slice(MASK), output="json").status_code == 404


def test_no_model_is_loaded_and_no_label_is_kept(
    viewer: Viewer, masks: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salt_monailabel.serving.host.ModelHost.predictor", lambda host: pytest.fail("a model"))
    before = viewer.status()
    assert measured(viewer, masks)["stopped"] is False
    assert viewer.status() == before


def test_panels_offer_it_neither_to_segment_nor_to_correct(viewer: Viewer) -> None:
    assert viewer.info()["models"]["salt_measure"]["type"] == "others"
