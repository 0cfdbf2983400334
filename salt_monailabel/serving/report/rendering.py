"""A page about how the model has learned in one folder of studies, for whoever asks whether it was worth it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from salt_monailabel.imaging import difference, overlay, to_rgb
from salt_monailabel.imaging.burned_in import BurnedIn

from . import charts
from .cards import Version, moment, read_versions, without_people
from .lineage import tree
from .page import figure, page, table

if TYPE_CHECKING:
    from salt_monailabel.versions import VersionStore

HEADING = "How the model has learned"
THUMBNAIL = 480
# Cases shown of the best and of the worst, and corrected images compared at the beginning and at the end.
SHOWN, COMPARED = 3, 5
# On a page that stays in the house, and on one that may leave it.
CARE = (
    "These are pictures of patients: pass on what `salt report` writes, not this page.",
    "These are pictures of patients, without their names.",
)
WARNINGS: dict[BurnedIn, str] = {
    "no": "",
    "suspected": '<p class="note">There seems to be text in the pixels: look before you pass it on.</p>',
    "yes": '<p class="note">Text is burned into this image, as its file says: its pictures must not be passed on.</p>',
}
STYLE = """
 .tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: .75rem; margin: 1.5rem 0 }
 .tile { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem; break-inside: avoid }
 .tile b { display: block; font-size: 1.25rem; white-space: nowrap }
 .tile span { color: var(--soft); font-size: .85rem }
 .row { grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)) } table { font-size: .9rem }
 h2 { margin-top: 2.5rem } h4 { margin: 1rem 0 0; overflow-wrap: anywhere } body { max-width: 64rem }
 @media screen { td:not(:last-child), th { white-space: nowrap } }
