"""Of requests that follow each other, only the newest is heard."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np
from conftest import Carrier
from faulty_server import Faulty, Handler
from SALTVesselsLib.answers import EditRequest
from SALTVesselsLib.client import Client
from SALTVesselsLib.jobs import Latest, Poll
from SALTVesselsLib.multipart import decode, encode
from SALTVesselsLib.pixels import mask_to_nrrd

SHAPE = (1, 40, 50)


class Line:
    """A request of which nobody knows when it is answered; cancelling it does nothing."""

    def __init__(self) -> None:
        self.callbacks: list[Callable[..., None]] = []
        self.cancelled: list[int] = []

    def send(self, callback: Callable[..., None]) -> Line.Sent:
        self.callbacks.append(callback)
        return Line.Sent(self, len(self.callbacks) - 1)

    class Sent:
        def __init__(self, line: Line, number: int) -> None:
            self.line, self.number = line, number

        def cancel(self) -> None:
            self.line.cancelled.append(self.number)


def test_a_late_reply_is_dropped_even_if_it_was_cancelled_in_vain() -> None:
    latest, line, heard = Latest(), Line(), []
    latest.start("click", lambda only: line.send(only(heard.append)))
    latest.start("click", lambda only: line.send(only(heard.append)))
    assert line.cancelled == [0]
    line.callbacks[1]("new")
    line.callbacks[0]("old")
    assert heard == ["new"]


def test_requests_with_other_keys_go_on() -> None:
    latest, line, heard = Latest(), Line(), []
    latest.start("left", lambda only: line.send(only(heard.append)))
    latest.start("right", lambda only: line.send(only(heard.append)))
    line.callbacks[0]("left")
    line.callbacks[1]("right")
    assert (heard, line.cancelled) == (["left", "right"], [])


def test_after_a_cancel_nothing_is_heard() -> None:
    latest, line, heard = Latest(), Line(), []
    for key in ("left", "right", "middle"):
        latest.start(key, lambda only: line.send(only(heard.append)))
    latest.cancel("left")
    latest.cancel("left")
    latest.cancel_all()
    assert sorted(line.cancelled) == [0, 1, 2]
    for callback in line.callbacks:
        callback("late")
    assert heard == []


def test_an_answer_may_start_the_next_request() -> None:
    latest, line, heard = Latest(), Line(), []

    def again(word: str) -> None:
        heard.append(word)
        latest.start("click", lambda only: line.send(only(heard.append)))

    latest.start("click", lambda only: line.send(only(again)))
    line.callbacks[0]("first")
    line.callbacks[1]("second")
    assert heard == ["first", "second"]


def test_of_thirty_rapid_clicks_the_last_is_answered_and_no_other(carrier: Carrier, faulty: Faulty) -> None:
    def follow(handler: Handler) -> None:
        params = json.loads(decode(handler.seen.body, handler.seen.headers["content-type"])["params"])
        ((i, j, k),) = params["foreground"]
        mask = np.zeros(SHAPE, np.uint8)
        mask[k, j, i] = 1
        time.sleep(0.1)
        told = json.dumps({"label_names": {"vessel": 1}, "version": "base", "stopped": False})
        body, kind = encode({"params": told, "image": ("mask.nrrd", mask_to_nrrd(mask))})
        handler.reply(200, body, kind)

    faulty.at("/infer/salt_edit", follow)
    client, latest, heard = Client(carrier.transport, faulty.address), Latest(), []
    for i in range(30):
        edit = EditRequest("vessel", foreground=((i, 3, 0),))
        latest.start("click", lambda only, edit=edit: client.correct("a", edit, *[only(heard.append)] * 2, shape=SHAPE))
        carrier.turn()
    carrier.until(lambda: heard)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        carrier.turn()
    (answer,) = heard
    assert np.argwhere(answer.mask).tolist() == [[0, 3, 29]]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.planned: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.planned.append((self.now + seconds, call))

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        due = [call for when, call in self.planned if when <= self.now]
        self.planned = [(when, call) for when, call in self.planned if when > self.now]
        for call in due:
            call()


def test_a_poll_asks_again_a_while_after_each_answer() -> None:
    clock, line = Clock(), Line()
    poll = Poll(line.send, clock.later, 0.5)
    poll.start()
    clock.pass_by(10)
    assert len(line.callbacks) == 1, "it must not ask again before it was answered"
    line.callbacks[0]()
    clock.pass_by(0.4)
    assert len(line.callbacks) == 1
    clock.pass_by(0.2)
    assert len(line.callbacks) == 2


def test_a_poll_that_was_stopped_asks_no_more() -> None:
    clock, line = Clock(), Line()
    poll = Poll(line.send, clock.later, 0.5)
    poll.start()
    line.callbacks[0]()
    poll.stop()
    clock.pass_by(1)
    poll.start()
    poll.stop()
    line.callbacks[1]()
    clock.pass_by(1)
    assert (len(line.callbacks), line.cancelled) == (2, [0, 1])


def test_a_poll_that_is_started_anew_asks_once_at_a_time() -> None:
    clock, line = Clock(), Line()
    poll = Poll(line.send, clock.later, 0.5)
    poll.start()
    line.callbacks[0]()
    poll.start()
    clock.pass_by(1)
    assert len(line.callbacks) == 2


def test_an_answer_may_stop_its_poll() -> None:
    clock, line = Clock(), Line()
    poll = Poll(lambda again: line.send(lambda: (poll.stop(), again())), clock.later, 0.5)
    poll.start()
    line.callbacks[0]()
    clock.pass_by(1)
    assert len(line.callbacks) == 1
