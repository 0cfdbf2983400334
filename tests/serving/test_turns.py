"""Turns are given in the order of asking, and whoever learns in the background hears of them."""

from __future__ import annotations

import threading
import time

import pytest

from salt_monailabel.serving.turns import Turns


def test_turns_are_given_in_the_order_of_asking() -> None:
    turns, order = Turns(), []

    def ask(number: int) -> None:
        with turns.take():
            order.append(number)

    with turns.take():
        waiting = []
        for number in range(8):
            waiting.append(threading.Thread(target=ask, args=(number,)))
            waiting[-1].start()
            while len(turns._queue) < number + 2:
                time.sleep(0.001)
    for thread in waiting:
        thread.join()
    assert order == list(range(8))


def test_one_who_takes_turn_after_turn_keeps_nobody_waiting() -> None:
    turns, served = Turns(), threading.Event()

    def click() -> None:
        with turns.take():
            served.set()

    with turns.take():
        thread = threading.Thread(target=click)
        thread.start()
        while len(turns._queue) < 2:
            time.sleep(0.001)
    with turns.take():
        assert served.is_set()
    thread.join()


def test_others_hear_once_that_a_turn_is_taken_and_once_that_none_is() -> None:
    heard: list[bool] = []
    turns = Turns(heard.append)
    with turns.take():
        assert heard == [True]
    assert heard == [True, False]


def test_a_turn_ends_with_an_error_too() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="no image"), turns.take():
        raise ValueError("no image")
    with turns.take():
        pass
