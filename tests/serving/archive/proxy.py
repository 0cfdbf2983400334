"""What lies between a server and its archive, and fails."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from .orthanc import free_port


class Proxy:
    """Hands on connections to another port of this computer.

    Attributes
    ----------
    cut : int or None
        Bytes of an answer that are handed on before the connection is cut.
    open : threading.Event
        While it is not set, answers are held back.
    """

    def __init__(self, to: int) -> None:
        self.cut: int | None = None
        self.open = threading.Event()
        self.open.set()
        self.port = free_port()
        self._to = to
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self.open.set()
        self._listener.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._hand_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _hand_on(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                server.sendall(data)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        left = self.cut
        with suppress(OSError), server, client:
            while data := server.recv(1 << 16):
                self.open.wait(30)
                if left is not None:
                    data, left = data[:left], left - len(data)
                client.sendall(data)
                if left is not None and left <= 0:
                    client.shutdown(socket.SHUT_RDWR)
                    return
