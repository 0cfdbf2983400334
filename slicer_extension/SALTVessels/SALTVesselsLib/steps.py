"""Long work in steps: a generator that yields wherever it may pause, and returns what comes of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")
# Calls a function after so many seconds, on this thread.
Later = Callable[[float, Callable[[], None]], None]
# Seconds that are worked without a pause; no eye sees one of that length.
PIECE = 0.008
# Seconds between two pieces: with none, Qt lets two of them follow each other before anything else has its turn.
BREATH = 0.001


def at_once(steps: Generator[Any, None, T]) -> T:
    """Do all steps without a pause, and return what comes of them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def in_pieces(
    steps: Generator[Any, None, T], later: Later, done: Callable[[T], None], wanted: Callable[[], bool]
) -> None:
    """Do the steps, from later on, in pieces between which the application breathes.

    Parameters
    ----------
    steps : generator
    later : callable
    done : callable
        Given what comes of the steps.
    wanted : callable
        Asked before each piece; the steps end where it says no, and nothing comes of them.
    """

    def go_on() -> None:
        if not wanted():
            steps.close()
            return
        end = time.perf_counter() + PIECE
        try:
            while time.perf_counter() < end:
                next(steps)
        except StopIteration as result:
            done(result.value)
        else:
            later(BREATH, go_on)

    later(0, go_on)
