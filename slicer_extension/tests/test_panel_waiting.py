"""Clicks that no server has answered wait with their image, in a saved scene too, and are followed later."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
from faulty_server import Faulty, Handler, faulty_server
from panels import Rig, reopened
from salt_server import SHAPES, SaltServer
from SALTVesselsLib.parameters import Parameters
from SALTVesselsLib.scene import runs, volumes
from SALTVesselsLib.workflow import server as server_section
from SALTVesselsLib.workflow.waiting import Action, keep, kept
from scenes import go_to, noise, picture, read_scene
from test_panel_faults import onward
from test_panel_servers import ONE, OTHER, WORK, asked, become, connect

pytest_plugins = ("scenes", "panels")


@pytest.fixture
def connected(rig: Rig, server: SaltServer, faulty: Faulty, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return a panel on a server of an identity of its own."""
    monkeypatch.setattr(server_section, "PULSE", 0.2)
    become(faulty, server.address, ONE)
    faulty.at("/salt/images/run", onward(server.address))
    rig.connect(faulty.address)
    rig.until(lambda: rig.panel.server.usable and rig.panel.images.listed)
    return rig


def open_image(rig: Rig, image: str, frame: int = 0) -> None:
    """Bring an image, outline a frame by hand, and lose the connection."""
    rig.panel.images.open(image)
    rig.until(lambda: rig.case is not None and not rig.panel.images.busy)
    go_to(rig.case.volume, frame)
    rig.case.outlined("vessel", frame, np.eye(*SHAPES[image][1:], dtype=bool))
    rig.line.down = True


def edits(faulty: Faulty) -> list[dict[str, Any]]:
    """Return what corrections a server was asked for."""
    bodies = [seen.body for seen in faulty.seen if seen.path.startswith("/infer/salt_edit")]
    return [json.loads(re.search(rb'name="params"\r\n\r\n(.*?)\r\n', body).group(1)) for body in bodies]


def test_what_waits_in_a_saved_scene_is_followed_once_that_is_opened(
    connected: Rig, faulty: Faulty, tmp_path: Path
) -> None:
    open_image(connected, "gray")
    before = connected.mask()
    correct = connected.panel.correct
    correct.click((20, 30, 0), True)
    correct.click((100, 40, 0), False)
    correct.bridge((10, 10, 0), (14, 18, 0))
    correct.box((60, 70, 0), (30, 30, 0))
    connected.until(lambda: connected.panel.server.state == "lost")
    with reopened(connected, tmp_path) as again:
        again.idle()
        assert again.points() == (1, 1)
        assert not np.array_equal(again.mask(), before)
        (told,) = edits(faulty)
        assert (told["foreground"], told["background"]) == ([[20, 30, 0]], [[100, 40, 0]])
        assert (told["roi"], told["bridge"]) == ([30, 60, 30, 70, 0, 0], [[10, 10, 0], [14, 18, 0]])
        assert kept(again.panel.parameters) == [], "it would be followed once more"


def test_a_click_on_a_frame_of_a_run_comes_back_to_that_frame(connected: Rig, faulty: Faulty, tmp_path: Path) -> None:
    open_image(connected, "run", frame=5)
    connected.panel.correct.click((20, 30, 5), True)
    with reopened(connected, tmp_path) as again:
        again.idle()
        assert [(told["only_frame"], told["foreground"]) for told in edits(faulty)] == [(5, [[20, 30, 0]])]
        assert again.case.corrections("vessel", 5).foreground == ((20, 30),)
        go_to(again.case.volume, 4)
        assert again.points() == (0, 0)