"""


@dataclass(frozen=True)
class Effort:
    """What it took to correct one image.

    Attributes
    ----------
    image : str
    time : str
        When the label was submitted, in ISO 8601.
    changed, vessel : int
        Pixels in which the label differs from the outline that was proposed, and its vessel pixels.
    version : str
        What proposed the outline; empty for the base.
    """

    image: str
    time: str
    changed: int
    vessel: int
    version: str

    @property
    def share(self) -> float | None:
        """Changed pixels per vessel pixel; None where there is no vessel."""
        return self.changed / self.vessel if self.vessel else None


@dataclass(frozen=True)
class Case:
    """A held-back image as the version in use outlines it.

    Attributes
    ----------
    name : str
    image : ndarray of uint8, (H, W, 1) or (H, W, 3)
    truth, found : ndarray of bool, (H, W)
    dice, cl_dice : float
    text : {"no", "suspected", "yes"}
        Whether there is text in its pixels.
    """

    name: str
    image: np.ndarray
    truth: np.ndarray
    found: np.ndarray
    dice: float
    cl_dice: float
    text: BurnedIn = "no"


def render(
    title: str,
    store: VersionStore,
    efforts: Sequence[Effort],
    cases: Sequence[Case],
    labelled: int,
    shared: bool = False,
) -> str:
    """Return the report as one HTML page, which needs no other file.

    Parameters
    ----------
    title : str
        What it is about, such as the folder's name.
    store : VersionStore
        A damaged version is named as such; the others are shown all the same.
    efforts : sequence of Effort
        In any order.
    cases : sequence of Case
        The best and the worst of them are shown.
    labelled : int
        How many images have a final label.
    shared : bool
        Whether the page may leave the house: who asked for a version and when is left out, and so are the pictures of
        images that say text is burned into them.
    """
    versions = read_versions(store)
    if shared:
        versions = [without_people(version) for version in versions]
    efforts = sorted(efforts, key=lambda effort: moment(effort.time))
    parts = [f"<h1>{HEADING}</h1>", f"<p>{escape(title)}</p>", _headline(versions, labelled)]
    sections = (_learning(versions), _effort(efforts), _versions(versions), _cases(cases, shared))
    parts += [part for section in sections for part in section]
    return page(f"{HEADING}: {title}", "\n".join(parts), charts.STYLE + STYLE)


def _headline(versions: Sequence[Version], labelled: int) -> str:
    using = next((version for version in versions if version.in_use), None)
    first = next((version.before for version in versions if version.before), None)
    states = [version.state for version in versions]
    told = [f"{states.count(state)} {state}" for state in ("refused", "imported", "damaged") if state in states]
    tiles = [
        (str(labelled), "label given" if labelled == 1 else "labels given"),
        (str(len(versions)), ", ".join(["version" if len(versions) == 1 else "versions", *told])),
        (using.name if using else "base", "is in use"),
    ]
    if first:
        now = using.after if using else None
        dice, cl_dice = (f"{now.dice:.3f}", f"{now.cl_dice:.3f}") if now else ("?", "?")
        what = "at first → in use, on the labels held back at the time"
        tiles += [
            (f"{first.dice:.3f} → {dice}", f"Dice {what}"),
            (f"{first.cl_dice:.3f} → {cl_dice}", f"clDice {what}"),
        ]
    if seconds := [version.seconds for version in versions if version.seconds is not None]:
        tiles.append((f"{statistics.median(seconds):.0f} s", "for one training (median)"))
    shown = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(what)}</span></div>' for value, what in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _learning(versions: Sequence[Version]) -> Iterator[str]:
    yield "<h2>How well it does on labels it has not learned from</h2>"
    if not any(version.after for version in versions):
        yield "<p>Nothing has been measured yet: submit a corrected outline, then train.</p>"
        return
    yield (
        "<p>Dice says how well two outlines cover each other, clDice how well their centrelines do; 1 is perfect. A "
        "new label may join those that are held back, so a version is best compared with the small ring joined to "
        "its mark: the version in use until then, on the same labels.</p>"
    )
    yield charts.history(versions)
    yield charts.legend(version.state for version in versions)
    measured = [version for version in versions if version.after]
    for rule, run in groupby(measured, lambda version: version.rule):
        names = [version.name for version in run]
        span = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        yield f'<p class="note">Held back for {span}: {escape(rule)}.</p>'
    yield '<p class="note">Grey: not measured here. Across a dotted line the tasks differ: do not compare.</p>'


def _effort(efforts: Sequence[Effort]) -> Iterator[str]:
    yield "<h2>How much there was to correct</h2>"
    if not efforts:
        yield "<p>No corrected outline has been submitted yet.</p>"
        return
    shares = [effort.share for effort in efforts if effort.share is not None]
    compared = min(COMPARED, len(shares) // 2)
    if compared > 1:
        first, last = (statistics.median(part) for part in (shares[:compared], shares[-compared:]))
        yield (
            f"<p>Of the vessel pixels {first:.0%} had to be changed in the first {compared} images, {last:.0%} in the "
            f"last {compared} (medians).</p>"
        )
    proposers = [effort.version or "base" for effort in efforts]
    rows = [
        (
            effort.image,
            _day(effort.time),
            proposer,
            str(effort.changed),
            str(effort.vessel),
            "no vessel" if effort.share is None else f"{effort.share:.1%}",
        )
        for effort, proposer in zip(efforts, proposers, strict=True)
    ]
    titles = [f"{name}, {time}, outlined by {proposer}: {share}" for name, time, proposer, _, _, share in rows]
    yield charts.bars([effort.share for effort in efforts], proposers, titles)
    yield (
        '<p class="note">Each bar is an image, in order of time; below them, which version proposed the outlines. Grey:'
        " no vessel.</p>"
    )
    heads = ("image", "submitted", "outlined by", "pixels changed", "vessel pixels", "share")
    yield f"<details><summary>All corrected images</summary>{table(heads, rows)}</details>"


def _versions(versions: Sequence[Version]) -> Iterator[str]:
    yield "<h2>Versions</h2>"
    if not versions:
        yield "<p>There are none yet: the base outlines the vessels as it came.</p>"
        return
    yield tree(versions)
    yield charts.legend(["base", *(version.state for version in versions)])
    heads = ("version", "state", "from", "Dice", "clDice", "images", "mode", "made", "asked for by")
    yield table(heads, [_row(version) for version in versions])
    for version in versions:
        if version.state == "damaged":
            why = f"<code>salt adapters show FOLDER {version.name}</code> says why"
            yield f"<p>Version {version.name} is damaged and cannot be used: {why}.</p>"


def _row(version: Version) -> tuple[str, ...]:
    pairs = zip(version.before, version.after, strict=True) if version.before and version.after else ()
    dice, cl_dice = [f"{before:.3f}\u00a0→\u00a0{after:.3f}" for before, after in pairs] or ("", "")
    origin = {"imported": f"elsewhere: {version.origin}", "damaged": "?"}.get(version.state, version.parent or "base")
    return (
        version.name,
        version.state + (", in use" if version.in_use else ""),
        origin,
        dice,
        cl_dice,
        version.images,
        version.mode,
        _day(version.created),
        version.asked_by,
    )


def _cases(cases: Sequence[Case], shared: bool) -> Iterator[str]:
    yield "<h2>Held-back images</h2>"
    if not cases:
        yield "<p>None yet: images are held back once there are a few labels.</p>"
        return
    yield (
        '<p class="note">As the version in use outlines them. Where they differ: green is right, red is missed, blue '
        f"is too much. {CARE[shared]}</p>"
    )
    ordered = sorted(cases, key=lambda case: case.dice, reverse=True)
    best = ordered[: min(SHOWN, -(-len(ordered) // 2))]
    worst = ordered[len(best) :][-SHOWN:][::-1]
    for name, chosen in (("Best", best), ("Worst", worst)):
        if chosen:
            yield f"<h3>{name}</h3>"
            yield from (_pictures(case, shared) for case in chosen)


def _pictures(case: Case, shared: bool) -> str:
    scores = f"Dice {case.dice:.3f}, clDice {case.cl_dice:.3f}"
    head = f"<h4>{escape(case.name)} – {scores}</h4>{WARNINGS[case.text]}"
    if shared and case.text == "yes":
        return head
    rgb = to_rgb(case.image)
    missed, extra = (case.truth & ~case.found).sum(), (case.found & ~case.truth).sum()
    differing = f"missed {missed / max(case.truth.sum(), 1):.0%}, too much {extra / max(case.found.sum(), 1):.0%}"
    shown = (
        (overlay(rgb, case.truth.astype(np.uint8)), "label"),
        (overlay(rgb, case.found.astype(np.uint8)), "found"),
        (difference(rgb, case.found, case.truth), differing),
    )
    figures = "".join(figure(_thumbnail(pixels), caption) for pixels, caption in shown)
    return f'{head}<div class="row">{figures}</div>'


def _thumbnail(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)


def _day(time: str) -> str:
    parsed = moment(time)
    return f"{parsed:%Y-%m-%d\u00a0%H:%M}" if parsed.year > datetime.min.year else time
