"""The report: all that the store and the labels tell is on one page, and nothing that came from outside runs in it."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from salt_monailabel.adapters import Adapter, AdapterConfig, attach, save
from salt_monailabel.imaging.burned_in import BurnedIn
from salt_monailabel.serving.report.cards import Version
from salt_monailabel.serving.report.lineage import tree
from salt_monailabel.serving.report.rendering import Case, Effort, render
from salt_monailabel.versions import VersionStore

CONFIG = AdapterConfig("lora", lora_rank=1, targets={"mlp": ("0",)}, ranks={"mlp": 1}, also_train={})
HOSTILE = "<script>alert('hello')</script>.png"
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """What a browser would make of a page: elements with their attributes and drawing, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.drawing = ""
        self.elements: list[tuple[str, str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "svg":
            self.drawing = dict(attrs).get("id") or ""
        self.elements.append((self.drawing if "svg" in self.open else "", tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data + " "

    def drawn(self, drawing: str, kind: str) -> int:
        """Return how many elements of a class a drawing has."""
        return sum(kind in (a.get("class") or "").split() for place, _, a in self.elements if place == drawing)


def trained(before: float, after: float, promoted: bool, rule: str = "tiles", seconds: float = 15.0) -> dict[str, Any]:
    scores = {"before": {"dice": before, "cl_dice": before - 0.1}, "after": {"dice": after, "cl_dice": after - 0.1}}
    training = {"mode": "update", "images": 3, "newest": 2, "steps": 50, "seconds": seconds, "promoted": promoted}
    return {"training": {**training, "held_back": {"rule": rule, "tolerance": 0.005, **scores}}}


def corrected(name: str, share: float = 0.5, time: str = "2026-03-02T10:00:00+01:00", version: str = "") -> Effort:
    return Effort(name, time, int(1000 * share), 1000, version)


def row_of(html: str, name: str) -> str:
    """Return the row of a version in the table."""
    return next(row for row in re.findall(r"<tr>.*?</tr>", html) if f"<td>{name}</td>" in row)


@pytest.fixture
def adapter() -> Adapter:
    return attach(nn.Sequential(nn.Linear(4, 3)), CONFIG)


@pytest.fixture
def empty(tmp_path: Path) -> VersionStore:
    return VersionStore(tmp_path / "adapters")


@pytest.fixture
def store(empty: VersionStore, adapter: Adapter, tmp_path: Path) -> VersionStore:
    """Return a store with four versions: one in use, one refused, one imported."""
    empty.promote(empty.add(adapter, trained(0.7, 0.75, True, seconds=14), None))
    empty.add(adapter, {**trained(0.76, 0.71, False), "asked_by": "Dr. <b>"}, "0001")
    empty.export("0001", tmp_path / "elsewhere.safetensors")
    empty.take_in(tmp_path / "elsewhere.safetensors")
    card = {**trained(0.77, 0.812, True, "images", 16), "created": "2026-03-02T10:00:00Z"}
    empty.promote(empty.add(adapter, card, "0001"))
    return empty


def case(name: str, dice: float) -> Case:
    rng = np.random.default_rng(0)
    truth = np.zeros((24, 32), bool)
    truth[8:12] = True
    return Case(name, rng.integers(0, 255, (24, 32, 1), np.uint8), truth, np.roll(truth, 1, 0), dice, dice - 0.1)


def test_every_version_is_there_with_what_became_of_it(store: VersionStore) -> None:
    html = render("studies", store, [], [], 5)
    states = ("promoted", "refused", "imported", "promoted, in use")
    for name, state in zip(("0001", "0002", "0003", "0004"), states, strict=True):
        assert f"<td>{state}</td>" in row_of(html, name)
    assert "<td>0001</td>" in row_of(html, "0004")
    assert "2026-03-02" in row_of(html, "0004")
    assert "elsewhere: 0001" in row_of(html, "0003")


def test_the_headline_compares_the_beginning_with_what_is_in_use(store: VersionStore) -> None:
    text = Page(render("studies", store, [], [], 5)).text
    for said in (
        "5 labels given",
        "4 versions, 1 refused, 1 imported",
        "0004 is in use",
        "0.700 → 0.812",
        "0.600 → 0.712",
    ):
        assert said in text
    assert "15 s for one training (median)" in text
    store.promote(None)
    text = Page(render("studies", store, [], [], 1)).text
    for said in ("1 label given", "base is in use", "0.700 → ?"):
        assert said in text


def test_the_charts_have_a_point_for_every_version_and_image(store: VersionStore) -> None:
    page = Page(render("studies", store, [corrected("a"), corrected("b"), corrected("c")], [], 5))
    assert page.drawn("history", "version") == 4
    # Dice and clDice of each version that was measured here, and its seconds.
    assert page.drawn("history", "mark") == 2 * 3
    assert page.drawn("history", "bar") == 3
    assert page.drawn("history", "rule") == 2
    assert page.drawn("tree", "version") == page.drawn("tree", "mark") == 5
    assert page.drawn("tree", "edge") == 3
    assert page.drawn("tree", "ring") == 1
    assert page.drawn("effort", "bar") == 3


def test_a_refused_version_has_another_shape_not_only_another_colour(store: VersionStore) -> None:
    page = Page(render("studies", store, [], [], 5))
    shapes: dict[str, set[str | None]] = {}
    for _, _, attributes in page.elements:
        kind = attributes.get("class") or ""
        if kind.startswith("mark "):
            shapes.setdefault(kind, set()).add(attributes["d"])
    assert {"mark promoted", "mark refused", "mark imported"} <= shapes.keys()
    assert len(set.union(*shapes.values())) == len(shapes)
    assert "refused: worse" in page.text


def test_the_parts_of_a_page_are_closed_and_nothing_is_fetched(store: VersionStore) -> None:
    page = Page(render("studies", store, [corrected("a")], [case("b", 0.8)], 5))
    assert page.open == []
    links = [a[key] or "" for _, _, a in page.elements for key in ("src", "href", "xlink:href") if key in a]
    assert len(links) == 3
    assert all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert not {"script", "link", "iframe", "object"} & {tag for _, tag, _ in page.elements}


def test_what_came_from_outside_is_text(store: VersionStore, adapter: Adapter) -> None:
    card = trained(0.7, 0.8, True, rule=HOSTILE)
    card["training"]["mode"] = HOSTILE
    store.add(adapter, {**card, "created": HOSTILE, "asked_by": HOSTILE}, "0001")
    html = render(HOSTILE, store, [corrected(HOSTILE, version=HOSTILE, time=HOSTILE)], [case(HOSTILE, 0.8)], 5)
    page = Page(html)
    assert "<script" not in html
    assert "<b>" not in row_of(html, "0002")
    assert page.open == []
    assert page.text.count(HOSTILE) >= 7


def test_a_name_that_is_no_text_can_be_sent_and_written(empty: VersionStore) -> None:
    html = render("studies", empty, [corrected("caf\udce9.png")], [case("caf\udce9.png", 0.8)], 1)
    assert "caf?.png" in html.encode("utf-8").decode()


def test_a_page_to_be_passed_on_names_nobody_and_no_day(store: VersionStore, adapter: Adapter, tmp_path: Path) -> None:
    save(adapter, tmp_path / "Zebrowska.safetensors")
    store.take_in(tmp_path / "Zebrowska.safetensors")
    inside, shared = (render("x", store, [], [], 5, shared) for shared in (False, True))
    for named in ("Dr. ", "2026-03-02", "Zebrowska"):
        assert named in inside
        assert named not in shared
    assert "<td>2026</td>" in row_of(shared, "0004")
    assert "elsewhere: 0001" in row_of(shared, "0003")


@pytest.mark.parametrize(("text", "shown"), [("no", 3), ("suspected", 3), ("yes", 0)])
def test_text_in_a_picture_is_warned_of_and_not_passed_on(empty: VersionStore, text: BurnedIn, shown: int) -> None:
    told = replace(case("a", 0.8), text=text)
    inside, shared = (Page(render("x", empty, [], [told], 1, shared)) for shared in (False, True))
    assert sum(tag == "img" for _, tag, _ in inside.elements) == 3
    assert sum(tag == "img" for _, tag, _ in shared.elements) == shown
    warned = {"no": "", "suspected": "There seems to be text", "yes": "must not be passed on"}[text]
    for page in (inside, shared):
        assert warned in page.text
        assert page.open == []


def test_no_version_and_no_label_are_no_error(empty: VersionStore) -> None:
    page = Page(render("studies", empty, [], [], 0))
    assert page.open == []
    for said in (
        "0 labels given",
        "base is in use",
        "Nothing has been measured yet",
        "No corrected outline",
        "none yet",
    ):
        assert said in page.text


@pytest.mark.parametrize(
    ("training", "state"),
    [
        (None, "unjudged"),
        ({"promoted": True}, "promoted"),
        ("text", "damaged"),
        ({"seconds": -1}, "damaged"),
        ({"held_back": {"before": {"dice": "<script>", "cl_dice": 0.5}}}, "damaged"),
        ({"held_back": {"before": {"dice": 0.5, "cl_dice": float("nan")}}}, "damaged"),
        ({"held_back": {"before": {"dice": 0.5, "cl_dice": 0.5}}}, "damaged"),
    ],
)
def test_a_card_of_any_content_leaves_the_others_shown(
    store: VersionStore, adapter: Adapter, training: object, state: str
) -> None:
    html = render("studies", store, [], [], 5)
    store.add(adapter, {"training": training}, "0001")
    more = render("studies", store, [], [], 5)
    assert Page(more).open == []
    assert [row_of(more, f"000{i}") for i in range(1, 5)] == [row_of(html, f"000{i}") for i in range(1, 5)]
    assert f"<td>{state}</td>" in row_of(more, "0005")


def test_a_damaged_version_is_named_and_the_page_still_made(store: VersionStore) -> None:
    store.path("0002").write_bytes(b"no adapter")
    html = render("studies", store, [], [], 5)
    assert "<td>damaged</td>" in row_of(html, "0002")
    assert "Version 0002 is damaged" in html
    assert str(store.folder) not in html
    assert "promoted, in use" in row_of(html, "0004")
    assert Page(html).drawn("history", "version") == 4


def test_corrections_are_in_order_of_time_whatever_their_zone(empty: VersionStore) -> None:
    efforts = [
        corrected("third", time="2026-03-02T10:00:00Z"),
        corrected("first", time="no time"),
        corrected("second", time="2026-03-02T10:30:00+02:00"),
    ]
    html = render("studies", empty, efforts, [], 3)
    places = [html.index(f"<td>{name}</td>") for name in ("first", "second", "third")]
    assert places == sorted(places)


def test_effort_is_told_in_shares_of_the_vessels(empty: VersionStore) -> None:
    efforts = [corrected(str(i), share, f"2026-03-0{i + 1}T10:00:00Z") for i, share in enumerate((0.5, 0.4, 0.2, 0.1))]
    efforts.append(Effort("no vessel", "2026-03-06T10:00:00Z", 10, 0, "0001"))
    efforts.append(corrected("all wrong", 4.3, "2026-03-07T10:00:00Z"))
    html = render("studies", empty, efforts, [], 6)
    assert "50.0%" in row_of(html, "0")
    assert "<td>no vessel</td>" in row_of(html, "no vessel")
    page = Page(html)
    assert page.drawn("effort", "bar") == 5
    assert page.drawn("effort", "unmeasured") == 1
    assert "45% had to be changed in the first 2 images" in page.text
    # A bar that is cut off says how long it would be.
    assert " 430 " in page.text


def test_the_best_and_the_worst_cases_are_shown_once(empty: VersionStore) -> None:
    def names(count: int) -> list[str]:
        html = render("studies", empty, [], [case(f"image{i}", i / 10) for i in range(count)], count)
        return re.findall(r"<h4>image(\d)", html)

    assert names(1) == ["0"]
    assert names(3) == ["2", "1", "0"]
    assert names(9) == ["8", "7", "6", "0", "1", "2"]


@pytest.mark.parametrize("count", [1, 15, 300])
def test_charts_of_any_length_stay_inside(empty: VersionStore, adapter: Adapter, count: int) -> None:
    efforts = [corrected(str(i), version=str(i)) for i in range(count)]
    html = render("studies", empty, efforts, [], count)
    written = [float(x) for x in re.findall(r'<text class="name" x="([\d.]+)"', html)]
    assert all(0 < x < 760 for x in written)
    assert all(b - a > 30 for a, b in pairwise(written))


def test_branches_of_the_tree_do_not_lie_on_each_other() -> None:
    rows = [("1", None), ("2", "1"), ("3", "2"), ("4", "1"), ("5", "4"), ("6", "3"), ("7", "gone"), ("8", "8")]
    versions = [Version(name, "refused" if name == "2" else "promoted", name == "6", parent) for name, parent in rows]
    marks = re.findall(r'class="mark \w+" transform="translate\(([\d.]+) ([\d.]+)\)', tree(versions))
    height = {name: y for name, (_, y) in zip(["base", *(name for name, _ in rows)], marks, strict=True)}
    assert height["base"] == height["1"] == height["4"] == height["5"]
    assert height["2"] == height["3"] == height["6"] != height["1"]
    assert height["base"] not in (height["7"], height["8"])
