"""Learning that was asked for is begun and followed to its end, whatever the connection does."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from faulty_server import Act, Faulty, Handler, json_of
from panels import Rig, reopened
from salt_server import SHAPES, SaltServer
from SALTVesselsLib.workflow import learn as learn_section
from SALTVesselsLib.workflow import server as server_section
from test_panel_faults import PATHS, once, onward

pytest_plugins = ("scenes", "panels")

STEP = {"event": "step", "step": 1, "share": 0.1, "loss": 0.5, "dice": 0.5}
END = {"event": "error", "detail": "too few outlines"}


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the real times."""
    monkeypatch.setattr(server_section, "PULSE", 0.2)
    monkeypatch.setattr(learn_section, "AGAIN", 0.5)


def told(*events: dict[str, object], cut: bool = False) -> Act:
    """Tell of a training; the connection may be cut after that."""
    body = b"".join(f"event: {event['event']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)

    def act(handler: Handler) -> None:
        handler.head(200, len(body) + cut, "text/event-stream")
        handler.wfile.write(body)
        handler.wfile.flush()
        if cut:
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True

    return act


@pytest.fixture
def outlined(rig: Rig, server: SaltServer, faulty: Faulty) -> Rig:
    """Return a panel with an image that is outlined, on a server that learns nothing."""
    for path in (*PATHS, "/salt/images/gray_2"):
        faulty.at(path, onward(server.address))
    faulty.at("/train/salt", json_of(200, {"id": "1"}))
    faulty.at("/salt/train/events", told(END))
    rig.open(faulty.address, "gray")
    rig.case.outlined("vessel", 0, np.eye(*SHAPES["gray"][1:], dtype=bool))
    return rig


def test_a_training_is_followed_again_when_the_connection_is_cut(outlined: Rig, faulty: Faulty) -> None:
    faulty.at("/salt/train/events", once(told(STEP, cut=True), told(STEP, END)))
    outlined.ui.learnButton.click()
    outlined.until(lambda: "goes on learning" in outlined.says)
    assert outlined.panel.server.usable
    assert outlined.ui.stopButton.enabled
    outlined.until(lambda: not outlined.panel.learn.learning)
    assert outlined.ui.resultLabel.text == "Nothing was learned: too few outlines"
    assert outlined.panel.learn.curve.table.GetNumberOfRows() == 1


def test_a_training_that_its_server_has_forgotten_is_shown_no_more(outlined: Rig, faulty: Faulty) -> None:
    forgotten = json_of(404, {"detail": "nothing was trained yet"})
    faulty.at("/salt/train/events", once(told(STEP, cut=True), forgotten))
    outlined.ui.learnButton.click()
    outlined.until(lambda: "Nothing was trained yet" in outlined.says)
    assert not outlined.ui.stopButton.enabled
    assert not outlined.ui.resultLabel.visible


def submit_offline(rig: Rig, image: str) -> None:
    """Submit an outline to learn from, while the line is down."""
    rig.ui.learnButton.click()
    rig.until(lambda: image in rig.panel.teach.waiting)
    rig.until(lambda: "the model learns from it then" in rig.says)


def begun(faulty: Faulty) -> int:
    """Return how often learning was begun."""
    return sum(seen.path == "/train/salt" for seen in faulty.seen)


def test_an_outline_that_waits_in_a_saved_scene_is_learned_from_once_it_was_sent(
    outlined: Rig, faulty: Faulty, tmp_path: Path
) -> None:
    outlined.line.down = True
    submit_offline(outlined, "gray")
    with reopened(outlined, tmp_path) as again:
        again.until(lambda: begun(faulty))
        assert not again.panel.teach.waiting
        again.until(lambda: again.ui.resultLabel.text == "Nothing was learned: too few outlines")
    submitted = [seen.path for seen in faulty.seen if seen.method == "PUT" or seen.path == "/train/salt"]
    assert submitted == ["/datastore/label?image=gray&tag=final", "/train/salt"]


def test_outlines_that_waited_together_are_learned_from_together(outlined: Rig, faulty: Faulty) -> None:
    outlined.panel.images.open("gray_2")
    outlined.until(lambda: outlined.case.image == "gray_2" and not outlined.panel.images.busy)
    outlined.case.outlined("vessel", 0, np.eye(*SHAPES["gray_2"][1:], dtype=bool))
    outlined.line.down = True
    submit_offline(outlined, "gray_2")
    outlined.choose("volumeBox", "gray")
    submit_offline(outlined, "gray")
    outlined.line.down = False
    outlined.until(lambda: not outlined.panel.teach.waiting and begun(faulty))
    outlined.until(lambda: outlined.ui.resultLabel.text == "Nothing was learned: too few outlines")
    assert begun(faulty) == 1
