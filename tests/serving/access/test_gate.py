"""The gate of the server: who is let in, for what, and each way to get around it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from salt_monailabel.serving.access.audit import AuditLog, current_user
from salt_monailabel.serving.access.gate import LARGEST_LOGIN, Access, came_from_here, is_loopback, role_needed
from salt_monailabel.serving.access.tokens import Role, TokenFile

from ..audited import entries

HERE, ELSEWHERE = "http://localhost:8000", "http://192.168.1.7:8000"
VIEWER, EVIL = "https://viewer.hospital.org", "http://evil.example:8000"
LIMIT = 1000
HOST = (b"host", b"localhost")
SCOPE = {"type": "http", "method": "PUT", "path": "/session/", "query_string": b"", "server": ("127.0.0.1", 80)}


class Gate:
    """A toy app behind the gate, and what it saw."""

    def __init__(self, folder: Path, always: bool = False, origins: tuple[str, ...] = ()) -> None:
        self.tokens = TokenFile(folder / "tokens.json")
        self.audit = AuditLog(folder / "audit.jsonl")
        self.seen: list[tuple[str, str]] = []
        self.started = False
        methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
        routes = [Route("/{path:path}", self.answer, methods=methods), WebSocketRoute("/", self.socket)]
        app = Starlette(routes=routes, lifespan=self.lifespan)
        self.access = Access(app, self.tokens, self.audit, always, origins, LIMIT)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.started = True
        yield

    async def answer(self, request: Request) -> Response:
        self.seen.append((request.method, request.url.path))
        body = await request.body()
        # As handlers that block do, in a thread.
        who = await anyio.to_thread.run_sync(current_user.get)
        return JSONResponse({"who": who, "bytes": len(body), "image": request.query_params.get("image")})

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()

    def client(self, address: str = HERE, token: str | None = None) -> TestClient:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return TestClient(self.access, base_url=address, headers=headers)

    def refusals(self) -> list[dict[str, Any]]:
        return entries(self.audit.path)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path, origins=(VIEWER,))


def assert_refused(gate: Gate, reply: Any, status: int, *words: str) -> None:
    """See that a request got no further than the gate, was told why, and was recorded."""
    assert reply.status_code == status, reply.text
    detail = reply.json()["detail"]
    assert [word for word in words if word not in detail] == []
    assert gate.seen == []
    assert gate.refusals()[-1]["status"] == status


# Who


def test_on_this_computer_nobody_needs_a_token(gate: Gate) -> None:
    reply = gate.client().post("/train/salt")
    assert reply.json()["who"] == "local"
    assert gate.refusals() == []


@pytest.mark.parametrize("address", [ELSEWHERE, "http://testserver", "http://salt.hospital.org"])
def test_from_elsewhere_a_token_is_needed(gate: Gate, address: str) -> None:
    reply = gate.client(address).get("/info/")
    assert_refused(gate, reply, 401, "needs a token", "salt tokens add")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_a_server_can_always_ask_for_a_token(tmp_path: Path) -> None:
    gate = Gate(tmp_path, always=True)
    assert_refused(gate, gate.client().get("/info/"), 401, "needs a token")


@pytest.mark.parametrize("address", [HERE, ELSEWHERE])
def test_the_app_knows_whose_token_it_is(gate: Gate, address: str) -> None:
    token = gate.tokens.add("ann", Role.ANNOTATOR, 1)
    assert gate.client(address, token).get("/info/").json()["who"] == "ann"


def test_whose_token_it_was_is_forgotten_after_the_request(gate: Gate) -> None:
    header = (b"authorization", f"Bearer {gate.tokens.add('ann', Role.ANNOTATOR, 1)}".encode())
    users = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        users.append(current_user.get())

    gate.access.app = app

    async def requests() -> None:
        for headers in ([header], []):
            await gate.access({**SCOPE, "headers": [HOST, *headers]}, unread, unsent)
            users.append(current_user.get())

    asyncio.run(requests())
    assert users == ["ann", "local", "local", "local"]


@pytest.mark.parametrize("address", [HERE, ELSEWHERE])
@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer", "Bearer ", "", "TOKEN", "Basic TOKEN", "Bearer TOKENx", "Bearer TOKEN TOKEN"]
)
def test_a_token_that_is_given_must_be_right_on_this_computer_too(gate: Gate, address: str, header: str) -> None:
    token = gate.tokens.add("ann", Role.TRAINER, 1)
    reply = gate.client(address).get("/info/", headers={"Authorization": header.replace("TOKEN", token)})
    assert_refused(gate, reply, 401, "wrong, revoked or expired")
    assert reply.headers["WWW-Authenticate"] == "Bearer"


def test_the_word_bearer_may_be_written_in_any_case(gate: Gate) -> None:
    token = gate.tokens.add("ann", Role.READER, 1)
    assert gate.client(ELSEWHERE).get("/", headers={"Authorization": f"bearer {token}"}).status_code == 200


def test_an_expired_token_is_refused(gate: Gate) -> None:
    token = gate.tokens.add("ann", Role.TRAINER, 1)
    tokens = json.loads(gate.tokens.path.read_text())
    tokens["ann"]["expires"] = (datetime.now(timezone.utc) - timedelta(seconds=1)).isoformat()
    gate.tokens.path.write_text(json.dumps(tokens))
    assert_refused(gate, gate.client(ELSEWHERE, token).get("/info/"), 401, "expired")


def test_a_revoked_token_is_refused_from_the_next_request_on(gate: Gate) -> None:
    client = gate.client(ELSEWHERE, gate.tokens.add("ann", Role.TRAINER, 1))
    assert client.get("/info/").status_code == 200
    TokenFile(gate.tokens.path).revoke("ann")
    gate.seen.clear()
    assert_refused(gate, client.get("/info/"), 401, "revoked")


def test_a_damaged_token_file_lets_nobody_in_and_shows_strangers_no_path(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    token = gate.tokens.add("ann", Role.TRAINER, 1)
    gate.tokens.path.write_text("oops")
    with caplog.at_level(logging.ERROR):
        reply = gate.client(ELSEWHERE, token).get("/info/")
    assert_refused(gate, reply, 503, "log")
    assert str(gate.tokens.path) not in reply.text
    assert str(gate.tokens.path) in caplog.text


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("192.168.1.7", False),
        ("::ffff:192.168.1.7", False),
        ("fe80::1", False),
        ("0.0.0.0", False),
        ("testserver", False),
        ("/run/salt.sock", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_only_loopback_addresses_are_this_computer(host: str, here: bool) -> None:
    assert is_loopback(host) is here
    assert came_from_here({"type": "http", "server": (host, 8000), "headers": []}) is here


def test_a_server_that_does_not_know_its_address_takes_nobody_for_local() -> None:
    assert not came_from_here({"type": "http", "headers": []})
    assert not came_from_here({"type": "http", "server": None, "headers": []})


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Forwarded", "Via"])
def test_what_a_proxy_on_this_computer_hands_on_is_not_local(gate: Gate, header: str) -> None:
    assert_refused(gate, gate.client().get("/info/", headers={header: "192.168.1.7"}), 401, "needs a token")


# Pages of others


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "192.168.1.7", ""]
)
def test_a_name_that_was_bound_to_this_computer_is_refused(gate: Gate, host: str) -> None:
    own = {"Host": host, "Origin": f"http://{host}"}
    assert_refused(gate, gate.client().get("/datastore/", headers={"Host": host}), 403, host, "localhost")
    assert_refused(gate, gate.client().post("/train/salt", headers=own), 403, host)


def test_a_request_without_a_host_is_refused(gate: Gate) -> None:
    sent, _ = call(gate.access, chunks=[b""], headers=[])
    assert sent[0]["status"] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_every_name_of_this_computer_is_answered(gate: Gate, host: str) -> None:
    headers = {"Host": host, "Origin": f"http://{host.lower()}"}
    assert gate.client().get("/info/", headers=headers).status_code == 200


def test_with_a_token_that_is_needed_any_name_of_the_server_is_answered(gate: Gate) -> None:
    token = gate.tokens.add("ann", Role.READER, 1)
    assert gate.client("https://salt.hospital.org", token).get("/info/").status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        EVIL,
        "null",
        "",
        "http://localhost:3000",
        "http://localhost",
        "file://localhost:8000",
        "http://localhost:8000.evil.example",
        "http://evil.example@localhost:8000",
        f"{VIEWER}.evil.example",
        VIEWER.replace("https", "http"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_a_page_of_others_is_refused(gate: Gate, method: str, origin: str) -> None:
    reply = gate.client().request(method, "/datastore/", headers={"Origin": origin})
    assert_refused(gate, reply, 403, "origins")
    assert "access-control-allow-origin" not in reply.headers


def test_a_page_of_others_is_refused_with_a_token_too(gate: Gate) -> None:
    token = gate.tokens.add("ann", Role.TRAINER, 1)
    reply = gate.client(ELSEWHERE, token).get("/info/", headers={"Origin": EVIL})
    assert_refused(gate, reply, 403, EVIL)


def test_the_servers_own_pages_are_answered_and_shared_with_nobody(gate: Gate) -> None:
    reply = gate.client().post("/infer/salt", headers={"Origin": HERE})
    assert reply.status_code == 200
    assert "access-control-allow-origin" not in reply.headers


def preflight(client: TestClient, origin: str, method: str = "PUT", headers: str = "authorization") -> Any:
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return client.options("/datastore/label", headers={"Origin": origin, **asked})


@pytest.mark.parametrize("address", [HERE, ELSEWHERE])
def test_the_preflight_of_a_page_that_is_allowed_needs_no_token(gate: Gate, address: str) -> None:
    reply = preflight(gate.client(address), VIEWER)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == VIEWER
    assert "PUT" in reply.headers["access-control-allow-methods"]
    assert "Authorization" in reply.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in reply.headers
    assert gate.seen == []


def test_the_preflight_of_others_is_refused(gate: Gate) -> None:
    reply = preflight(gate.client(), EVIL)
    assert_refused(gate, reply, 403, EVIL)
    assert "access-control-allow-origin" not in reply.headers


def test_by_default_no_page_is_allowed(tmp_path: Path) -> None:
    gate = Gate(tmp_path)
    assert_refused(gate, preflight(gate.client(), VIEWER), 403, VIEWER)


def test_a_page_that_is_allowed_reads_answers_and_refusals(gate: Gate) -> None:
    token = gate.tokens.add("ann", Role.READER, 1)
    answer = gate.client(ELSEWHERE, token).get("/info/", headers={"Origin": VIEWER})
    refusals = [
        gate.client(ELSEWHERE).get("/info/", headers={"Origin": VIEWER}),
        gate.client(ELSEWHERE, token).post("/train/salt", headers={"Origin": VIEWER}),
        gate.client(ELSEWHERE, token).post("/infer/salt", headers={"Origin": VIEWER}, content=b"x" * (LIMIT + 1)),
    ]
    assert [reply.status_code for reply in (answer, *refusals)] == [200, 401, 403, 413]
    assert {reply.headers["access-control-allow-origin"] for reply in (answer, *refusals)} == {VIEWER}


@pytest.mark.parametrize("origin", ["*", "null", "viewer.hospital.org", "https://*.hospital.org", "https://x/path", ""])
def test_only_whole_origins_can_be_allowed(tmp_path: Path, origin: str) -> None:
    with pytest.raises(ValueError, match="no origin"):
        Gate(tmp_path, origins=(origin,))


def test_an_origin_is_allowed_as_people_write_it(tmp_path: Path) -> None:
    gate = Gate(tmp_path, origins=("https://Viewer.Hospital.org/ ",))
    assert gate.client().get("/", headers={"Origin": VIEWER}).status_code == 200


# Roles

NEEDED = {
    Role.READER: """
        GET /info/, HEAD /datastore/image, OPTIONS /, GET /train/, GET /batch/infer, GET /salt/adapters,
        POST /infer/salt, POST /infer/salt_edit, POST /infer/salt_measure, POST /auth/token, GET /salt/jobs/a,
        DELETE /salt/jobs/a, GET /salt/images, GET /salt/images/a
    """,
    Role.ANNOTATOR: """
        PUT /datastore/label, POST /datastore/label, DELETE /datastore/label, PUT /session/, POST /session/,
        DELETE /session/1, POST /activelearning/first, GET /datastore/dataset, PUT /datastore/image
    """,
    Role.TRAINER: """
        POST /train/salt, DELETE /train/, POST /salt/adapters/0001, PUT /salt/adapters/0001, DELETE /salt/adapters/0001,
        POST /batch/infer/salt, DELETE /batch/infer, POST /scoring/x, DELETE /scoring/, GET /logs/, HEAD /logs/gpu,
        POST /reload, PUT /model/salt, DELETE /model/salt, POST /, POST /new, PATCH /datastore/label, BREW /info/,
        POST /proxy/dicom, POST /inference/salt, PUT /infer/salt, POST /x/infer/salt, PUT /datastores,
        PUT /salt/images/a, DELETE /salt/images/a, DELETE /datastore/image, DELETE /datastore/, DELETE /datastore
    """,
}
REQUESTS = [(role, *request.split()) for role, requests in NEEDED.items() for request in requests.split(",")]


@pytest.mark.parametrize(("role", "method", "path"), REQUESTS)
def test_each_request_needs_its_role(role: Role, method: str, path: str) -> None:
    assert role_needed(method, path) is role


def test_a_second_slash_is_no_way_around_a_role() -> None:
    assert role_needed("GET", "//logs") is Role.TRAINER
    assert role_needed("PUT", "//infer/salt") is Role.TRAINER
    assert role_needed("DELETE", "/salt/jobs/../adapters/0001") is Role.TRAINER
    assert role_needed("POST", "/salt/jobs") is Role.TRAINER


@pytest.mark.parametrize("held", list(Role))
def test_a_token_opens_what_its_role_may_do_and_nothing_else(gate: Gate, held: Role) -> None:
    client = gate.client(ELSEWHERE, gate.tokens.add("ann", held, 1))
    for needed, method, path in REQUESTS:
        gate.seen.clear()
        reply = client.request(method, path)
        assert (reply.status_code == 403) is (held < needed)
        # The toy app itself knows no BREW.
        assert gate.seen == ([(method, path)] if held >= needed and method != "BREW" else [])


def test_a_role_that_is_too_low_is_told_which_is_needed_and_which_is_held(gate: Gate) -> None:
    client = gate.client(token=gate.tokens.add("ann", Role.READER, 1))
    assert_refused(gate, client.put("/datastore/label"), 403, "ann", "annotator", "reader", "PUT /datastore/label")
    assert_refused(gate, client.post("/train/salt"), 403, "trainer", "reader", "POST /train/salt")


# Uploads


def test_a_stranger_may_log_in_and_send_no_more_than_that(tmp_path: Path) -> None:
    gate = Gate(tmp_path, always=True)
    gate.access.largest_upload = 10 * LARGEST_LOGIN
    client = gate.client()
    assert client.post("/auth/token", content=b"x" * LARGEST_LOGIN).status_code == 200
    assert client.post("/auth/token", content=b"x" * (LARGEST_LOGIN + 1)).status_code == 413
    assert client.get("/auth/").status_code == 200
    assert client.post("/auth/").status_code == 401


def test_an_upload_of_the_largest_size_passes(gate: Gate) -> None:
    assert gate.client().put("/datastore/image", content=b"x" * LIMIT).json()["bytes"] == LIMIT


@pytest.mark.parametrize("declared", ["1001", "5000000000", "9" * 5000])
def test_an_upload_that_is_declared_too_large_is_refused_unread(gate: Gate, declared: str) -> None:
    headers = [(b"content-length", declared.encode()), HOST]
    sent, read = call(gate.access, chunks=[b"x"], headers=headers)
    assert (sent[0]["status"], read, gate.seen) == (413, 0, [])
    assert "0.001 MB" in json.loads(sent[1]["body"])["detail"]
    assert "--conf upload_mb" in json.loads(sent[1]["body"])["detail"]


def test_a_chunked_upload_that_is_too_large_is_refused(gate: Gate) -> None:
    reply = gate.client().put("/datastore/image", content=(b"x" * 100 for _ in range(11)))
    assert reply.request.headers["transfer-encoding"] == "chunked"
    assert reply.status_code == 413
    assert "--conf upload_mb" in reply.json()["detail"]
    assert gate.refusals()[-1]["status"] == 413
    assert gate.client().put("/datastore/image", content=(b"x" * 100 for _ in range(10))).json()["bytes"] == LIMIT


@pytest.mark.parametrize("declared", [None, b"10", b"-1", b"0", b"many", b"\xb2", b"0" * 30 + b"1"])
def test_an_upload_ends_where_it_is_too_large_whatever_it_declared(gate: Gate, declared: bytes | None) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 300

    headers = [HOST] + ([] if declared is None else [(b"content-length", declared)])
    sent, read = call(gate.access, chunks=endless(), headers=headers)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (sent[0]["status"], read) == (413, 4)
    assert [(entry["action"], entry["status"]) for entry in gate.refusals()] == [("refused", 413)]


def test_the_app_sees_nothing_of_an_upload_beyond_the_limit(tmp_path: Path) -> None:
    seen: list[Message] = []

    async def curious(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend([await receive() for _ in range(6)])
        # It does not know better.
        await PlainTextResponse("all is well")(scope, receive, send)
        raise RuntimeError("confused")

    sent, _ = call(guarded(tmp_path, curious), chunks=[b"x" * 400] * 9)
    assert [message["type"] for message in seen] == ["http.request"] * 2 + ["http.disconnect"] * 4
    assert [message.get("status") for message in sent] == [413, None]


def test_an_answer_that_has_begun_is_not_begun_again(tmp_path: Path) -> None:
    async def hasty(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    sent, read = call(guarded(tmp_path, hasty), chunks=[b"x" * 400] * 9)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (sent[0]["status"], read) == (200, 3)


def test_errors_of_the_app_are_not_swallowed(tmp_path: Path) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        call(guarded(tmp_path, broken), chunks=[b""])


def test_answers_stream(tmp_path: Path) -> None:
    order: list[str] = []

    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            order.append(f"made {part.decode()}")
            yield part

    def note(message: Message) -> None:
        if message.get("body"):
            order.append(f"sent {message['body'].decode()}")

    call(guarded(tmp_path, StreamingResponse(parts())), chunks=[b""], on_send=note)
    assert order == ["made one", "sent one", "made two", "sent two"]


# Everything else


def test_what_is_refused_is_recorded_with_who_and_how_but_never_a_token(gate: Gate) -> None:
    token = gate.tokens.add("ann", Role.READER, 1)
    gate.client(ELSEWHERE, token).post("/train/salt?image=Doe", headers={"X-Token": token})
    gate.client(ELSEWHERE, token + "x").get("/info/")
    gate.client().post("/train/salt", headers={"Origin": EVIL})
    gate.client(ELSEWHERE, token).post("/infer/" + "x" * 5000, content=b"x" * (LIMIT + 1))
    kept = ("who", "action", "method", "path", "status")
    assert [tuple(entry[key] for key in kept) for entry in gate.refusals()] == [
        ("ann", "refused", "POST", "/train/salt", 403),
        ("unknown", "refused", "GET", "/info/", 401),
        ("unknown", "refused", "POST", "/train/salt", 403),
        ("ann", "refused", "POST", "/infer/" + "x" * 193, 413),
    ]
    assert {(entry["address"], entry["count"]) for entry in gate.refusals()} == {("testclient", 1)}
    text = gate.audit.path.read_text()
    assert token not in text
    assert "Doe" not in text


def test_refusals_that_were_only_counted_are_recorded_when_the_server_stops(gate: Gate) -> None:
    with gate.client(ELSEWHERE) as client:
        for _ in range(5):
            client.get("/info/")
        assert [entry["count"] for entry in gate.refusals()] == [1]
    assert [entry["count"] for entry in gate.refusals()] == [1, 4]


def test_web_sockets_are_refused(gate: Gate) -> None:
    token = gate.tokens.add("ann", Role.TRAINER, 1)
    with pytest.raises(WebSocketDisconnect) as refusal, gate.client(token=token).websocket_connect("/"):
        pass
    assert refusal.value.code == 1008


def test_the_app_starts_and_stops_behind_the_gate(gate: Gate) -> None:
    with gate.client():
        assert gate.started


async def unread() -> Message:
    raise AssertionError("nobody asked for the body")


async def unsent(message: Message) -> None:
    raise AssertionError("nobody answered")


def guarded(folder: Path, app: Callable[[Scope, Receive, Send], Any]) -> Access:
    return Access(app, TokenFile(folder / "tokens.json"), AuditLog(folder / "audit.jsonl"), False, (), LIMIT)


def call(
    app: Access,
    chunks: Any,
    headers: list[tuple[bytes, bytes]] | None = None,
    on_send: Callable[[Message], None] = lambda message: None,
) -> tuple[list[Message], int]:
    """Send a body piece by piece, as a server does; return what was answered and how many pieces were read."""
    sent: list[Message] = []
    left, read = iter(chunks), 0

    async def receive() -> Message:
        nonlocal read
        chunk = next(left, None)
        if chunk is None:
            # A client that has sent everything waits for its answer.
            await asyncio.sleep(60)
        read += 1
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Message) -> None:
        on_send(message)
        sent.append(message)

    asyncio.run(app({**SCOPE, "headers": [HOST] if headers is None else headers}, receive, send))
    return sent, read
