"""An image is known by its server's name to that server alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
from SALTVesselsLib.answers import ServerInfo
from SALTVesselsLib.parameters import Parameters
from SALTVesselsLib.scene import names, runs, volumes
from SALTVesselsLib.scene.segmentation import Outlines
from SALTVesselsLib.workflow import strokes
from SALTVesselsLib.workflow.case import Case
from scenes import Editor, go_to, noise, picture, read_scene

pytest_plugins = ("scenes",)


def test_a_name_counts_on_the_server_it_is_of(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7)), "anna", "one")
    assert names.image_of(node, "one") == "anna"
    assert names.image_of(node, "other") == ""
    assert names.image_of(node, "") == "", "a server that tells no identity is not the one that did"


def test_an_image_may_be_known_to_several_servers(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7)), "anna", "one")
    names.remember(node, "anna_2", "other")
    names.remember(node, "anna_3", "")
    assert [names.image_of(node, which) for which in ("one", "other", "")] == ["anna", "anna_2", "anna_3"]


def test_a_name_without_an_identity_counts_everywhere_as_it_did(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7)), "anna")
    assert node.GetAttribute("SALT.image") == "anna"
    assert [names.image_of(node, which) for which in ("", "one", "other")] == ["anna"] * 3


def test_servers_are_not_told_of_each_other(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7), modality="OP", spacing_known=1), "anna", "one")
    names.remember(node, "bert", "")
    names.mark(node)
    assert volumes.picture_of(node).facts == {"modality": "OP", "spacing_known": "1"}


def test_the_names_of_a_run_and_its_mark_stay_from_frame_to_frame_and_in_a_saved_scene(
    scene: slicer.vtkMRMLScene, tmp_path: Path
) -> None:
    run = runs.add(picture(noise(3, 5, 7), name="run"), "anna", "one")
    mark = names.mark(run.volume)
    go_to(run.volume, 2)
    assert (names.image_of(run.volume, "one"), names.mark(run.volume)) == ("anna", mark)
    file = tmp_path / "case.mrb"
    assert scene.WriteToMRB(str(file))
    read_scene(file, tmp_path / "unpacked")
    (volume,) = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert (names.image_of(volume, "one"), names.image_of(volume, "other")) == ("anna", "")
    assert names.mark(volume) == mark


def test_namesakes_on_two_servers_keep_their_own_strokes(scene: slicer.vtkMRMLScene) -> None:
    parameters = Parameters()
    drawn = np.zeros((5, 7), bool)
    drawn[1:3, 2:4] = True
    cases = {
        which: Case(volumes.add(picture(noise(1, 5, 7)), "anna", which), ("vessel",), parameters, lambda: "one", int)
        for which in ("one", "other")
    }
    Editor(cases["one"].outlines).paint("vessel", drawn[None])
    for case in cases.values():
        case.close()
    again = {
        which: Case(case.volume, ("vessel",), parameters, lambda: "other", int).corrections("vessel", 0)
        for which, case in cases.items()
    }
    assert np.array_equal(again["one"].painted, drawn), "strokes depend on the server connected to"
    assert not again["other"].painted.any()


def test_a_scene_of_an_earlier_panel_keeps_its_strokes_and_what_waits(scene: slicer.vtkMRMLScene) -> None:
    node = volumes.add(picture(noise(1, 5, 7)))
    drawn = np.zeros((5, 7), bool)
    drawn[1:3, 2:4] = True
    outlines = Outlines(node, ("vessel",))
    outlines.put("vessel", drawn[None])
    parameters = Parameters()
    # As it was written.
    node.SetAttribute("SALT.image", "anna")
    painted = Case(node, ("vessel",), parameters, lambda: "", int).corrections("vessel", 0)
    painted.painted = drawn
    strokes.keep(parameters, "anna", "vessel", 0, painted)
    parameters.node.AddNodeReferenceID("unsent", outlines.node.GetID())
    parameters.node.SetParameter("submitted anna", "digest")

    case = Case(node, ("vessel",), parameters, lambda: "one", int)
    assert case.image == "anna"
    assert np.array_equal(case.corrections("vessel", 0).painted, drawn)
    (unsent,) = parameters.unsent
    assert (unsent.image, unsent.identity, unsent.outlines, unsent.digest) == ("anna", "", outlines.node, "digest")
    parameters.sent(outlines.node, "one")
    assert parameters.unsent == []
    assert parameters.node.GetParameter("submitted anna") == ""


TOLD: dict[str, object] = {
    "name": "SALT",
    "labels": ["vessel"],
    "strategies": {},
    "adapter": "base",
    "models": {"salt": {}, "salt_edit": {}},
}


def test_a_server_may_tell_an_identity_or_none() -> None:
    assert ServerInfo.read(TOLD).identity == ""
    assert ServerInfo.read(TOLD | {"identity": ""}).identity == ""
    assert ServerInfo.read(TOLD | {"identity": "0a" * 16}).identity == "0a" * 16


@pytest.mark.parametrize("identity", ["a b", "a;b", "a.b", "é", "x" * 65, None, ["a"]])
def test_what_a_scene_could_not_keep_is_no_identity(identity: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        ServerInfo.read(TOLD | {"identity": identity})
