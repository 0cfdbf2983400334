"""Starting MONAI Label's server on our app."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import platformdirs

from salt_monailabel.whole_files import written_whole

from .access.gate import is_loopback
from .access.tokens import Role, TokenFile, default_path

MAIN = "from salt_monailabel.serving.app import SaltApp\n\n__all__ = ['SaltApp']\n"


def app_folder() -> Path:
    """Return a writable folder with the app, as MONAI Label wants one, in the user's data folder."""
    folder = platformdirs.user_data_path("salt") / "app"
    folder.mkdir(parents=True, exist_ok=True)
    # Another server may be reading it.
    with written_whole(folder / "main.py") as partial:
        partial.write_text(MAIN)
    return folder


def reached_at(host: str, port: int) -> str:
    """Return the address to type into Slicer: where a server listens on all addresses, the computer's name."""
    with suppress(ValueError):
        if ip_address(host).is_unspecified:
            host = socket.gethostname()
    return f"http://{host}:{port}"


def start_server(studies: Path | str, host: str, port: int, conf: Mapping[str, str]) -> None:
    """Serve until interrupted: `monailabel start_server` with our defaults and our server.

    A server that other computers can reach asks everybody for a token.
    """
    from monailabel.main import Main

    arguments = ["start_server", "--app", str(app_folder()), "--studies", str(studies)]
    arguments += ["--host", host, "--port", str(port), "--uvicorn_app", "salt_monailabel.serving.server:app"]
    settings = dict(conf)
    if not is_loopback(host):
        settings["tokens"] = "always"
    for name, value in settings.items():
        arguments += ["--conf", name, value]
    sys.argv = ["monailabel", *arguments]
    Main().run()


def first_token(host: str) -> str | None:
    """Return a new token where a server needs one and none was ever made; it is not kept anywhere."""
    tokens = TokenFile(default_path())
    if is_loopback(host) or tokens.holders():
        return None
    return tokens.add("first", Role.TRAINER, None)
