"""A server on this computer, started from the panel."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path
from typing import Protocol

from .context import Context
from .server import Server

PROGRAM, FOLDER = "program", "folder"
# The first start loads and adapts the model; a slow computer takes minutes.
PATIENCE = 240.0
PULSE = 1.0
LOOPBACK = "127.0.0.1"


class Process(Protocol):
    """A program that was started."""

    def ended(self) -> bool:
        """Say whether it has ended."""

    def last_words(self) -> str:
        """Return the last line it wrote."""

    def stop(self) -> None:
        """End it, and what it started."""


class Launcher(Protocol):
    """Starts programs."""

    def start(self, command: list[str]) -> Process:
        """Start a program; raises OSError if that is not possible."""


class LocalServer:
    """*Start a server on this computer*.

    Attributes
    ----------
    state : {"", "starting", "running"}
    """

    def __init__(self, context: Context, server: Server, launcher: Launcher) -> None:
        self._context = context
        self._server = server
        self._launcher = launcher
        self._process: Process | None = None
        self._waited = 0.0
        self.state = ""

    @property
    def program(self) -> str:
        """The program 'salt', as far as is known; empty if it is not."""
        program = shutil.which("salt") or self._context.around.settings.read(PROGRAM)
        return program if program and Path(program).is_file() else ""

    def toggle(self) -> None:
        """Start a server, or stop the one that was started."""
        if self._process is None:
            self.start()
        else:
            self._server.disconnect()
            self.stop()
            self._context.say("The server on this computer was stopped.")

    def start(self) -> None:
        """Ask for a folder of images, and start a server for it."""
        ask, settings = self._context.around.ask, self._context.around.settings
        program = self.program or ask.program("Where is the program 'salt'?")
        if not program:
            self._context.say("The server needs the program 'salt'; its README says how to install it.")
            return
        folder = ask.folder("Folder with the images")
        if not folder:
            return
        port = _free_port()
        try:
            self._process = self._launcher.start([program, "serve", folder, "--port", str(port)])
        except OSError as error:
            self._context.say(f"{program} could not be started: {error.strerror}.", "problem")
            return
        settings.write(PROGRAM, program)
        self.state, self._waited = "starting", 0.0
        self._context.say(f"Starting a server for {Path(folder).name} … The first time, this may take a minute.")
        self._wait(f"http://{LOOPBACK}:{port}")

    def stop(self) -> None:
        """Stop the server that was started; nothing happens to any other."""
        process, self._process, self.state = self._process, None, ""
        if process is not None:
            process.stop()
        self._context.changed()

    def _wait(self, address: str) -> None:
        process = self._process
        if process is None:
            return
        if process.ended():
            why = process.last_words()
            self.stop()
            self._context.say(f"The server has ended before it answered. {why}".strip(), "problem")
        elif _listens(address):
            self.state = "running"
            self._server.connect(address)
        elif self._waited > PATIENCE:
            self.stop()
            self._context.say("The server did not answer for four minutes and was stopped.", "problem")
        else:
            self._waited += PULSE
            self._context.around.later(PULSE, lambda: self._wait(address))


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def _listens(address: str) -> bool:
    """Say whether something takes connections there; on this computer that is known at once."""
    host, port = address.removeprefix("http://").split(":")
    with socket.socket() as caller:
        caller.settimeout(0.02)
        return caller.connect_ex((host, int(port))) == 0
