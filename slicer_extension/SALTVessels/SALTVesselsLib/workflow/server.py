"""The connection to a server: made, watched, lost and found again; and the user's leave to send it data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ..addresses import is_loopback
from ..answers import Problem, ServerInfo
from ..client import Client
from ..jobs import Poll
from ..transport import Ticket
from .context import Context

State = Literal["off", "trying", "on", "token", "lost"]
ADDRESSES, ALLOWED = "addresses", "allowed"
KEPT = 8
FIRST = "http://127.0.0.1:8000"
# Seconds from one look at the server to the next.
PULSE = 5.0
# One look that fails may be bad luck: a server at work on a large image answers late.
PATIENCE = 2


class Server:
    """The server the panel works with.

    Attributes
    ----------
    state : {"off", "trying", "on", "token", "lost"}
        "token" while it asks for one that it does not have.
    words : str
        The same for the user: what is connected, or why nothing is.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.state: State = "off"
        self.words = "Not connected"
        self._token = ""
        self._failures = 0
        self._connected: list[Callable[[], None]] = []
        self._pulse = Poll(self._look, context.around.later, PULSE)
        context.on_lost(self._suspect)

    @property
    def addresses(self) -> list[str]:
        """Addresses that worked before, first those of the scene, the last one first."""
        known = self._context.around.settings.read(ADDRESSES).splitlines()
        return list(dict.fromkeys([*self._context.parameters.addresses, *known])) or [FIRST]

    @property
    def usable(self) -> bool:
        """Whether requests can be made."""
        return self.state == "on"

    def on_connected(self, callback: Callable[[], None]) -> None:
        """Call back whenever the server is there, or there again."""
        self._connected.append(callback)

    def connect(self, address: str, token: str = "") -> None:
        """Connect to an address; what goes on with another server is given up."""
        if not address.strip():
            self._become("off", "Type the address of a server, or start one on this computer.")
            return
        before, info = self._context.client, self._context.info
        self.disconnect()
        self._token = token.strip()
        self._context.client = Client(self._context.around.transport, address, self._token, self._context.around.later)
        if before is not None and before.address == self._context.client.address:
            # As when the connection is lost: it may well be the same server, which is seen once it answers.
            self._context.info = info
        self._failures = PATIENCE
        self._become("trying", f"Connecting to {self._context.client.address} …")
        self._pulse.start()

    def disconnect(self) -> None:
        """Let go of the server; what is in the scene stays."""
        self._pulse.stop()
        self._context.give_up()
        self._context.client = self._context.info = None
        self._become("off", "Not connected")

    def may_send(self) -> bool:
        """Return whether data may be sent to the server; the user is asked the first time."""
        assert self._context.client is not None
        address, settings = self._context.client.address, self._context.around.settings
        allowed = settings.read(ALLOWED).splitlines()
        if address in allowed:
            return True
        where = "a server on this computer" if is_loopback(address) else "another computer"
        if not self._context.around.ask.confirm(
            f"Images and outlines you work on will be sent to {address}, {where}. The server keeps what you send or "
            "submit, and learns from it.\n\nMay this server be sent your images and outlines from now on?"
        ):
            self._context.say(f"Nothing was sent to {address}: you did not allow it.")
            return False
        settings.write(ALLOWED, "\n".join([*allowed, address]))
        return True

    def _look(self, heard: Callable[[], None]) -> Ticket:
        assert self._context.client is not None

        def known(info: ServerInfo) -> None:
            self._known(info)
            heard()

        def failed(problem: Problem) -> None:
            self._failures += 1
            if self._failures >= PATIENCE or not problem.lost:
                self._fail(problem)
            heard()

        return self._context.client.info(known, failed)

    def _known(self, info: ServerInfo) -> None:
        assert self._context.client is not None
        before = self._context.info
        another = before is not None and before.identity != info.identity
        if another:
            # What goes on is not for this one, though it answers at the same address.
            self._context.give_up()
        self._context.info, self._failures = info, 0
        if self.state == "on" and not another:
            if info != before:
                self._context.changed()
            return
        address = self._context.client.address
        kept = [address, *(other for other in self.addresses if other != address)]
        self._context.around.settings.write(ADDRESSES, "\n".join(kept[:KEPT]))
        self._context.parameters.used(address, info.identity)
        back = "The server is back." if self.state == "lost" else ""
        self._become("on", f"Connected to {address}")
        self._context.say(f"Another server answers at {address} now." if another else back)
        for callback in tuple(self._connected):
            callback()

    def _suspect(self, problem: Problem) -> None:
        """Take a failed request for what it says of the connection."""
        if problem.kind in ("unreachable", "token"):
            self._fail(problem)

    def _fail(self, problem: Problem) -> None:
        if problem.kind == "token":
            asked = f"{problem.message} Type your token above." if not self._token else problem.message
            self._become("token", asked)
            self._pulse.stop()
        elif self.state != "off":
            again = " It is tried again every few seconds." if problem.lost else ""
            self._become("lost", f"{problem.message}{again}")

    def _become(self, state: State, words: str) -> None:
        self.state, self.words = state, words
        self._context.changed()
