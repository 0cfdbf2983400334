"""Two servers whose images have the same names are never mixed up."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import requests
from faulty_server import Act, Faulty, Handler, faulty_server, json_of
from panels import Rig, reopened
from salt_server import SHAPES, SaltServer
from SALTVesselsLib.scene import names
from SALTVesselsLib.workflow import server as server_section
from test_panel_faults import PATHS, onward

pytest_plugins = ("scenes", "panels")

ONE, OTHER = "1" * 32, "2" * 32


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the real times."""
    monkeypatch.setattr(server_section, "PULSE", 0.2)


def told_as(address: str, identity: str, **changes: object) -> Act:
    """Hand `/info/` on to a real server, which tells of another identity, or of none."""

    def act(handler: Handler) -> None:
        told = requests.get(f"{address}/info/", timeout=60).json()
        assert len(told.pop("identity")) == 32
        json_of(200, told | changes | ({"identity": identity} if identity else {}))(handler)

    return act


def become(faulty: Faulty, address: str, identity: str) -> None:
    """Have a server answer as another one does, under an identity."""
    for path in (*PATHS, "/datastore/image", "/salt/images/gray_2"):
        faulty.at(path, onward(address))
    faulty.at("/info/", told_as(address, identity))


@pytest.fixture
def one(faulty: Faulty, server: SaltServer) -> Faulty:
    """Return a server of an identity of its own."""
    become(faulty, server.address, ONE)
    return faulty


@pytest.fixture
def other(server: SaltServer) -> Iterator[Faulty]:
    """Return another server that has images of the same names."""
    with faulty_server() as running:
        become(running, server.address, OTHER)
        yield running


@pytest.fixture
def outlined(rig: Rig, one: Faulty, server: SaltServer) -> Rig:
    """Return a panel with an image of the one server, outlined by hand; nothing is being learned."""

    def learning() -> bool:
        told = requests.get(f"{server.address}/train/", timeout=60).json()
        return told.get("status") in ("SUBMITTED", "RUNNING")

    # What the panel says of that would take the place of what is looked for here.
    rig.until(lambda: not learning())
    rig.open(one.address, "gray")
    rig.case.outlined("vessel", 0, np.eye(*SHAPES["gray"][1:], dtype=bool))
    rig.ui.addTool.click()
    return rig


def connect(rig: Rig, server: Faulty, identity: str) -> None:
    """Connect to another server, and wait until it has answered."""
    rig.connect(server.address)
    rig.until(lambda: rig.panel.server.usable and rig.panel.context.identity == identity)


def hear(rig: Rig) -> None:
    """Wait until the server has answered something that was asked last."""
    rig.panel.images.listed = ()
    rig.panel.images.refresh()
    rig.until(lambda: rig.panel.images.listed)


def asked(server: Faulty, *paths: str) -> list[str]:
    """Return what a server was asked of these paths that is about an image."""
    return [seen.path for seen in server.seen if seen.path.startswith(paths) and seen.method != "GET"]


WORK = ("/infer/", "/datastore/")


def test_an_image_of_one_server_is_sent_to_another_before_it_is_worked_on_there(
    outlined: Rig, one: Faulty, other: Faulty
) -> None:
    connect(outlined, other, OTHER)
    assert outlined.case.image == ""
    assert outlined.ui.sendButton.enabled
    outlined.press(20, 30)
    outlined.until(lambda: outlined.case.image and not outlined.panel.correct.busy)
    sent = outlined.case.image
    assert sent.startswith("gray_"), "the other server has an image of that name"
    assert asked(other, *WORK)[0].startswith(f"/datastore/image?image={sent}")
    assert all(f"image={sent}&" in path for path in asked(other, "/infer/"))
    connect(outlined, one, ONE)
    assert outlined.case.image == "gray"
    connect(outlined, other, OTHER)
    assert outlined.case.image == sent


def test_an_image_is_opened_from_the_server_that_is_connected(outlined: Rig, other: Faulty) -> None:
    first = outlined.case
    # A shape no test submits: all of them share the server's images.
    first.outlined("vessel", 0, np.tri(*SHAPES["gray"][1:], dtype=bool))
    connect(outlined, other, OTHER)
    outlined.panel.images.open("gray")
    outlined.until(lambda: outlined.case is not first and not outlined.panel.images.busy)
    assert outlined.case.image == "gray"
    assert names.image_of(outlined.case.volume, ONE) == ""
    assert not np.array_equal(outlined.mask(), first.outlines.mask("vessel")), "its namesake's outline came with it"
    assert first.outlines.mask("vessel").any()


