"""Whatever goes wrong, the user reads why, no outline is lost, and the panel can be used after."""

from __future__ import annotations

import json
import re
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
import requests
import slicer
from faulty_server import Act, Faulty, Handler, body_of, cut, error_page, hang, json_of, no_json, trickle, unauthorized
from panels import Rig, reopened
from salt_server import SHAPES, SaltServer, free_port
from SALTVesselsLib import outlines_client
from SALTVesselsLib.multipart import encode
from SALTVesselsLib.pixels import mask_to_nrrd
from SALTVesselsLib.workflow import correct as correct_section
from SALTVesselsLib.workflow import server as server_section
from SALTVesselsLib.workflow import teach as teach_section

pytest_plugins = ("scenes", "panels")

PATHS = ("/info/", "/salt/images", "/salt/images/gray", "/activelearning/uncertain", "/infer/salt", "/infer/salt_edit",
         "/infer/salt_measure", "/datastore/label", "/salt/adapters", "/salt/train/events", "/train/salt")  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the real times."""
    monkeypatch.setattr(server_section, "PULSE", 0.2)
    monkeypatch.setattr(outlines_client, "CLICK", 4.0)
    monkeypatch.setattr(correct_section, "SLOW", 6.0)


def onward(address: str) -> Act:
    """Hand a request on to a real server."""

    def act(handler: Handler) -> None:
        seen = handler.seen
        headers = {name: seen.headers[name] for name in ("content-type",) if name in seen.headers}
        reply = requests.request(seen.method, address + seen.path, headers=headers, data=seen.body, timeout=60)
        handler.reply(reply.status_code, reply.content, reply.headers["content-type"])

    return act


def a_mask_of_another_image() -> Act:
    body, kind = encode(
        {
            "params": '{"label_names": {"vessel": 1}, "version": "base", "stopped": false}',
            "image": ("mask.nrrd", mask_to_nrrd(np.ones((1, 7, 9), np.uint8))),
        }
    )
    return body_of(200, body, kind)


@pytest.fixture
def ready(rig: Rig, server: SaltServer, faulty: Faulty) -> Rig:
    """Return a panel with an outlined image, on a server whose replies can be spoiled."""
    for path in PATHS:
        faulty.at(path, onward(server.address))
    rig.open(faulty.address, "gray")
    rig.ui.segmentButton.click()
    rig.until(lambda: not rig.panel.segment.running)
    rig.ui.addTool.click()
    return rig


TRICKLE = trickle(b"x" * 1000, 0.2)
FAULTS = {
    "it hangs": (hang, "has been silent"),
    "it cuts the connection": (cut, "broke before the whole answer"),
    "it fails with a page": (error_page, "failed"),
    "it answers with another mask": (a_mask_of_another_image(), "1 x 7 x 9"),
    "it answers with half of JSON": (no_json, "cannot be used"),
    "it trickles": (TRICKLE, "takes long over your clicks"),
    "the token has expired": (unauthorized, "token"),
    "it refuses": (json_of(400, {"detail": "the click is outside"}), "The click is outside."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_click_that_fails_says_why_and_harms_nothing(
    ready: Rig, faulty: Faulty, server: SaltServer, fault: str
) -> None:
    act, words = FAULTS[fault]
    outlined = ready.mask()
    assert outlined.any()
    faulty.at("/infer/salt_edit", act)
    ready.press(20, 30)
    ready.until(lambda: words in ready.says)
    if act is TRICKLE:
        ready.ui.undoButton.click()
    ready.idle()
    assert not ready.panel.correct.busy
    assert np.array_equal(ready.mask(), outlined)
    assert ready.points() == (0, 0)

    faulty.at("/infer/salt_edit", onward(server.address))
    if ready.panel.server.state != "on":
        ready.ui.connectButton.click()
        ready.until(lambda: ready.panel.server.usable)
    ready.press(20, 30)
    ready.idle()
    assert ready.points() == (1, 0)
    assert not np.array_equal(ready.mask(), outlined)


def test_a_measurement_that_takes_long_is_seen_and_can_be_stopped(
    ready: Rig, faulty: Faulty, server: SaltServer
) -> None:
    faulty.at("/infer/salt_measure", hang)
    ready.ui.densityButton.click()
    ready.until(lambda: any("salt_measure" in seen.path for seen in faulty.seen))
    assert "Measuring gray …" in ready.says
    assert ready.ui.progressBar.maximum == 0, "the bar stands still"
    ready.ui.cancelButton.click()
    assert "Stopped." in ready.says
    assert ready.ui.progressBar.maximum == 1
    assert not ready.ui.cancelButton.enabled
    faulty.at("/infer/salt_measure", onward(server.address))
    ready.ui.densityButton.click()
    ready.until(lambda: ready.ui.measureLabel.text)


def test_a_measurement_that_is_never_answered_is_given_up_and_the_panel_can_be_used(
    ready: Rig, faulty: Faulty, server: SaltServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outlines_client, "MEASURE", 1.0)
    faulty.at("/infer/salt_measure", hang)
    ready.ui.densityButton.click()
    ready.until(lambda: "has been silent for 1 seconds. It may be busy; try again" in ready.says)
    assert ready.panel.server.usable
    assert not ready.ui.cancelButton.enabled
    assert ready.ui.densityButton.enabled
    monkeypatch.setattr(outlines_client, "MEASURE", 60.0)
    faulty.at("/infer/salt_measure", onward(server.address))
    ready.ui.densityButton.click()
    ready.until(lambda: ready.ui.measureLabel.text)


@pytest.mark.parametrize("address", [f"http://127.0.0.1:{free_port()}", "http://[oops", "no such thing"])
def test_an_address_where_nobody_listens_is_told_with_the_cause(rig: Rig, address: str) -> None:
    rig.connect(address)
    rig.until(lambda: rig.panel.server.state == "lost")
    assert "cannot be reached" in rig.ui.stateLabel.text
    assert not rig.ui.nextButton.enabled


def hue(rig: Rig) -> int:
    """Return the hue of the light's middle, in degrees."""
    return rig.ui.stateLight._object.pixmap().toImage().pixelColor(8, 8).hsvHue()


