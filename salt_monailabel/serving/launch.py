"""Starting MONAI Label's server on our app."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

MAIN = "from salt_monailabel.serving.app import SaltApp\n\n__all__ = ['SaltApp']\n"


def app_folder() -> Path:
    """Return a writable folder with the app, as MONAI Label wants one, in the user's data folder."""
    folder = platformdirs.user_data_path("salt") / "app"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.py").write_text(MAIN)
    return folder


def start_server(studies: Path, host: str, port: int, conf: Sequence[tuple[str, str]], app: Path | None = None) -> None:
    """Serve until interrupted: `monailabel start_server` with our defaults."""
    from monailabel.main import Main

    arguments = ["start_server", "--app", str(app or app_folder()), "--studies", str(studies)]
    arguments += ["--host", host, "--port", str(port)]
    for name, value in conf:
        arguments += ["--conf", name, value]
    sys.argv = ["monailabel", *arguments]
    Main().run()
