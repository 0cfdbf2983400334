"""What the panel says of a training."""

from __future__ import annotations

from typing import Any

import pytest
from SALTVesselsLib.answers import TrainingEvent
from SALTVesselsLib.workflow.words import words_of


def done(why_not: str, answers: int = 3) -> TrainingEvent:
    judged: dict[str, Any] = {"before": {"dice": 0.71}, "after": {"dice": 0.7, "answers": answers}}
    stats = {"version": "0004", "promoted": not why_not, "why_not": why_not, "held_back": judged}
    return TrainingEvent.read({"event": "done", "detail": "", "stats": stats})


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (done(""), ["0.710 to 0.700", "Version 0004 is in use"]),
        (done("it is worse"), ["0.710 to 0.700", "0004 is not used: it is worse."]),
        (done("there was none", answers=0), ["0004 is not used", "choose it below and press Use"]),
        (TrainingEvent("error", detail="the disk is full"), ["Nothing was learned: the disk is full"]),
        (TrainingEvent("stopped"), ["Learning was stopped"]),
    ],
)
def test_what_came_of_a_training_is_told_with_its_reason(event: TrainingEvent, said: list[str]) -> None:
    words = words_of(event)
    assert all(part in words for part in said), words
