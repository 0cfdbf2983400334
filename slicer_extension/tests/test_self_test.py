"""The session that is run inside Slicer finds what it asks for: here with stand-ins for what only Slicer has."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import slicer
from panels import Rig
from PySide6.QtWidgets import QApplication
from salt_server import SaltServer
from SALTVesselsLib import self_test
from SALTVesselsLib.scene import volumes

pytest_plugins = ("scenes", "panels")


@pytest.fixture
def inside(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return a panel that the session takes for that of the application, with a mouse that paints and erases."""
    application = SimpleNamespace(processEvents=QApplication.processEvents)
    monkeypatch.setattr(slicer, "app", application, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: None, raising=False)
    monkeypatch.setattr(self_test, "views_of_application", lambda: [(rig.view.mouse, rig.view.node)])

    def pressed(*_: object) -> None:
        if rig.brush.held is not None:
            ras = rig.view.node.GetXYToRAS().MultiplyPoint((*rig.view.mouse.GetEventPosition(), 0.0, 1.0))
            i, j, _ = volumes.pixel(rig.case.volume, ras[:3])
            rig.brush.stroke((i, j))

    rig.view.mouse.AddObserver("LeftButtonPressEvent", pressed)
    return rig


def told(rig: Rig) -> str:
    """Run the session and return what it told."""
    said: list[str] = []
    self_test.run(rig, said.append)
    return " ".join(said)


def test_without_a_server_an_image_is_shown(inside: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SALT_ADDRESS", raising=False)
    assert "names no server" in told(inside)
    assert slicer.util.getNode("empty") is not None


def test_with_a_server_all_of_it_works(inside: Rig, server: SaltServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALT_ADDRESS", server.address)
    assert told(inside).endswith("All of it works.")


def test_what_does_not_work_is_an_error(inside: Rig, server: SaltServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALT_ADDRESS", server.address)
    monkeypatch.setattr(inside.panel.correct, "click", lambda pixel, adds: None)
    with pytest.raises(AssertionError, match="the click was not followed"):
        self_test.run(inside, lambda said: None)
