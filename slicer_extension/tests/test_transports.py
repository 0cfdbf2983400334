"""Both transports keep the promises of `Transport`."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

import pytest
from conftest import Carrier
from faulty_server import Faulty, Handler, body_of, cut, error_page, hang, json_of, trickle
from salt_server import free_port
from SALTVesselsLib.requests_transport import RequestsTransport
from SALTVesselsLib.transport import Failure, Reply, Request


def send(carrier: Carrier, request: Request, seconds: float = 20.0) -> Reply | Failure:
    heard: list[Reply | Failure] = []
    carrier.transport.send(request, heard.append)
    assert not heard, "it was heard before `send` had returned"
    carrier.until(lambda: heard, seconds)
    settle(carrier)
    assert len(heard) == 1
    return heard[0]


def settle(carrier: Carrier, seconds: float = 0.3) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        carrier.turn()
        time.sleep(0.005)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_a_request_arrives_as_it_was_made(carrier: Carrier, faulty: Faulty, method: str) -> None:
    faulty.at("/a%2Fb%20%C3%A9", json_of(200, {"fine": True}))
    body = None if method in ("GET", "DELETE") else bytes(range(256))
    headers = {"Authorization": "Bearer secret"} | ({} if body is None else {"Content-Type": "application/x-test"})
    reply = send(carrier, Request(method, f"{faulty.address}/a%2Fb%20%C3%A9?name=1%262%2F%23", headers, body))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "application/json", b'{"fine": true}')
    (seen,) = faulty.seen
    assert (seen.method, seen.path) == (method, "/a%2Fb%20%C3%A9?name=1%262%2F%23")
    assert seen.headers["authorization"] == "Bearer secret"
    assert seen.body == (body or b"")
    assert body is None or seen.headers["content-type"] == "application/x-test"


def test_a_reply_that_is_no_success_is_whole(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/", error_page)
    pieces: list[bytes] = []
    heard: list[Reply | Failure] = []
    carrier.transport.send(Request("GET", f"{faulty.address}/"), heard.append, pieces.append)
    carrier.until(lambda: heard)
    assert (heard[0].status, b"Internal" in heard[0].body, pieces) == (500, True, [])


def test_nobody_there_is_unreachable(carrier: Carrier) -> None:
    reply = send(carrier, Request("GET", f"http://127.0.0.1:{free_port()}/"))
    assert isinstance(reply, Failure)
    assert (reply.fault, bool(reply.detail)) == ("unreachable", True)


@pytest.mark.parametrize("url", ["http://", "nonsense://host/", "http://no.such.host.invalid/", "http://[1/"])
def test_an_address_that_is_none_is_unreachable(carrier: Carrier, url: str) -> None:
    assert send(carrier, Request("GET", url)).fault == "unreachable"


def test_a_connection_cut_in_the_body_is_interrupted(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/", cut)
    assert send(carrier, Request("GET", f"{faulty.address}/")).fault == "interrupted"


def test_a_connection_cut_before_the_reply_is_interrupted(carrier: Carrier, faulty: Faulty) -> None:
    def close(handler: Handler) -> None:
        handler.close_connection = True

    faulty.at("/", close)
    assert send(carrier, Request("POST", f"{faulty.address}/", {"Content-Type": "text/plain"}, b"x")).fault == (
        "interrupted"
    )


def test_silence_ends_in_a_timeout(carrier: Carrier, faulty: Faulty) -> None:
    gone = threading.Event()

    def notice(handler: Handler) -> None:
        hang(handler)
        gone.set()

    faulty.at("/", notice)
    started = time.monotonic()
    assert send(carrier, Request("GET", f"{faulty.address}/", timeout=0.5)).fault == "timeout"
    assert 0.4 < time.monotonic() - started < 5
    carrier.until(gone.is_set, 5)


def test_the_server_is_told_of_a_cancel(qt_carrier: Carrier, faulty: Faulty) -> None:
    begun, gone = threading.Event(), threading.Event()

    def notice(handler: Handler) -> None:
        begun.set()
        hang(handler)
        gone.set()

    faulty.at("/", notice)
    ticket = qt_carrier.transport.send(Request("GET", f"{faulty.address}/"), print)
    qt_carrier.until(begun.is_set)
    ticket.cancel()
    qt_carrier.until(gone.is_set, 5)


def test_silence_in_the_middle_of_a_body_ends_in_a_timeout(carrier: Carrier, faulty: Faulty) -> None:
    def stall(handler: Handler) -> None:
        handler.head(200, 10)
        handler.wfile.write(b"12345")
        handler.wfile.flush()
        hang(handler)

    faulty.at("/", stall)
    assert send(carrier, Request("GET", f"{faulty.address}/", timeout=0.5)).fault == "timeout"


def test_a_slow_reply_is_no_silence(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/", trickle(b"slow", 0.4))
    reply = send(carrier, Request("GET", f"{faulty.address}/", timeout=0.8))
    assert isinstance(reply, Reply)
    assert reply.body == b"slow"


def test_headers_are_no_silence(qt_carrier: Carrier, faulty: Faulty) -> None:
    def slowly(handler: Handler) -> None:
        time.sleep(0.8)
        handler.head(200, 2)
        time.sleep(0.8)
        handler.wfile.write(b"{}")

    faulty.at("/", slowly)
    assert isinstance(send(qt_carrier, Request("GET", f"{faulty.address}/", timeout=1.3)), Reply)


def test_a_slow_upload_is_no_silence(carrier: Carrier, faulty: Faulty) -> None:
    # The server takes a tenth of it at once, all of it in twice the time-out.
    body = bytes(40_000_000)

    def swallow(handler: Handler) -> None:
        handler.reply(200, str(len(handler.seen.body)).encode())

    faulty.at("/", swallow)
    faulty.read_slowly(4_000_000, 0.4)
    reply = send(carrier, Request("PUT", f"{faulty.address}/", {"Content-Type": "text/plain"}, body, timeout=2.0))
    assert isinstance(reply, Reply)
    assert reply.body == b"40000000"


def test_a_stream_is_heard_piece_by_piece(carrier: Carrier, faulty: Faulty) -> None:
    go_on = threading.Event()

    def stream(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\none\r\n")
        handler.wfile.flush()
        go_on.wait(10)
        handler.wfile.write(b"3\r\ntwo\r\n0\r\n\r\n")

    faulty.at("/", stream)
    pieces: list[bytes] = []
    heard: list[Reply | Failure] = []
    carrier.transport.send(Request("GET", f"{faulty.address}/"), heard.append, pieces.append)
    carrier.until(lambda: pieces)
    assert (pieces, heard) == ([b"one"], [])
    go_on.set()
    carrier.until(lambda: heard)
    assert (b"".join(pieces), heard[0].body) == (b"onetwo", b"")


def test_what_is_cancelled_is_not_heard_of(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/", trickle(b"slow", 0.05))
    heard: list[object] = []
    ticket = carrier.transport.send(Request("GET", f"{faulty.address}/"), heard.append, heard.append)
    carrier.until(lambda: heard)
    ticket.cancel()
    heard.clear()
    settle(carrier, 0.6)
    assert heard == []
    # Without effect, now and after an end.
    ticket.cancel()


def test_a_callback_may_cancel_its_own_request(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/", trickle(b"slow", 0.05))
    heard: list[object] = []

    def received(piece: bytes) -> None:
        heard.append(piece)
        ticket.cancel()

    ticket = carrier.transport.send(Request("GET", f"{faulty.address}/"), heard.append, received)
    carrier.until(lambda: heard)
    settle(carrier)
    assert len(heard) == 1


def test_requests_do_not_wait_for_each_other(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/hang", hang)
    faulty.at("/", json_of(200, {}))
    heard: list[object] = []
    ticket = carrier.transport.send(Request("GET", f"{faulty.address}/hang"), heard.append)
    assert send(carrier, Request("GET", f"{faulty.address}/")).status == 200
    assert heard == []
    ticket.cancel()


def test_no_redirect_takes_the_token_elsewhere(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/", body_of(307, b"", "text/plain", Location=f"{faulty.address}/elsewhere"))
    reply = send(carrier, Request("GET", f"{faulty.address}/", {"Authorization": "Bearer secret"}))
    assert isinstance(reply, Reply)
    assert (reply.status, reply.headers["location"]) == (307, f"{faulty.address}/elsewhere")
    assert len(faulty.seen) == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_computer_is_not_behind_a_proxy(
    carrier: Carrier, faulty: Faulty, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from PySide6.QtNetwork import QNetworkProxy

    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    before = QNetworkProxy.applicationProxy()
    QNetworkProxy.setApplicationProxy(QNetworkProxy(QNetworkProxy.ProxyType.HttpProxy, "127.0.0.1", free_port()))
    try:
        faulty.at("/", json_of(200, {}))
        address = faulty.address.replace("127.0.0.1", host)
        assert send(carrier, Request("GET", f"{address}/")).status == 200
        assert send(carrier, Request("GET", "http://other.invalid/")).fault == "unreachable"
    finally:
        QNetworkProxy.setApplicationProxy(before)


def test_a_netrc_file_does_not_replace_the_token(
    faulty: Faulty, requests_carrier: Carrier, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setattr("SALTVesselsLib.requests_transport.is_loopback", lambda url: False)
    (netrc := tmp_path / "netrc").write_text(f"machine {urlsplit(faulty.address).hostname} login a password b\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("no_proxy", "*")
    send(requests_carrier, Request("GET", f"{faulty.address}/", {"Authorization": "Bearer secret"}))
    assert faulty.seen[0].headers["authorization"] == "Bearer secret"


def test_a_script_waits_for_what_is_under_way(faulty: Faulty) -> None:
    faulty.at("/", trickle(b"slow", 0.1))
    transport = RequestsTransport()
    heard: list[object] = []
    transport.send(Request("GET", f"{faulty.address}/"), lambda reply: heard.append(threading.current_thread()))
    assert not transport.wait(0.1)
    assert heard == []
    assert transport.wait(10)
    assert heard == [threading.main_thread()]
    assert transport.wait(0)
