"""What the panel says of a training, and of what waits."""

from __future__ import annotations

from typing import Any

import pytest
from SALTVesselsLib.answers import TrainingEvent
from SALTVesselsLib.workflow.words import waiting_words, words_of


def done(why_not: str, answers: int = 3, after: float = 0.7, skipped: tuple[str, ...] = ()) -> TrainingEvent:
    judged: dict[str, Any] = {
        "before": {"dice": 0.71},
        "after": {"dice": after, "answers": answers},
        "tolerance": 0.005,
    }
    stats = {"version": "0004", "promoted": not why_not, "why_not": why_not, "held_back": judged, "skipped": skipped}
    return TrainingEvent.read({"event": "done", "detail": "", "stats": stats})


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (done(""), ["0.710 to 0.700. Most of them are not worse. Version 0004 is in use"]),
        (done("", after=0.707), ["0.710 to 0.707. So small a difference does not count. Version 0004 is in use"]),
        (done("", after=0.72), ["0.710 to 0.720. Version 0004 is in use"]),
        (
            done("", skipped=("a is damaged", "b is moved")),
            ["in use now. Left out: a is damaged. Left out: b is moved."],
        ),
        (done("it is worse"), ["0.710 to 0.700", "0004 is not used: it is worse."]),
        (done("there was none", answers=0), ["0004 is not used", "choose it below and press Use"]),
        (TrainingEvent("error", detail="the disk is full"), ["Nothing was learned: the disk is full"]),
        (TrainingEvent("stopped"), ["Learning was stopped"]),
    ],
)
def test_what_came_of_a_training_is_told_with_its_reason(event: TrainingEvent, said: list[str]) -> None:
    words = words_of(event)
    assert all(part in words for part in said), words


@pytest.mark.parametrize(
    ("here", "elsewhere", "said"),
    [
        (0, {}, ""),
        (1, {}, "1 outline waits to be sent."),
        (2, {}, "2 outlines wait to be sent."),
        (0, {"http://a": 1}, "1 outline waits for http://a, and is sent when you connect to it."),
        (
            1,
            {"http://a": 2, "another server": 1},
            "1 outline waits to be sent. 2 outlines wait for http://a, and are sent when you connect to it. "
            "1 outline waits for another server, and is sent when you connect to it.",
        ),
    ],
)
def test_what_waits_is_told_with_its_server(here: int, elsewhere: dict[str, int], said: str) -> None:
    assert waiting_words(here, elsewhere) == said
