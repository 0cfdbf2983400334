"""Whatever a server does wrong becomes a problem that a radiologist can read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
import pytest
from conftest import Carrier
from faulty_server import Act, Faulty, body_of, cut, error_page, hang, json_of, no_json, trickle, unauthorized
from hypothesis import given
from hypothesis import strategies as st
from salt_server import free_port
from SALTVesselsLib import calls, images_client, outlines_client
from SALTVesselsLib.answers import EditRequest, Problem
from SALTVesselsLib.client import Client
from SALTVesselsLib.events import EventStream
from SALTVesselsLib.multipart import encode
from SALTVesselsLib.outlines_client import measuring
from SALTVesselsLib.pixels import Picture, mask_to_nrrd, to_nrrd

SHAPE = (1, 4, 5)
INFO = {"name": "SALT", "labels": ["vessel"], "models": {"salt": {}, "salt_edit": {}}, "strategies": {}, "adapter": "1"}
EDIT = EditRequest("vessel", mask_to_nrrd(np.zeros(SHAPE, np.uint8)), foreground=((1, 2, 0),))


def outline(mask: np.ndarray, **changes: object) -> Act:
    params = {"label_names": {"vessel": 1}, "version": "base", "stopped": False, **changes}
    body, kind = encode({"params": json.dumps(params), "image": ("mask.nrrd", mask_to_nrrd(mask))})
    return body_of(200, body, kind)


def only_params() -> Act:
    body, kind = encode({"params": "{}"})
    return body_of(200, body, kind)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for the real time-outs."""
    for module in (images_client, outlines_client):
        for name in {"INFO", "CLICK", "TRANSFER", "WHOLE"} & vars(module).keys():
            monkeypatch.setattr(module, name, 1.0)


@pytest.mark.parametrize(
    ("act", "kind", "said"),
    [
        (hang, "timeout", "has been silent for 1 seconds"),
        (cut, "interrupted", "broke before the whole answer"),
        (error_page, "server", "HTTP 500"),
        (json_of(503, {"detail": "the weights are gone; put them back"}), "server", "The weights are gone; put them b"),
        (json_of(400, {"detail": "the click is outside"}), "refused", "The click is outside."),
        (json_of(422, {"detail": [{"loc": ["a"], "msg": "field required"}]}), "refused", "Field required."),
        (json_of(422, {"detail": [{"loc": ["a"]}, None]}), "refused", "HTTP 422"),
        (body_of(404, b"<html>", "text/html"), "refused", "HTTP 404"),
        (unauthorized, "token", "The token is wrong, revoked or expired; ask whoever"),
        (body_of(401, b"", "text/plain"), "token", "lets in only those with a valid token; enter yours."),
        (no_json, "nonsense", "cannot be used"),
        (body_of(200, b"<html>Log in</html>", "text/html"), "nonsense", "cannot be used"),
        (json_of(200, {**INFO, "models": {"spleen": {}}}), "nonsense", "another MONAI Label app"),
        (json_of(200, {**INFO, "models": None}), "nonsense", "cannot be used"),
        (json_of(200, {**INFO, "labels": 1}), "nonsense", "cannot be used"),
        (json_of(200, [1]), "nonsense", "cannot be used"),
        (body_of(302, b"", "text/plain", Location="https://login.example"), "nonsense", "https://login.example"),
    ],
)
def test_a_fault_is_explained(carrier: Carrier, faulty: Faulty, act: Act, kind: str, said: str) -> None:
    faulty.at("/info/", act)
    problem = carrier.ask(Client(carrier.transport, faulty.address).info)
    assert isinstance(problem, Problem)
    assert (problem.kind, said in problem.message) == (kind, True), problem.message
    assert faulty.address in problem.message
    assert "Traceback" not in problem.message
    assert problem.lost == (kind in ("timeout", "interrupted", "server"))


def test_an_address_where_nobody_is_can_be_checked(carrier: Carrier) -> None:
    address = f"127.0.0.1:{free_port()}/"
    problem = carrier.ask(Client(carrier.transport, address).info)
    assert (problem.kind, problem.lost) == ("unreachable", True)
    assert problem.message == (
        f"http://{address[:-1]} cannot be reached. Check the address, and that the server is running."
    )


