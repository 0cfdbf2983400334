"""What the card of a version says, of which nothing is taken on trust: it may come from elsewhere or be damaged."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from salt_monailabel.versions import VersionStore

State = Literal["base", "promoted", "refused", "imported", "unjudged", "damaged"]


class Score(NamedTuple):
    """Mean Dice and mean clDice on held-back labels."""

    dice: float
    cl_dice: float


@dataclass(frozen=True)
class Version:
    """A version and what became of it.

    Attributes
    ----------
    name : str
    state : str
        `promoted` or `refused` by its score; `unjudged` if its card says neither.
    in_use : bool
    parent : str, optional
        The version it was trained on from; None for the base, or if that is not known.
    origin : str
        What it was called where it was imported from.
    before, after : Score, optional
        Of the version in use until then and of this one, on the same labels; None if this was not measured here.
    rule : str
        How these labels were held back.
    seconds : float, optional
        What its training took.
    created, asked_by, mode, images : str
        As the card has them; empty if it does not.
    """

    name: str
    state: State
    in_use: bool = False
    parent: str | None = None
    origin: str = ""
    before: Score | None = None
    after: Score | None = None
    rule: str = ""
    seconds: float | None = None
    created: str = ""
    asked_by: str = ""
    mode: str = ""
    images: str = ""


def read_versions(store: VersionStore) -> list[Version]:
    """Return all versions, oldest first; one whose file cannot be used has the state `damaged`."""
    current = store.current()
    return [_read(store, name, name == current) for name in store.versions()]


def without_people(version: Version) -> Version:
    """Return a version without who asked for it and what it was called elsewhere; the year is left of the date."""
    origin = version.origin if version.origin.isdecimal() else "a file"
    return replace(version, asked_by="", created=version.created[:4], origin=origin)


def moment(time: str) -> datetime:
    """Return a time in ISO 8601, taken for local time if it names no zone; the earliest there is if it is none."""
    try:
        # Python 3.10 does not know the Z.
        return datetime.fromisoformat(time.replace("Z", "+00:00")).astimezone()
    except (ValueError, OverflowError):
        return datetime.min.replace(tzinfo=timezone.utc)


def _read(store: VersionStore, name: str, in_use: bool) -> Version:
    try:
        card = store.card(name)
        created, asked_by = _text(card, "created"), _text(card, "asked_by")
        if "taken_in_from" in card:
            # The scores and seconds it brings with it are those of other labels and another machine.
            origin = _text(card, "taken_in_from")
            return Version(name, "imported", in_use, origin=origin, created=created, asked_by=asked_by)
        training = card.get("training") or {}
        judged = training.get("held_back")
        promoted = training.get("promoted")
        if judged and not judged["after"].get("answers", True):
            judged = promoted = None
        return Version(
            name,
            "unjudged" if promoted is None else "promoted" if promoted else "refused",
            in_use,
            parent=_text(card, "parent") or None,
            before=_score(judged["before"]) if judged else None,
            after=_score(judged["after"]) if judged else None,
            rule=_text(judged, "rule") if judged else "",
            seconds=_number(training["seconds"], math.inf) if "seconds" in training else None,
            created=created,
            asked_by=asked_by,
            mode=_text(training, "mode"),
            images=_text(training, "images"),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OSError):
        return Version(name, "damaged", in_use)


def _text(card: dict[str, Any], key: str) -> str:
    value = card.get(key)
    return "" if value is None else str(value)


def _score(score: dict[str, Any]) -> Score:
    return Score(_number(score["dice"], 1), _number(score["cl_dice"], 1))


def _number(value: Any, most: float) -> float:
    number = float(value)
    if not 0 <= number <= most or math.isinf(number):
        raise ValueError(f"{value} is not a finite number from 0 to {most}")
    return number
