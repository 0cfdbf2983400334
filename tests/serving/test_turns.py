"""Turns are given in the order of asking, in one thread, and whoever learns in the background hears of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from salt_monailabel.serving import turns as module
from salt_monailabel.serving.turns import Turns


def ask(turns: Turns, work: Callable[[], object]) -> threading.Thread:
    """Ask for a turn from a thread of its own; return it once it has asked, be it answered or not."""
    asked = turns._asked
    thread = threading.Thread(target=turns.run, args=(work,))
    thread.start()
    while turns._asked == asked and thread.is_alive():
        time.sleep(0.001)
    return thread


def test_turns_are_given_in_the_order_of_asking() -> None:
    turns, order = Turns(), []
    opened = threading.Event()
    waiting = [
        ask(turns, opened.wait),
        *(ask(turns, lambda number=number: order.append(number)) for number in range(8)),
    ]
    opened.set()
    for thread in waiting:
        thread.join()
    assert order == list(range(8))


def test_one_who_takes_turn_after_turn_keeps_nobody_waiting() -> None:
    turns, opened, served = Turns(), threading.Event(), threading.Event()
    waiting = [ask(turns, opened.wait), ask(turns, served.set)]
    opened.set()
    assert turns.run(served.is_set)
    for thread in waiting:
        thread.join()


def test_all_work_is_done_in_one_thread() -> None:
    turns, threads = Turns(), []
    for _ in range(3):
        ask(turns, lambda: threads.append(threading.get_ident())).join()
    turns.run(lambda: threads.append(threading.get_ident()))
    assert len(threads) == 4
    assert len(set(threads)) == 1


def test_others_hear_once_that_there_is_work_and_once_that_there_is_none() -> None:
    heard: list[bool] = []
    turns = Turns(heard.append)
    assert turns.run(heard.copy) == [True]
    assert heard == [True, False]


def test_a_turn_ends_with_an_error_too() -> None:
    heard: list[bool] = []
    turns = Turns(heard.append)
    with pytest.raises(ZeroDivisionError):
        turns.run(lambda: 1 / 0)
    assert turns.run(lambda: 1) == 1
    assert heard == [True, False] * 2


def test_what_nobody_waits_for_is_done_once_users_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", 1.0)
    turns, order = Turns(), []
    assert turns.aside(lambda: "at once") == "at once"
    turns.run(lambda: order.append("click"))
    aside = threading.Thread(target=turns.aside, args=(lambda: order.append("aside"),))
    aside.start()
    for _ in range(5):
        time.sleep(0.1)
        turns.run(lambda: order.append("click"))
    assert order == 6 * ["click"]
    aside.join(10)
    assert order[-1] == "aside"


def test_users_who_never_rest_do_not_put_it_off_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUIET", 60.0)
    monkeypatch.setattr(module, "PUT_OFF", 0.2)
    turns = Turns()
    turns.run(lambda: None)
    begun = time.monotonic()
    assert turns.aside(lambda: True)
    assert time.monotonic() - begun < 30