def test_the_light_is_green_while_connected_and_red_while_not(rig: Rig, server: SaltServer) -> None:
    assert hue(rig) == -1, "it is gray before anything is connected"
    rig.connect(server.address)
    rig.until(lambda: rig.panel.server.usable)
    assert 90 < hue(rig) < 150
    rig.line.down = True
    rig.until(lambda: rig.panel.server.state == "lost")
    assert min(hue(rig), 360 - hue(rig)) < 20


def test_a_server_that_asks_for_a_token_is_given_one(rig: Rig, faulty: Faulty, server: SaltServer) -> None:
    def gate(handler: Handler) -> None:
        allowed = handler.seen.headers.get("authorization") == "Bearer secret"
        (onward(server.address) if allowed else unauthorized)(handler)

    for path in PATHS:
        faulty.at(path, gate)
    assert not rig.ui.tokenEdit.visible
    rig.connect(faulty.address)
    rig.until(lambda: rig.panel.server.state == "token")
    assert rig.ui.tokenEdit.visible
    rig.connect(faulty.address, "secret")
    rig.until(lambda: rig.panel.server.usable)
    assert "secret" not in str(rig.settings)
    assert "secret" not in slicer.mrmlScene.GetSceneXMLString()


def test_clicks_wait_for_a_connection_that_was_lost(ready: Rig) -> None:
    outlined = ready.mask()
    ready.line.down = True
    ready.press(20, 30)
    ready.until(lambda: ready.panel.server.state == "lost")
    assert "Your clicks are kept, with the scene if you save it" in ready.says
    assert ready.points() == (1, 0)
    assert np.array_equal(ready.mask(), outlined)
    ready.line.down = False
    ready.idle()
    assert ready.panel.server.usable
    assert not np.array_equal(ready.mask(), outlined)


def once(act: Act, then: Act) -> Act:
    """Do one thing at the first request, and another at those that follow."""
    acts = iter([act])
    return lambda handler: next(acts, then)(handler)