def test_what_waits_in_a_saved_scene_goes_to_no_other_server(
    connected: Rig, faulty: Faulty, server: SaltServer, tmp_path: Path, pictures: Path
) -> None:
    open_image(connected, "gray")
    connected.panel.correct.click((20, 30, 0), True)
    become(faulty, server.address, OTHER)
    with reopened(connected, tmp_path) as again:
        assert again.panel.context.identity == OTHER
        assert "Your clicks on gray wait: the image is not on this server" in again.says
        assert again.points() == (1, 0)
        assert not asked(faulty, *WORK)
        again.shoot(pictures, "waiting")
        again.ui.undoButton.click()
        assert kept(again.panel.parameters) == [], "it was taken back"


def test_what_was_not_allowed_to_be_sent_waits(connected: Rig, faulty: Faulty, tmp_path: Path) -> None:
    open_image(connected, "gray")
    connected.until(lambda: connected.panel.server.state == "lost")
    connected.panel.correct.click((20, 30, 0), True)
    connected.user.agrees = False
    connected.line.down = False
    connected.until(lambda: "you did not allow it" in connected.says)
    assert connected.points() == (1, 0)
    assert not asked(faulty, *WORK)


def test_clicks_during_an_upload_wait_when_another_server_is_chosen(
    connected: Rig, faulty: Faulty, server: SaltServer
) -> None:
    reached, opened = threading.Event(), threading.Event()

    def held(handler: Handler) -> None:
        reached.set()
        opened.wait(60)
        onward(server.address)(handler)

    faulty.at("/datastore/image", held)
    mine = volumes.add(picture(noise(1, 96, 96), name="gray"))
    volumes.show(mine)
    connected.panel.correct.click((20, 30, 0), True)
    connected.until(reached.is_set)
    with faulty_server() as other:
        become(other, server.address, OTHER)
        other.at("/salt/images/gray", onward(server.address))
        connect(connected, other, OTHER)
        assert "Your clicks on gray wait: the image is not on this server" in connected.says
        assert connected.points() == (1, 0)
        connected.panel.images.open("gray")
        connected.until(lambda: connected.case.volume is not mine and not connected.panel.images.busy)
        assert connected.case.image == "gray"
        assert connected.points() == (0, 0), "its namesake got the click"
        assert not asked(other, *WORK)
    opened.set()
    faulty.at("/datastore/image", onward(server.address))
    connect(connected, faulty, ONE)
    connected.panel.images.choose(mine)
    connected.ui.sendButton.click()
    connected.until(lambda: connected.case.image and connected.case.settled)
    assert connected.case.corrections("vessel", 0).foreground == ((20, 30),)


def test_what_waits_is_kept_by_image_label_and_frame(scene: slicer.vtkMRMLScene, tmp_path: Path) -> None:
    parameters = Parameters()
    facts = {"modality": "XA", "frame_times_ms": "0 66 132"}
    run = runs.add(picture(noise(3, 20, 30), name="run", **facts), "gray", "one").volume
    fundus = volumes.add(picture(noise(1, 20, 30), name="fundus"), "gray", "other")
    clicks, box = [Action("add", (1, 2)), Action("remove", (3, 4))], [Action("box", (1, 2, 3, 4, 0, 0))]
    bridge = [Action("bridge", ((1, 2, 0), (3, 4, 0)))]
    keep(parameters, run, "vessel", 0, box)
    keep(parameters, run, "vessel", 2, clicks)
    keep(parameters, run, "catheter", 2, bridge)
    keep(parameters, fundus, "vessel", 0, bridge)
    keep(parameters, run, "vessel", 0, [])
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    read_scene(tmp_path / "scene.mrb", tmp_path)
    parameters = Parameters()
    found = {(volume.GetName(), label, frame): actions for volume, label, frame, actions in kept(parameters)}
    assert found == {
        ("run", "vessel", 2): clicks,
        ("run", "catheter", 2): bridge,
        ("fundus", "vessel", 0): bridge,
    }
    slicer.mrmlScene.RemoveNode(slicer.util.getNode("run"))
    ((volume, *rest),) = kept(parameters)
    assert (volume.GetName(), rest) == ("fundus", ["vessel", 0, bridge])
