"""Starting the server from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import platformdirs
import pytest
from monailabel.main import Main
from monailabel.utils.others.class_utils import get_class_of_subclass_from_file

from salt_monailabel.serving.app import SaltApp
from salt_monailabel.serving.launch import app_folder, start_server

from .viewer import APP


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name: tmp_path / name)


@pytest.mark.parametrize("shipped", [True, False])
def test_monai_label_finds_our_app_in_the_folder(shipped: bool) -> None:
    folder = APP if shipped else app_folder()
    assert get_class_of_subclass_from_file("main", str(folder / "main.py"), "MONAILabelApp") is SaltApp


def test_the_server_is_started_on_the_folder_with_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["salt"])
    monkeypatch.setattr(Main, "run", lambda self: started.append(sys.argv[1:]))
    start_server(tmp_path / "studies", "127.0.0.1", 8123, [("labels", "artery,vein"), ("seconds", "9")])
    arguments = Main().args_parser().parse_args(started[0])
    assert (arguments.action, arguments.host, arguments.port) == ("start_server", "127.0.0.1", 8123)
    assert (arguments.app, arguments.studies) == (str(app_folder()), str(tmp_path / "studies"))
    assert arguments.conf == [["labels", "artery,vein"], ["seconds", "9"]]