def test_an_outline_waits_for_its_server_and_says_so(
    outlined: Rig, one: Faulty, other: Faulty, server: SaltServer
) -> None:
    outlined.line.down = True
    outlined.ui.submitButton.click()
    outlined.until(lambda: "submit it again: the newest outline is sent" in outlined.says)
    outlined.line.down = False
    connect(outlined, other, OTHER)
    words = f"1 outline waits for {one.address}, and is sent when you connect to it."
    assert outlined.ui.waitingLabel.text == words
    assert not outlined.ui.sendWaitingButton.visible
    outlined.panel.teach.send_waiting()
    outlined.panel.images.open("gray_2")
    outlined.until(lambda: outlined.case.image == "gray_2" and not outlined.panel.images.busy)
    assert not asked(other, "/datastore/")
    connect(outlined, one, ONE)
    outlined.until(lambda: not outlined.panel.teach.waiting)
    assert asked(one, "/datastore/") == ["/datastore/label?image=gray&tag=final"]
    assert not asked(other, "/datastore/")


def test_what_waits_finds_its_server_at_another_address(
    outlined: Rig, one: Faulty, other: Faulty, server: SaltServer, tmp_path: Path
) -> None:
    outlined.line.down = True
    outlined.ui.submitButton.click()
    outlined.until(lambda: outlined.panel.teach.waiting)
    become(other, server.address, ONE)
    become(one, server.address, OTHER)
    with reopened(outlined, tmp_path) as again:
        assert again.panel.context.identity == OTHER
        words = f"1 outline waits for the server that was at {one.address} before, and is sent when you connect to it."
        assert again.ui.waitingLabel.text == words
        connect(again, other, ONE)
        again.until(lambda: not again.panel.teach.waiting)
        assert asked(other, "/datastore/") == ["/datastore/label?image=gray&tag=final"]
        assert not asked(one, "/datastore/")


def test_clicks_wait_for_their_server_or_for_the_image(outlined: Rig, one: Faulty, other: Faulty) -> None:
    before = outlined.mask()
    outlined.line.down = True
    outlined.press(20, 30)
    outlined.until(lambda: "Your clicks are kept" in outlined.says)
    outlined.line.down = False
    connect(outlined, other, OTHER)
    assert "Your clicks on gray wait: the image is not on this server" in outlined.says
    assert outlined.points() == (1, 0)
    assert not outlined.panel.correct.busy
    assert not asked(other, *WORK)
    outlined.ui.sendButton.click()
    outlined.until(lambda: outlined.case.image and not outlined.panel.correct.busy)
    assert not np.array_equal(outlined.mask(), before)
    assert not asked(one, "/infer/salt_edit")
    assert len(asked(other, "/infer/salt_edit")) == 1


def test_clicks_outlast_a_server_with_other_labels(
    outlined: Rig, one: Faulty, other: Faulty, server: SaltServer
) -> None:
    outlined.line.down = True
    outlined.press(20, 30)
    outlined.until(lambda: "Your clicks are kept" in outlined.says)
    before = outlined.mask()
    outlined.line.down = False
    other.at("/info/", told_as(server.address, OTHER, labels=["artery"]))
    connect(outlined, other, OTHER)
    assert outlined.case.labels == ("artery",)
    assert "Your clicks on gray wait: this server does not outline vessel." in outlined.says
    assert outlined.points() == (0, 0)
    connect(outlined, one, ONE)
    outlined.idle()
    assert outlined.points() == (1, 0)
    assert outlined.case.settled
    assert not np.array_equal(outlined.mask(), before)
    assert not asked(other, *WORK)


def test_another_server_at_the_same_address_gets_nothing_of_the_first(
    outlined: Rig, one: Faulty, server: SaltServer
) -> None:
    outlined.line.down = True
    outlined.press(20, 30)
    outlined.ui.submitButton.click()
    # No look at it that began before is still on its way.
    outlined.until(lambda: outlined.panel.server._failures >= server_section.PATIENCE)
    become(one, server.address, OTHER)
    outlined.line.down = False
    outlined.until(lambda: outlined.panel.server.usable)
    assert outlined.panel.context.identity == OTHER
    assert outlined.case.image == ""
    outlined.until(lambda: "wait: the image is not on this server" in outlined.says)
    assert not asked(one, *WORK)