def test_an_answer_that_trickles_in_is_an_answer(carrier: Carrier, faulty: Faulty) -> None:
    # Longer than the time-out in all.
    body = json.dumps(INFO, separators=(",", ":")).encode()
    faulty.at("/info/", trickle(body, 1.5 / len(body)))
    started = time.monotonic()
    info = carrier.answer(Client(carrier.transport, faulty.address).info)
    assert (info.labels, info.version, time.monotonic() - started > 1.2) == (("vessel",), "1", True)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (outline(np.zeros((1, 5, 4))), "1 x 5 x 4 pixels and its image 1 x 4 x 5"),
        (outline(np.full(SHAPE, 2)), "the value 2"),
        (only_params(), ""),
        (json_of(200, {"label_names": {}}), ""),
        (body_of(200, b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"), ""),
    ],
)
@pytest.mark.parametrize("model", ["salt", "salt_edit"])
def test_a_mask_that_cannot_be_meant_is_nonsense(
    requests_carrier: Carrier, faulty: Faulty, act: Act, said: str, model: str
) -> None:
    faulty.at(f"/infer/{model}", act)
    client = Client(requests_carrier.transport, faulty.address)
    asked = (client.segment, "a") if model == "salt" else (client.correct, "a", EDIT)
    problem = requests_carrier.ask(*asked, shape=SHAPE)
    assert isinstance(problem, Problem)
    assert (problem.kind, said in problem.message) == ("nonsense", True), problem.message


