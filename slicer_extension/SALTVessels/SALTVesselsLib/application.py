"""What the panel needs of the application around it: dialogs, settings, time, and other programs."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import qt
import slicer

TITLE = "SALT vessels"
GROUP = "SALTVessels/"
# Of what a program wrote last, so much is looked at.
TAIL = 2000


def later(seconds: float, callback: Callable[[], None]) -> None:
    """Call back after so many seconds, on this thread."""
    qt.QTimer.singleShot(round(1000 * seconds), callback)


def show_frames(browser: slicer.vtkMRMLSequenceBrowserNode) -> None:
    """Show Slicer's slider through the frames of a run; of itself it does so for runs it has read from files alone."""
    slicer.modules.sequences.setToolBarActiveBrowserNode(browser)
    slicer.modules.sequences.showSequenceBrowser(browser)


class Dialogs:
    """Questions to the user.

    Parameters
    ----------
    parent : QWidget
    """

    def __init__(self, parent: qt.QWidget) -> None:
        self._parent = parent

    def confirm(self, question: str) -> bool:
        """Ask for a yes or no."""
        answer = qt.QMessageBox.question(self._parent, TITLE, question, qt.QMessageBox.Yes | qt.QMessageBox.No)
        return answer == qt.QMessageBox.Yes

    def folder(self, title: str) -> str:
        """Ask for a folder."""
        return str(qt.QFileDialog.getExistingDirectory(self._parent, title))

    def program(self, title: str) -> str:
        """Ask for a program's file."""
        return _path(qt.QFileDialog.getOpenFileName(self._parent, title))

    def new_file(self, title: str, name: str) -> str:
        """Ask where to save a file; `name` is proposed."""
        return _path(qt.QFileDialog.getSaveFileName(self._parent, title, name))


class AppSettings:
    """The application's settings of this module."""

    def read(self, name: str) -> str:
        """Return a setting, empty if it was never written."""
        return str(qt.QSettings().value(GROUP + name) or "")

    def write(self, name: str, value: str) -> None:
        """Write a setting."""
        qt.QSettings().setValue(GROUP + name, value)


class Program:
    """A program that was started, with all that it starts itself."""

    def __init__(self, command: list[str], environment: Mapping[str, str] | None) -> None:
        log, path = tempfile.mkstemp(prefix="salt-", suffix=".log")
        self._log = Path(path)
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                # A group of its own: what it starts is to end with it.
                start_new_session=os.name == "posix",
                # Windows would open a console for it, and end it with that.
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        finally:
            os.close(log)

    def ended(self) -> bool:
        """Say whether it has ended."""
        return self._process.poll() is not None

    def last_words(self) -> str:
        """Return the last line it wrote."""
        text = self._log.read_bytes()[-TAIL:].decode(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def stop(self) -> None:
        """End it, and what it started."""
        if not self.ended():
            if os.name == "posix":
                os.killpg(self._process.pid, signal.SIGTERM)
            else:
                self._process.terminate()
        # Windows keeps a file that is still being written to.
        with suppress(OSError):
            self._log.unlink()


class Programs:
    """Starts programs.

    Parameters
    ----------
    environment : mapping, optional
        Slicer's own environment leads other Pythons to its libraries; programs get the one that Slicer was started in.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = environment

    def start(self, command: list[str]) -> Program:
        """Start a program; raises OSError if that is not possible."""
        return Program(command, self._environment)


def _path(answer: object) -> str:
    # PySide6 returns the filter that was chosen as well, PythonQt the path alone.
    return str(answer[0] if isinstance(answer, tuple) else answer)
