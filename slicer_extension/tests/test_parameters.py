"""What the panel knows is saved with the scene and comes back with it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import slicer
from SALTVesselsLib.parameters import ADDRESSES, Parameters
from SALTVesselsLib.scene import names, nodes, runs, volumes
from SALTVesselsLib.scene.clicks import Clicks
from SALTVesselsLib.scene.segmentation import Outlines
from scenes import Editor, go_to, noise, picture, read_scene

pytest_plugins = ("scenes",)


def test_there_is_one_node_and_it_is_the_one_slicer_looks_for(scene: slicer.vtkMRMLScene) -> None:
    assert Parameters().node is Parameters().node
    node = scene.GetSingletonNode("SALTVessels", "vtkMRMLScriptedModuleNode")
    assert node is Parameters().node
    assert node.GetAttribute("ModuleName") == "SALTVessels"


def test_settings_have_types_and_begin_empty(scene: slicer.vtkMRMLScene) -> None:
    parameters = Parameters()
    assert (parameters.strategy, parameters.label, parameters.projection) == ("", "", "")
    assert parameters.subtraction is False
    assert (parameters.image, parameters.outlines, parameters.addresses, parameters.unsent) == (None, None, [], [])
    parameters.subtraction = True
    parameters.strategy = "uncertain"
    assert Parameters().subtraction is True
    assert Parameters().strategy == "uncertain"
    parameters.subtraction = False
    assert Parameters().subtraction is False


def test_nodes_are_remembered_and_forgotten(scene: slicer.vtkMRMLScene) -> None:
    parameters = Parameters()
    image = volumes.add(picture(noise(1, 5, 7)))
    parameters.image = image
    assert Parameters().image is image
    scene.RemoveNode(image)
    assert Parameters().image is None
    parameters.image = None
    assert parameters.image is None


def test_the_last_used_address_comes_first(scene: slicer.vtkMRMLScene) -> None:
    parameters = Parameters()
    for address in ("http://a:8000", "http://b:8000", "http://a:8000"):
        parameters.used(address)
    assert parameters.addresses == ["http://a:8000", "http://b:8000"]
    for number in range(20):
        parameters.used(f"http://{number}")
    assert parameters.addresses == [f"http://{number}" for number in range(19, 19 - ADDRESSES, -1)]


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://host:8443/salt", "https://host:8443/salt"),
        ("https://me:secret@host:8443/salt", "https://host:8443/salt"),
        ("https://me:se@cret@host:8443/salt", "https://host:8443/salt"),
        ("https://host:8443/salt?token=secret", "https://host:8443/salt"),
        ("https://host:8443/salt#secret", "https://host:8443/salt"),
        ("me:secret@host:8443/salt", "host:8443/salt"),
        ("localhost:8000", "localhost:8000"),
    ],
)
def test_a_secret_in_an_address_is_not_kept(scene: slicer.vtkMRMLScene, address: str, kept: str) -> None:
    parameters = Parameters()
    parameters.used(address)
    assert parameters.addresses == [kept]


def test_labels_wait_until_they_are_sent(scene: slicer.vtkMRMLScene) -> None:
    parameters = Parameters()
    outlines = []
    for name in ("a", "b", "c"):
        outlines.append(Outlines(volumes.add(picture(noise(1, 5, 7)), name), ("vessel",)).node)
        parameters.keep(outlines[-1], "", f"digest of {name}", False)
    parameters.keep(outlines[1], "", "newer digest", False)
    assert [(entry.image, entry.digest) for entry in parameters.unsent] == [
        ("a", "digest of a"),
        ("b", "newer digest"),
        ("c", "digest of c"),
    ]
    parameters.sent(outlines[1], "")
    parameters.sent(outlines[1], "")
    assert [(entry.image, entry.outlines) for entry in parameters.unsent] == [("a", outlines[0]), ("c", outlines[2])]
    scene.RemoveNode(outlines[0])
    assert [entry.image for entry in parameters.unsent] == ["c"]
    scene.RemoveNode(nodes.owner(outlines[2]))
    assert parameters.unsent == []


def test_a_label_waits_for_each_server_it_was_submitted_to(scene: slicer.vtkMRMLScene) -> None:
    parameters = Parameters()
    image = volumes.add(picture(noise(1, 5, 7)), "anna", "one")
    names.remember(image, "anna_2", "other")
    outlines = Outlines(image, ("vessel",)).node
    parameters.keep(outlines, "one", "1", True)
    parameters.keep(outlines, "other", "2", False)
    assert sorted((u.image, u.identity, u.digest, u.learn) for u in parameters.unsent) == [
        ("anna", "one", "1", True),
        ("anna_2", "other", "2", False),
    ]
    parameters.sent(outlines, "one")
    assert [(u.image, u.identity, u.digest) for u in parameters.unsent] == [("anna_2", "other", "2")]
    parameters.keep(outlines, "one", "3", False)
    assert not any(unsent.learn for unsent in parameters.unsent)


def test_the_address_of_a_server_is_the_last_it_had(scene: slicer.vtkMRMLScene) -> None:
    parameters = Parameters()
    parameters.used("http://a:8000", "one")
    parameters.used("http://b:8000", "other")
    parameters.used("https://me:secret@c:8000", "one")
    assert parameters.address_of("one") == "https://c:8000"
    assert parameters.address_of("other") == "http://b:8000"
    assert parameters.address_of("third") == ""


def test_a_saved_scene_brings_back_all_that_was_not_sent(scene: slicer.vtkMRMLScene, tmp_path: Path) -> None:
    frames, masks = noise(4, 20, 30, dtype=np.uint16), np.random.default_rng(1).random((4, 20, 30)) < 0.3
    run = runs.add(
        picture(frames, name="run", modality="XA", frame_times_ms="0 66 132 198", spacing_known=1), "pat_1", "a1"
    )
    of_run = Outlines(run.volume, ("vessel", "catheter"))
    of_run.put("vessel", masks)
    go_to(run.volume, 2)
    Editor(of_run).paint("catheter", masks[:1])
    fundus = volumes.add(picture(noise(1, 20, 30, 3), name="fundus", spacing_known=0), "fundus_1")
    of_fundus = Outlines(fundus, ("vessel", "catheter"))
    of_fundus.put("vessel", masks[:1])
    of_fundus.put("catheter", masks[1:2])
    of_fundus.node.GetSegmentation().GetSegment("vessel").SetName("my vessels")
    # What must not be saved.
    of_fundus.show_previous(masks[2])
    volumes.green(fundus)
    Clicks(fundus).show([volumes.point(fundus, (1, 2, 0))], [])

    parameters = Parameters()
    parameters.used("https://me:secret@host:8443", "a1")
    parameters.strategy, parameters.label, parameters.subtraction = "first", "vessel", True
    parameters.image, parameters.outlines = fundus, of_fundus.node
    parameters.keep(of_run.node, "a1", "digest of the run", False)
    parameters.keep(of_fundus.node, "", "digest of the fundus", True)
    file = tmp_path / "case.mrb"
    assert scene.WriteToMRB(str(file))
    with zipfile.ZipFile(file) as archive:
        (saved,) = (name for name in archive.namelist() if name.endswith(".mrml"))
        assert b"host:8443" in archive.read(saved)
        assert b"secret" not in archive.read(saved)

    read_scene(file, tmp_path / "unpacked")
    again = Parameters()
    assert again.addresses == ["https://host:8443"]
    assert (again.strategy, again.label, again.subtraction) == ("first", "vessel", True)
    assert again.image.GetName() == "fundus"
    assert again.address_of("a1") == "https://host:8443"
    unsent = {entry.image: entry for entry in again.unsent}
    assert {image: (entry.identity, entry.digest, entry.learn) for image, entry in unsent.items()} == {
        "pat_1": ("a1", "digest of the run", False),
        "fundus_1": ("", "digest of the fundus", True),
    }
    assert unsent["fundus_1"].outlines is again.outlines
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 2
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsNode") == 0

    run_again, fundus_again = (nodes.owner(unsent[image].outlines) for image in ("pat_1", "fundus_1"))
    sent = volumes.picture_of(run_again)
    assert np.array_equal(sent.pixels, frames)
    assert sent.facts == {"modality": "XA", "frame_times_ms": "0 66 132 198", "spacing_known": "1"}
    assert runs.frame(run_again) == 2
    drawn = Outlines(run_again, ("vessel", "catheter"))
    assert drawn.node is unsent["pat_1"].outlines
    assert np.array_equal(drawn.mask("vessel"), masks)
    catheter = np.zeros_like(masks)
    catheter[2] = masks[0]
    assert np.array_equal(drawn.mask("catheter"), catheter)
    assert np.array_equal(volumes.picture_of(fundus_again).pixels, noise(1, 20, 30, 3))
    assert not volumes.spacing_known(fundus_again)
    drawn = Outlines(fundus_again, ("vessel", "catheter"))
    assert np.array_equal(drawn.mask("vessel"), masks[:1])
    assert np.array_equal(drawn.mask("catheter"), masks[1:2])
    assert np.array_equal(slicer.util.arrayFromVolume(volumes.green(fundus_again)), noise(1, 20, 30, 3)[..., 1])


def test_work_goes_on_in_a_scene_that_was_read(scene: slicer.vtkMRMLScene, tmp_path: Path) -> None:
    run = runs.add(picture(noise(3, 20, 30)))
    masks = np.random.default_rng(1).random((3, 20, 30)) < 0.3
    Outlines(run.volume, ("vessel",)).put("vessel", masks)
    file = tmp_path / "case.mrb"
    assert scene.WriteToMRB(str(file))
    read_scene(file, tmp_path / "unpacked")
    (volume,) = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    outlines = Outlines(volume, ("vessel",))
    told = []
    outlines.on_change(told.append)
    go_to(volume, 1)
    assert told == []
    Editor(outlines).paint("vessel", masks[:1])
    assert set(told) == {"vessel"}
    outlines.put_frame("vessel", 2, masks[0])
    go_to(volume, 2)
    go_to(volume, 1)
    assert np.array_equal(outlines.mask("vessel"), np.stack([masks[0], masks[0] | masks[1], masks[0]]))
