"""Starting the server from the command line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import platformdirs
import pytest
from monailabel.main import Main
from monailabel.utils.others.class_utils import get_class_of_subclass_from_file
from typer.testing import CliRunner

from salt_monailabel.cli.main import app as salt
from salt_monailabel.serving.access.tokens import TokenFile
from salt_monailabel.serving.app import SaltApp
from salt_monailabel.serving.launch import app_folder, start_server

from .viewer import APP


@pytest.fixture(autouse=True)
def _own_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name: tmp_path / name)
    monkeypatch.setattr(platformdirs, "user_config_path", lambda name: tmp_path / "config")


@pytest.mark.parametrize("shipped", [True, False])
def test_monai_label_finds_our_app_in_the_folder(shipped: bool) -> None:
    folder = APP if shipped else app_folder()
    assert get_class_of_subclass_from_file("main", str(folder / "main.py"), "MONAILabelApp") is SaltApp


def test_the_app_in_the_folder_is_whole_at_any_moment() -> None:
    main = app_folder() / "main.py"
    with open(main) as reader:
        whole = main.read_text()
        app_folder()
        # It was replaced, and not written over under the eyes of its reader.
        assert os.fstat(reader.fileno()).st_ino != main.stat().st_ino
    assert main.read_text() == whole


def test_the_server_is_started_on_the_folder_with_the_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["salt"])
    monkeypatch.setattr(Main, "run", lambda self: started.append(sys.argv[1:]))
    start_server(tmp_path / "studies", "127.0.0.1", 8123, {"labels": "artery,vein", "seconds": "9"})
    arguments = Main().args_parser().parse_args(started[0])
    assert (arguments.action, arguments.host, arguments.port) == ("start_server", "127.0.0.1", 8123)
    assert (arguments.app, arguments.studies) == (str(app_folder()), str(tmp_path / "studies"))
    assert arguments.conf == [["labels", "artery,vein"], ["seconds", "9"]]


@pytest.mark.parametrize(("host", "reachable"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_a_server_that_others_can_reach_asks_for_a_token_and_shows_the_first_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, reachable: bool
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(sys, "argv", ["salt"])
    monkeypatch.setattr(Main, "run", lambda self: started.append(sys.argv[1:]))
    said = [CliRunner().invoke(salt, ["serve", str(tmp_path / "studies"), "--host", host]).output for _ in range(2)]
    for each in started:
        arguments = Main().args_parser().parse_args(each)
        assert arguments.uvicorn_app == "salt_monailabel.serving.server:app"
        assert (arguments.conf == [["tokens", "always"]]) == reachable
    tokens = TokenFile(tmp_path / "config" / "tokens.json")
    assert (len(started), len(tokens.holders())) == (2, int(reachable))
    assert ["Token, shown this once" in each for each in said] == [reachable, False]
    if reachable:
        shown = said[0].split("Token, shown this once: ")[1].split()[0]
        assert tokens.find(shown) == tokens.holders()[0]
        assert tokens.path.stat().st_mode & 0o777 == 0o600
