from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ["QT_QPA_PLATFORM"] = "offscreen"
sys.path.insert(0, str(Path(__file__).parents[1] / "SALTVessels"))
sys.path.insert(0, str(Path(__file__).parent / "qt_adapter"))

from faulty_server import Faulty, faulty_server, slowed
from salt_server import SALT, SaltServer, salt_server
from SALTVesselsLib.answers import Problem
from SALTVesselsLib.transport import Ticket, Transport

# A check that fails inside the rig tells its values, too.
pytest.register_assert_rewrite("panels")


@dataclass(frozen=True)
class Carrier:
    """A transport, and how its callbacks get their turn."""

    transport: Transport
    turn: Callable[[], None]

    def until(self, condition: Callable[[], object], seconds: float = 20.0) -> None:
        """Let callbacks run until the condition holds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"nothing came of it within {seconds} s"
            self.turn()
            time.sleep(0.002)

    def ask(self, method: Callable[..., Ticket], *arguments: Any, seconds: float = 60.0, **options: Any) -> Any:
        """Call a method of a client and return its answer or its problem; more than one of them is an error."""
        heard: list[Any] = []
        method(*arguments, heard.append, heard.append, **options)
        assert not heard, "it was heard before the method had returned"
        self.until(lambda: heard, seconds)
        self.turn()
        assert len(heard) == 1
        return heard[0]

    def answer(self, method: Callable[..., Ticket], *arguments: Any, **options: Any) -> Any:
        """Return the answer; a problem is an error."""
        answer = self.ask(method, *arguments, **options)
        assert not isinstance(answer, Problem), answer.message
        return answer


@pytest.fixture(params=["requests", "qt"])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    """Return each transport in turn."""
    return request.getfixturevalue(f"{request.param}_carrier")


@pytest.fixture
def requests_carrier() -> Carrier:
    """Return the transport for scripts."""
    from SALTVesselsLib.requests_transport import RequestsTransport

    transport = RequestsTransport()
    return Carrier(transport, transport.pump)


@pytest.fixture
def qt_carrier(application: Any) -> Carrier:
    """Return Slicer's transport."""
    from SALTVesselsLib.qt_transport import QtTransport

    return Carrier(QtTransport(), application.processEvents)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SaltServer]:
    """Return a real server on six drawn images; an update takes it 4 seconds. Tests share it."""
    if not SALT.exists():
        pytest.skip(f"there is no server to test against: {SALT} does not exist; set SALT to the `salt` command")
    with salt_server(tmp_path_factory.mktemp("server"), "seconds=4") as running:
        yield running


@pytest.fixture
def faulty() -> Iterator[Faulty]:
    """Return a server that does what a test tells it."""
    with faulty_server() as running:
        yield running


@pytest.fixture
def slow_proxy() -> Callable[[str, float], AbstractContextManager[str]]:
    """Return what puts a slow line before a server: `with slow_proxy(address, seconds) as other_address`."""
    return slowed


@pytest.fixture(scope="session")
def application() -> Any:
    """Return the application that Qt's widgets and its event loop need."""
    from PySide6.QtWidgets import QApplication

    return QApplication.instance() or QApplication([])