@pytest.mark.parametrize("fault", [hang, cut])
def test_clicks_are_sent_once_more_when_a_connection_breaks(
    ready: Rig, faulty: Faulty, server: SaltServer, fault: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The second time it is a real server that answers, which may be slow.
    monkeypatch.setattr(outlines_client, "CLICK", 8.0)
    outlined = ready.mask()
    faulty.at("/infer/salt_edit", once(fault, onward(server.address)))
    ready.press(20, 30)
    ready.until(lambda: "Your clicks are sent once more" in ready.says)
    ready.idle()
    assert ready.points() == (1, 0)
    assert not np.array_equal(ready.mask(), outlined)
    # A later click has another chance of its own.
    faulty.at("/infer/salt_edit", once(fault, onward(server.address)))
    ready.press(100, 40, shift=True)
    ready.idle()
    assert ready.points() == (1, 1)


def test_a_server_that_was_left_is_not_said_to_take_long(
    ready: Rig, faulty: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correct_section, "SLOW", 0.5)
    faulty.at("/infer/salt_edit", hang)
    ready.press(20, 30)
    ready.until(lambda: "takes long over your clicks. Wait, or take them back" in ready.says)
    ready.press(25, 35)
    ready.panel.context.say("")
    ready.panel.server.disconnect()
    end = monotonic() + 1.0
    ready.until(lambda: monotonic() > end)
    assert "takes long" not in ready.says


def test_clicks_outlive_a_server_that_dies_over_them(ready: Rig, faulty: Faulty, server: SaltServer) -> None:
    def dies(handler: Handler) -> None:
        ready.line.down = True
        cut(handler)

    faulty.at("/infer/salt_edit", dies)
    ready.press(20, 30)
    ready.until(lambda: ready.panel.server.state == "lost")
    assert "Your clicks are kept" in ready.says
    faulty.at("/infer/salt_edit", onward(server.address))
    ready.line.down = False
    ready.idle()
    assert ready.points() == (1, 0)


def test_an_outline_that_cannot_be_submitted_is_sent_when_the_server_is_back(ready: Rig, server: SaltServer) -> None:
    ready.line.down = True
    ready.ui.submitButton.click()
    ready.until(lambda: ready.panel.teach.waiting == ["gray"])
    # An answer that was on its way as the line went down may be heard first.
    ready.until(lambda: "is kept, and sent when the server is back" in ready.says)
    assert ready.ui.waitingLabel.text == "1 outline waits to be sent."
    assert ready.ui.waitingLabel.visible
    ready.line.down = False
    ready.until(lambda: not ready.panel.teach.waiting)
    stored = ready.read(server.images / "labels" / "final" / "gray.nrrd")
    assert np.array_equal(stored.reshape(SHAPES["gray"]) > 0, ready.mask())
    assert not ready.ui.waitingLabel.visible


@pytest.mark.parametrize("fault", [error_page, cut])
def test_an_outline_that_a_server_does_not_take_is_sent_again(
    ready: Rig, faulty: Faulty, server: SaltServer, fault: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teach_section, "AGAIN", 0.5)
    acts = iter([fault, fault])
    faulty.at("/datastore/label", lambda handler: next(acts, onward(server.address))(handler))
    ready.ui.submitButton.click()
    ready.until(lambda: ready.panel.teach.waiting == ["gray"])
    assert "is kept" in ready.says
    ready.until(lambda: not ready.panel.teach.waiting)
    assert ready.panel.server.usable
    assert next(acts, None) is None
    stored = ready.read(server.images / "labels" / "final" / "gray.nrrd")
    assert np.array_equal(stored.reshape(SHAPES["gray"]) > 0, ready.mask())


def test_a_saved_scene_brings_back_the_panel_and_what_was_not_sent(
    ready: Rig, server: SaltServer, tmp_path: Path
) -> None:
    ready.press(20, 30)
    ready.idle()
    ready.ui.paintTool.click()
    painted = ready.brush.stroke((150, 5), (160, 8)) & ~ready.case.corrections("vessel", 0).previous
    ready.ui.eraseTool.click()
    erased = ready.brush.stroke(ready.inside(ready.mask())) & ready.case.corrections("vessel", 0).previous
    outlined = ready.mask()
    ready.choose("strategyBox", "By name")
    ready.line.down = True
    ready.ui.submitButton.click()
    ready.until(lambda: ready.panel.teach.waiting)
    address = ready.panel.server.addresses[0]
    with reopened(ready, tmp_path) as again:
        assert again.ui.addressBox.currentText == address
        assert again.case.image == "gray"
        assert np.array_equal(again.mask(), outlined)
        assert again.ui.strategyBox.currentText == "By name"
        again.ui.segmentButton.click()
        again.until(lambda: not again.panel.segment.running)
        assert again.mask()[0][painted].all(), "what was painted before is overwritten"
        assert not again.mask()[0][erased].any(), "what was erased before comes back"
        again.ui.undoButton.click()
        again.until(lambda: not again.panel.teach.waiting)
        stored = again.read(server.images / "labels" / "final" / "gray.nrrd")
        assert np.array_equal(stored.reshape(SHAPES["gray"]) > 0, outlined)


def test_nothing_is_sent_without_leave(ready: Rig, faulty: Faulty) -> None:
    ready.user.agrees = False
    before = ready.mask()

    def asked() -> int:
        return sum(seen.path.startswith("/infer/salt_edit") for seen in faulty.seen)

    ready.press(20, 30)
    ready.until(lambda: "you did not allow it" in ready.says)
    ready.ui.submitButton.click()
    ready.panel.segment.start("follow")
    assert not ready.panel.segment.running
    assert asked() == 0
    assert not any(seen.method == "PUT" for seen in faulty.seen)
    assert np.array_equal(ready.mask(), before)
    assert ready.points() == (0, 0)
    ready.user.agrees = True
    ready.press(20, 30)
    ready.idle()
    ready.press(25, 35)
    ready.idle()
    assert asked() == 2
    assert len(ready.user.asked) == 4


def test_corrections_that_overtake_each_other_are_all_followed(ready: Rig, faulty: Faulty) -> None:
    ready.ui.boxTool.click()
    ready.drag((30, 30), (60, 70))
    ready.drag((90, 90), (120, 110))
    ready.ui.addTool.click()
    ready.press(20, 30)
    ready.press(100, 40, shift=True)
    ready.idle()
    asked = [seen.body for seen in faulty.seen if seen.path.startswith("/infer/salt_edit")]
    answered = [json.loads(re.search(rb'name="params"\r\n\r\n(.*?)\r\n', body).group(1)) for body in asked[-2:]]
    assert [told["roi"] for told in answered] == [[30, 60, 30, 70, 0, 0], [90, 120, 90, 110, 0, 0]]
    for told in answered:
        assert told["foreground"] == [[20, 30, 0]]
        assert told["background"] == [[100, 40, 0]]
    assert ready.points() == (1, 1)


def test_another_server_may_be_chosen_in_the_middle_of_everything(
    ready: Rig, faulty: Faulty, server: SaltServer
) -> None:
    for path in ("/infer/salt", "/infer/salt_edit", "/activelearning/uncertain"):
        faulty.at(path, hang)
    outlined = ready.mask()
    ready.ui.segmentButton.click()
    ready.press(20, 30)
    ready.panel.images.open("gray_2")
    assert ready.panel.segment.running
    assert ready.panel.images.busy
    ready.connect(server.address)
    assert not ready.panel.segment.running
    assert not ready.panel.images.busy
    ready.until(lambda: ready.panel.server.usable)
    # The click is followed by the server that is there now.
    ready.idle()
    assert ready.points() == (1, 0)
    assert not np.array_equal(ready.mask(), outlined)
    assert ready.ui.segmentButton.enabled
    assert ready.ui.nextButton.enabled


def test_an_image_that_is_deleted_is_let_go(ready: Rig) -> None:
    ready.press(20, 30)
    volume = ready.case.volume
    slicer.mrmlScene.RemoveNode(volume)
    ready.panel.images.let_go()
    assert ready.case is None
    assert not ready.ui.segmentButton.enabled
    assert ready.ui.volumeBox.count == 0
    ready.until(lambda: not ready.panel.correct.busy)
    ready.panel.images.open("gray")
    ready.until(lambda: ready.case is not None and not ready.panel.images.busy)
    assert ready.case.volume is not volume
    assert "gray is in view" in ready.says