def test_whoever_answers_where_a_server_was_lost_gets_nothing_before_it_says_who_it_is(
    outlined: Rig, one: Faulty, server: SaltServer
) -> None:
    outlined.line.down = True
    outlined.press(20, 30)
    outlined.until(lambda: outlined.panel.server.state == "lost")
    outlined.panel.server._pulse.stop()
    become(one, server.address, OTHER)
    outlined.line.down = False
    outlined.press(60, 70)
    assert "Your clicks are kept" in outlined.says
    hear(outlined)
    while outlined.panel.correct.can_undo:
        outlined.ui.undoButton.click()
    outlined.case.outlined("vessel", 0, np.eye(*SHAPES["gray"][1:], dtype=bool))
    outlined.ui.submitButton.click()
    outlined.until(lambda: outlined.panel.teach.waiting == ["gray"])
    hear(outlined)
    assert not asked(one, *WORK)


def test_an_answer_to_what_was_asked_before_the_server_was_replaced_is_not_believed(
    outlined: Rig, one: Faulty, server: SaltServer
) -> None:
    before, replaced, answered = outlined.mask(), threading.Event(), threading.Event()

    def late(handler: Handler) -> None:
        replaced.wait(60)
        try:
            onward(server.address)(handler)
        finally:
            answered.set()

    one.at("/infer/salt_edit", late)
    outlined.press(20, 30)
    # It takes its place between two looks at it: the connection is never lost.
    one.at("/info/", told_as(server.address, OTHER))
    outlined.until(lambda: outlined.panel.context.identity == OTHER)
    assert outlined.panel.server.state == "on"
    assert "wait: the image is not on this server" in outlined.says
    replaced.set()
    outlined.until(answered.is_set)
    hear(outlined)
    assert np.array_equal(outlined.mask(), before)
    assert outlined.points() == (1, 0)
    assert len(asked(one, *WORK)) == 1


def test_what_is_on_its_way_when_another_server_is_chosen_is_kept_for_the_first(
    outlined: Rig, one: Faulty, other: Faulty, server: SaltServer
) -> None:
    held: list[str] = []

    def hold(handler: Handler) -> None:
        held.append(handler.seen.path)
        handler.connection.settimeout(60)
        handler.connection.recv(1)
        handler.close_connection = True

    one.at("/datastore/label", hold)
    outlined.ui.submitButton.click()
    outlined.until(lambda: held)
    assert not outlined.panel.teach.waiting
    connect(outlined, other, OTHER)
    assert outlined.ui.waitingLabel.text.startswith(f"1 outline waits for {one.address}")
    one.at("/datastore/label", onward(server.address))
    connect(outlined, one, ONE)
    outlined.until(lambda: not outlined.panel.teach.waiting)
    assert not asked(other, "/datastore/")


def test_work_goes_on_when_the_same_server_is_connected_to_again_in_vain(outlined: Rig, one: Faulty) -> None:
    outlined.line.down = True
    outlined.connect(one.address)
    outlined.until(lambda: outlined.panel.server.state == "lost")
    assert outlined.ui.submitButton.enabled
    outlined.ui.submitButton.click()
    outlined.until(lambda: "is kept, and sent when the server is back" in outlined.says)
    assert outlined.ui.waitingLabel.text == "1 outline waits to be sent."
    outlined.line.down = False
    outlined.until(lambda: not outlined.panel.teach.waiting)


def test_a_server_that_tells_no_identity_works_by_names_as_before(rig: Rig, one: Faulty, server: SaltServer) -> None:
    become(one, server.address, "")
    rig.open(one.address, "gray")
    assert rig.case.volume.GetAttribute("SALT.image") == "gray"
    rig.case.outlined("vessel", 0, np.eye(*SHAPES["gray"][1:], dtype=bool))
    rig.line.down = True
    rig.ui.submitButton.click()
    rig.until(lambda: rig.panel.teach.waiting)
    # The server is replaced by a newer one meanwhile.
    become(one, server.address, ONE)
    rig.line.down = False
    rig.until(lambda: not rig.panel.teach.waiting)
    assert asked(one, "/datastore/") == ["/datastore/label?image=gray&tag=final"]
    assert rig.case.image == "gray"


def test_an_image_takes_no_name_that_a_colleague_has_taken_since(
    outlined: Rig, one: Faulty, other: Faulty, server: SaltServer
) -> None:
    connect(outlined, other, OTHER)
    outlined.until(lambda: outlined.panel.images.listed)
    known = json.loads(requests.get(f"{server.address}/salt/images", timeout=60).content)["images"]
    taken = next(f"gray_{n}" for n in range(2, 99) if f"gray_{n}" not in {image["id"] for image in known})
    newest = {"id": taken, "done": False, "mine": False, "taken": False}
    other.at("/salt/images", json_of(200, {"images": [*known, newest]}))
    outlined.ui.sendButton.click()
    outlined.until(lambda: outlined.case.image)
    assert outlined.case.image not in {image["id"] for image in known} | {taken}
