"""What all sections of the panel share: the server, the image in view, and what the user is told."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ..answers import Problem, ServerInfo
from ..client import Client
from ..jobs import Latest
from ..parameters import Parameters
from ..steps import Later, in_pieces
from ..transport import Transport
from .case import Case

Kind = Literal["info", "problem"]


class Ask(Protocol):
    """Questions to the user; an empty answer is none."""

    def confirm(self, question: str) -> bool:
        """Ask for a yes or no."""

    def folder(self, title: str) -> str:
        """Ask for a folder."""

    def program(self, title: str) -> str:
        """Ask for a program's file."""

    def new_file(self, title: str, name: str) -> str:
        """Ask where to save a file; `name` is proposed."""


class Settings(Protocol):
    """What is remembered from one day to the next, whatever scene is open."""

    def read(self, name: str) -> str:
        """Return a setting, empty if it was never written."""

    def write(self, name: str, value: str) -> None:
        """Write a setting."""


@dataclass(frozen=True)
class Surroundings:
    """What the panel needs of the application.

    Attributes
    ----------
    transport : Transport
    ask : Ask
    settings : Settings
    later : callable
        Calls a function after so many seconds, on this thread.
    show_frames : callable
        Shows the application's slider through the frames of a run, given its vtkMRMLSequenceBrowserNode.
    """

    transport: Transport
    ask: Ask
    settings: Settings
    later: Later
    show_frames: Callable[[Any], None]


class Context:
    """What all sections share.

    Attributes
    ----------
    client : Client or None
        While there is an address.
    info : ServerInfo or None
        While the server is connected; kept when the connection is lost, for it may come back.
    case : Case or None
        The image in view.
    message : str
        What the user is told, of the kind `kind`.
    latest : Latest
    parameters : Parameters
        What is saved with the scene.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self.around = surroundings
        self.latest = Latest()
        self.parameters = Parameters()
        self.client: Client | None = None
        self.info: ServerInfo | None = None
        self.case: Case | None = None
        self.message = ""
        self.kind: Kind = "info"
        self._listeners: list[Callable[[], None]] = []
        self._lost: list[Callable[[Problem], None]] = []
        self._given_up: list[Callable[[], None]] = []
        self._round = object()

    @property
    def identity(self) -> str:
        """Which server is connected, or was until the connection was lost; empty if none, or if it does not tell."""
        return self.info.identity if self.info is not None else ""

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back whenever there is something new to be shown."""
        self._listeners.append(callback)

    def on_lost(self, callback: Callable[[Problem], None]) -> None:
        """Call back when a request shows that the server cannot be used as it is."""
        self._lost.append(callback)

    def on_give_up(self, callback: Callable[[], None]) -> None:
        """Call back when all requests were given up, none of which will be answered."""
        self._given_up.append(callback)

    def changed(self) -> None:
        """Have the panel show what is new."""
        for callback in tuple(self._listeners):
            callback()

    def say(self, message: str, kind: Kind = "info") -> None:
        """Tell the user something."""
        self.message, self.kind = message, kind
        self.changed()

    def explain(self, problem: Problem, kept: str = "") -> None:
        """Tell the user why something was not done, and what becomes of their work."""
        for callback in tuple(self._lost):
            callback(problem)
        self.say(f"{problem.message} {kept}".strip(), "problem")

    def by_pieces(self, steps: Generator[Any, None, Any], done: Callable[[Any], None]) -> None:
        """Do long work in pieces, so that the application stays usable; a scene that is closed ends it.

        Parameters
        ----------
        steps : generator
            Yields wherever it may pause.
        done : callable
            Given what the generator returns.
        """
        begun = self._round
        in_pieces(steps, self.around.later, done, lambda: begun is self._round)

    def give_up(self) -> None:
        """Give up all requests and all work in pieces: the scene is being closed, or the server is another."""
        self._round = object()
        self.latest.cancel_all()
        for callback in tuple(self._given_up):
            callback()