def test_a_mask_of_which_nobody_knows_what_it_marks_is_nonsense(requests_carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/infer/salt", outline(np.zeros(SHAPE), label_names=None))
    client = Client(requests_carrier.transport, faulty.address)
    assert requests_carrier.ask(client.segment, "a", shape=SHAPE).kind == "nonsense"


def test_an_image_that_is_damaged_is_nonsense(requests_carrier: Carrier, faulty: Faulty) -> None:
    file = to_nrrd(Picture(np.zeros(SHAPE), np.eye(4), "a"))
    faulty.at("/salt/images/a", body_of(200, file[:-7], "application/octet-stream"))
    assert requests_carrier.ask(Client(requests_carrier.transport, faulty.address).fetch_image, "a").kind == "nonsense"


@pytest.mark.parametrize(
    ("stream", "kind", "heard"),
    [
        (b'data: {"event": "step", "step": 1, "share": 0.1, "loss": 0.5, "dice": 0.7}\n\n', "interrupted", 1),
        (b"data: {}\n\n", "nonsense", 0),
        (b"data: <html>\n\n", "nonsense", 0),
        (b"data: 7\n\n", "nonsense", 0),
    ],
)
def test_a_training_whose_end_is_not_heard_of_is_a_problem(
    carrier: Carrier, faulty: Faulty, stream: bytes, kind: str, heard: int
) -> None:
    faulty.at("/salt/train/events", body_of(200, stream, "text/event-stream"))
    events: list[object] = []
    problem = carrier.ask(Client(carrier.transport, faulty.address).follow_training, events.append)
    assert (problem.kind, len(events)) == (kind, heard)


def test_a_training_that_never_was_is_refused_in_the_servers_words(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/salt/train/events", json_of(404, {"detail": "nothing was trained yet"}))
    problem = carrier.ask(Client(carrier.transport, faulty.address).follow_training, print)
    assert (problem.kind, "Nothing was trained yet." in problem.message) == ("refused", True)


STREAM = (
    b": still learning\n\nevent: step\n"
    b'data: {"event": "step", "step": 3, "share": 0.25, "loss": 0.5, "dice": 0.75}\n\n'
    b'event: done\ndata: {"event": "done", "detail": "version 0001, in use", "stats": {"version": "0001"}}\n\n'
)


def test_a_training_is_followed_to_its_end(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/salt/train/events", trickle(STREAM, 0.002, "text/event-stream"))
    events: list = []
    client = Client(carrier.transport, faulty.address)
    assert carrier.answer(client.follow_training, events.append) is None
    assert [event.kind for event in events] == ["step", "done"]
    step, end = events
    assert (step.step, step.share, step.loss, step.dice, step.ends) == (3, 0.25, 0.5, 0.75, False)
    assert (end.detail, end.stats, end.ends) == ("version 0001, in use", {"version": "0001"}, True)


def test_who_hears_of_an_event_may_stop_listening(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/salt/train/events", body_of(200, STREAM, "text/event-stream"))
    heard: list = []

    def first(event: object) -> None:
        heard.append(event)
        ticket.cancel()

    client = Client(carrier.transport, faulty.address)
    ticket = client.follow_training(first, heard.append, heard.append)
    carrier.until(lambda: heard)
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        carrier.turn()
    assert len(heard) == 1


@given(st.lists(st.integers(0, len(STREAM))))
def test_a_stream_is_put_together_wherever_it_is_cut(cuts: list[int]) -> None:
    ends = [*sorted(cuts), len(STREAM)]
    stream = EventStream()
    events = [event for begin, end in zip([0, *ends], ends, strict=False) for event in stream.feed(STREAM[begin:end])]
    assert [event["event"] for event in events] == ["step", "done"]


def test_any_token_reaches_the_server(carrier: Carrier, faulty: Faulty) -> None:
    faulty.at("/info/", unauthorized)
    assert carrier.ask(Client(carrier.transport, faulty.address, "“ä”").info).kind == "token"
    assert faulty.seen[0].headers["authorization"].encode("latin-1").decode() == "Bearer “ä”"


@pytest.mark.parametrize("token", ["secret", " secret\n"])
def test_the_token_goes_with_every_request(requests_carrier: Carrier, faulty: Faulty, token: str) -> None:
    client = Client(requests_carrier.transport, f" {faulty.address}/ ", token)
    requests_carrier.ask(client.info)
    requests_carrier.ask(client.segment, "a", shape=SHAPE)
    requests_carrier.ask(client.follow_training, print)
    assert [seen.headers["authorization"] for seen in faulty.seen] == ["Bearer secret"] * 3


def test_without_a_token_none_is_sent(requests_carrier: Carrier, faulty: Faulty) -> None:
    requests_carrier.ask(Client(requests_carrier.transport, faulty.address).info)
    assert "authorization" not in faulty.seen[0].headers


NAME = "Gefäß 1/2?a&b=#%41"
IN_PATH = "Gef%C3%A4%C3%9F%201%2F2%3Fa%26b%3D%23%2541"


@pytest.mark.parametrize(
    ("ask", "path"),
    [
        (lambda c: (c.next_image, NAME), f"/activelearning/{IN_PATH}"),
        (lambda c: (c.fetch_image, NAME), f"/salt/images/{IN_PATH}"),
        (lambda c: (c.job, NAME), f"/salt/jobs/{IN_PATH}"),
        (lambda c: (c.stop_job, NAME), f"/salt/jobs/{IN_PATH}"),
        (lambda c: (c.promote, NAME), f"/salt/adapters/{IN_PATH}/promote"),
        (lambda c: (c.correct, NAME, EDIT), f"/infer/salt_edit?image={IN_PATH}&output=all"),
        (lambda c: (c.fetch_label, NAME), f"/datastore/label?label={IN_PATH}&tag=final"),
        (lambda c: (c.submit, NAME, EDIT.mask, {"vessel": 1}), f"/datastore/label?image={IN_PATH}&tag=final"),
    ],
)
def test_any_name_reaches_the_server(
    carrier: Carrier, faulty: Faulty, ask: Callable[[Client], tuple], path: str
) -> None:
    method, *arguments = ask(Client(carrier.transport, faulty.address))
    options = {"shape": SHAPE} if method.__name__ in ("correct", "fetch_label") else {}
    carrier.ask(method, *arguments, **options)
    assert [seen.path for seen in faulty.seen] == [path]


def test_a_time_out_fits_its_request() -> None:
    assert calls.INFO < calls.CLICK < calls.TRANSFER < calls.WHOLE
    assert measuring((1, 584, 565)) == calls.MEASURE == measuring((1, 8, 8))
    assert 200 < measuring((1, 2336, 3504)) < 300
    # The server's stream says something every 15 seconds.
    assert calls.STREAM > 30
