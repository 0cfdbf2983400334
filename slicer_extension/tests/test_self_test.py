"""The session that is run inside Slicer finds what it asks for: here with stand-ins for what only Slicer has."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
from panels import Rig
from PySide6.QtWidgets import QApplication
from salt_server import SALT, SaltServer
from SALTVesselsLib import self_test
from SALTVesselsLib.scene import volumes
from scenes import picture
from SimpleITK import GetArrayFromImage, ReadImage

pytest_plugins = ("scenes", "panels")


@pytest.fixture
def inside(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return a panel that the session takes for that of the application, with a mouse that paints and erases."""
    application = SimpleNamespace(processEvents=QApplication.processEvents)
    monkeypatch.setattr(slicer, "app", application, raising=False)
    monkeypatch.setattr(slicer.util, "selectModule", lambda name: None, raising=False)
    monkeypatch.setattr(self_test, "views_of_application", lambda: [(rig.view.mouse, rig.view.node)])

    def load(file: str, properties: dict[str, bool]) -> Any:
        assert properties == {"singleFile": True}
        pixels = GetArrayFromImage(ReadImage(file))
        return volumes.add(picture(pixels[None], np.diag([1.0, 1.0, 1.0, 1.0]), Path(file).stem))

    monkeypatch.setattr(slicer.util, "loadVolume", load, raising=False)

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


def test_without_a_server_what_needs_none_works(inside: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SALT_ADDRESS", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    said = told(inside)
    assert "what needs one is left out" in said
    assert said.endswith("All of it works.")


def test_without_a_server_one_is_started_here_and_stopped(
    inside: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SALT.exists():
        pytest.skip(f"{SALT} does not exist")
    quick = tmp_path / "salt"
    quick.write_text(f'#!/bin/sh\nexec {SALT} "$@" --conf seconds=4\n')
    quick.chmod(0o755)
    monkeypatch.delenv("SALT_ADDRESS", raising=False)
    monkeypatch.setattr(shutil, "which", lambda name: str(quick))
    said = told(inside)
    assert "one is started on this computer" in said
    assert said.endswith("All of it works.")
    assert inside.panel.server.state == "off"
    assert inside.panel.local.state == ""


def test_with_a_server_all_of_it_works(inside: Rig, server: SaltServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALT_ADDRESS", server.address)
    said = told(inside)
    for step in ("is on the server", "removes a vessel", "learned from", "measured"):
        assert step in said
    assert said.endswith("All of it works.")
    assert not inside.user.asked, "a question was left to the user"


@pytest.mark.parametrize(
    ("section", "method", "wrong"),
    [
        ("server", "connect", "no server was connected within 2 s; the panel says: Not connected"),
        ("correct", "click", "the click was not followed"),
        ("teach", "submit", "learning did not begin within 2 s; the panel says: Connected to"),
    ],
)
def test_what_does_not_work_is_an_error(
    inside: Rig, server: SaltServer, monkeypatch: pytest.MonkeyPatch, section: str, method: str, wrong: str
) -> None:
    monkeypatch.setenv("SALT_ADDRESS", server.address)
    until = self_test._Session._until

    def impatient(session: object, condition: object, what: str, seconds: float = 60.0) -> None:
        until(session, condition, what, 2.0 if wrong.startswith(what) else seconds)

    monkeypatch.setattr(self_test._Session, "_until", impatient)
    monkeypatch.setattr(getattr(inside.panel, section), method, lambda *_, **__: None)
    with pytest.raises(AssertionError, match=re.escape(wrong)):
        self_test.run(inside, lambda said: None)
