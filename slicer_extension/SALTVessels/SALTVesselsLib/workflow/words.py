"""What the server's figures are in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..answers import TrainingEvent, Version

BASE = "base"


def called(version: str) -> str:
    """Return what a version is called."""
    return "the model as it was delivered" if version == BASE else f"version {version}"


def waiting_words(here: int, elsewhere: Mapping[str, int]) -> str:
    """Return how many outlines wait for the server connected to, and how many for others, by what those are called."""
    said = []
    if here:
        said.append("1 outline waits to be sent." if here == 1 else f"{here} outlines wait to be sent.")
    for server, count in elsewhere.items():
        waits, is_sent = ("1 outline waits", "is sent") if count == 1 else (f"{count} outlines wait", "are sent")
        said.append(f"{waits} for {server}, and {is_sent} when you connect to it.")
    return " ".join(said)


def words_of(event: TrainingEvent) -> str:
    """Return what came of a training, in words."""
    if event.kind == "stopped":
        return "Learning was stopped. Nothing has changed; the outlines that were submitted stay."
    if event.kind != "done":
        return f"Nothing was learned: {event.detail}"
    stats = event.stats
    if not stats["held_back"]["after"]["answers"]:
        return (
            f"Version {stats['version']} is not used, since no vessel was held back to judge it by. To try it, choose "
            "it below and press Use."
        )
    before, after = (_dice(stats, which) for which in ("before", "after"))
    said = [f"On outlines that were held back from learning, Dice went from {before:.3f} to {after:.3f}."]
    if not stats["promoted"]:
        said.append(f"Version {stats['version']} is not used: {stats['why_not']}.")
    else:
        if after < before:
            small = before - after <= stats["held_back"].get("tolerance", 0.0)
            said.append("So small a difference does not count." if small else "Most of them are not worse.")
        said.append(f"Version {stats['version']} is in use now.")
    said += [f"Left out: {why}." for why in stats.get("skipped", ())]
    return " ".join(said)


def _dice(stats: dict[str, Any], which: str) -> float:
    return float(stats["held_back"][which]["dice"])


def line_of(version: Version, current: str) -> str:
    """Return a version as one line of a list."""
    mark = "● " if version.name == current else ""
    if version.damaged:
        return f"{mark}{version.name} (damaged)"
    held_back = version.training.get("held_back")
    dice = f", Dice {held_back['after']['dice']:.3f}" if held_back else ""
    return f"{mark}{version.name}{dice}"
