"""Strategies: who gets which image next."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import HTTPException
from scipy.stats import chisquare

from salt_monailabel.inference.uncertainty import Uncertainty
from salt_monailabel.serving.access.audit import current_user
from salt_monailabel.serving.sampling.leases import Leases
from salt_monailabel.serving.sampling.scores import Entry
from salt_monailabel.serving.sampling.strategies import (
    FirstSample,
    Leased,
    RandomForeground,
    RandomSample,
    Uncertain,
    choose,
    choose_foreground,
)

# So many labels that nothing is left to chance.
EXPERIENCED = 500


def entry(entropy: float = 0.0, descriptor: Sequence[float] = (1, 0), foreground: float = 0.1) -> Entry:
    return Entry(Uncertainty(entropy, 0, 0, foreground), np.array(descriptor, np.float32), "0001")


class Folder:
    """A datastore of names."""

    def __init__(self, unlabelled: Sequence[str], labelled: Sequence[str] = ()) -> None:
        self.unlabelled, self.labelled = list(unlabelled), list(labelled)
        self.asked: list[tuple[Any, Any]] = []

    def get_unlabeled_images(self, label_tag: Any = None, labels: Any = None) -> list[str]:
        self.asked.append((label_tag, labels))
        return self.unlabelled

    def get_labeled_images(self, label_tag: Any = None, labels: Any = None) -> list[str]:
        self.asked.append((label_tag, labels))
        return self.labelled

    def list_images(self) -> list[str]:
        return self.unlabelled + self.labelled


class Board:
    """What is known already, without a thread."""

    def __init__(self, **entries: Entry) -> None:
        self.entries = entries
        self.woken = 0

    def wake(self) -> None:
        self.woken += 1

    def snapshot(self) -> dict[str, Entry]:
        return self.entries


@pytest.fixture
def leases(tmp_path: Path) -> Leases:
    return Leases(tmp_path / "leases.json")


Maker = Callable[[Leases, Board], Leased]
ALL: dict[str, Maker] = {
    "first": lambda leases, board: FirstSample(leases),
    "random": lambda leases, board: RandomSample(leases),
    "random_foreground": RandomForeground,  # type: ignore[dict-item]
    "uncertain": Uncertain,  # type: ignore[dict-item]
}
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())


@contextmanager
def signed_in(name: str):
    token = current_user.set(name)
    try:
        yield
    finally:
        current_user.reset(token)


@every
def test_no_two_viewers_get_one_image(make: Maker, leases: Leases) -> None:
    strategy, folder = make(leases, Board(a=entry(1), d=entry(0.5))), Folder("abcdef")
    given = [strategy({"client_id": who}, folder) for who in range(6)]
    assert sorted(sample["id"] for sample in given) == list("abcdef")
    assert strategy({"client_id": "one more"}, folder) is None


def test_no_two_strategies_give_one_image_to_two_viewers(leases: Leases) -> None:
    folder = Folder("abcd")
    given = [make(leases, Board(a=entry()))({"client_id": name}, folder)["id"] for name, make in ALL.items()]
    assert sorted(given) == list("abcd")


@every
def test_without_an_image_that_has_no_label_nothing_is_given(make: Maker, leases: Leases) -> None:
    assert make(leases, Board(a=entry()))({}, Folder([], "ab")) is None
    assert make(leases, Board())({}, Folder([])) is None


@every
def test_the_datastore_is_asked_for_the_labels_of_the_request(make: Maker, leases: Leases) -> None:
    folder = Folder("a", "b")
    make(leases, Board())({"label_tag": "final", "labels": ["vessel"]}, folder)
    assert folder.asked == [("final", ["vessel"])] * 2


def test_holders_of_tokens_are_told_apart_whatever_their_viewers_say(leases: Leases) -> None:
    strategy, folder = FirstSample(leases), Folder("ab")
    for name, image in (("ann", "a"), ("bob", "b")):
        with signed_in(name):
            assert strategy({"client_id": "user-xyz"}, folder) == {"id": image}
    with signed_in("cid"):
        assert strategy({"client_id": "ann"}, folder) is None
    assert strategy({"client_id": "ann"}, folder) is None
    with signed_in("ann"):
        assert strategy({"client_id": "another viewer"}, folder) == {"id": "a"}


def test_who_says_nothing_of_themselves_skips_and_starts_over(leases: Leases) -> None:
    strategy, folder = FirstSample(leases), Folder("ba")
    assert [strategy(request, folder)["id"] for request in ({}, {"client_id": None}, {}, {})] == list("abab")


@every
def test_a_finished_case_is_handed_out_again_if_it_is_asked_for(make: Maker, leases: Leases) -> None:
    strategy, folder = make(leases, Board()), Folder("ab", ["done"])
    for _ in range(2):
        assert strategy({"reopen": "done", "client_id": "ann"}, folder) == {"id": "done"}
    with pytest.raises(HTTPException) as taken:
        strategy({"reopen": "done", "client_id": "bob"}, folder)
    assert taken.value.status_code == 409
    with pytest.raises(HTTPException) as missing:
        strategy({"reopen": "elsewhere"}, folder)
    assert (missing.value.status_code, "elsewhere" in missing.value.detail) == (404, True)


def test_only_what_needs_scores_has_them_computed(leases: Leases) -> None:
    woken = {}
    for name, make in ALL.items():
        board = Board()
        make(leases, board)({}, Folder("ab"))
        woken[name] = board.woken
    assert woken == {"first": 0, "random": 0, "random_foreground": 1, "uncertain": 1}


def test_first_goes_by_name(leases: Leases) -> None:
    assert FirstSample(leases).order(["b10", "c", "b9", "a"], ()) == ["a", "b9", "b10", "c"]


def test_random_gives_each_image_as_often(leases: Leases) -> None:
    firsts = Counter(RandomSample(leases).order(list("abc"), ())[0] for _ in range(900))
    # Seven standard deviations.
    assert all(abs(firsts[image] - 300) < 100 for image in "abc")


def test_uncertain_gives_what_the_board_knows_least_of_and_is_unlike_the_labelled(leases: Leases) -> None:
    labelled = [str(i) for i in range(EXPERIENCED)]
    board = Board(**{"7": entry(1)}, near=entry(0.9), far=entry(0.9, (0, 1)), clear=entry(0.1), worst=entry(1))
    given = Uncertain(leases, board).order(["clear", "far", "near"], labelled)
    assert given == ["far", "near", "clear"]


def test_foreground_takes_areas_from_the_board(leases: Leases) -> None:
    board = Board(full=entry(foreground=0.99), empty=entry(foreground=0))
    firsts = Counter(RandomForeground(leases, board).order(["empty", "full"], ())[0] for _ in range(200))
    assert firsts["full"] > 150


def test_the_most_uncertain_is_chosen_and_the_others_follow() -> None:
    entries = {"a": entry(0.2), "b": entry(0.9), "c": entry(0.5)}
    for seed in range(20):
        assert choose(entries, [], EXPERIENCED, np.random.default_rng(seed)) == ["b", "c", "a"]


def test_what_is_not_scored_yet_ranks_with_the_median() -> None:
    entries = {"a": entry(0.2), "new": None, "b": entry(0.9), "c": entry(0.5), "d": entry(0.1), "e": entry(0.7)}
    for seed in range(20):
        order = choose(entries, [], EXPERIENCED, np.random.default_rng(seed))
        assert [image for image in order if image != "new"] == ["b", "e", "c", "a", "d"]
        assert order.index("new") in (2, 3)


@pytest.mark.parametrize("known", [None, entry(0.5)])
def test_equals_come_in_random_order(known: Entry | None) -> None:
    entries = dict.fromkeys("abc", known)
    firsts = Counter(choose(entries, [], EXPERIENCED, np.random.default_rng(seed))[0] for seed in range(150))
    assert min(firsts[image] for image in "abc") > 25


def test_of_images_alike_in_uncertainty_the_one_farthest_from_all_labelled_is_chosen() -> None:
    entries = {"near": entry(0.5, (1, 0.1)), "between": entry(0.5, (0.7, 0.7)), "far": entry(0.5, (-1, 0))}
    labelled = [np.array(place, np.float32) for place in ((1, 0), (0, 1))]
    assert choose(entries, labelled, EXPERIENCED, np.random.default_rng(0)) == ["far", "between", "near"]


def test_uncertainty_counts_for_more_than_diversity() -> None:
    entries = {"unlike": entry(0.1, (-1, 0)), "unsure": entry(0.9, (1, 0))}
    assert choose(entries, [np.array([1, 0])], EXPERIENCED, np.random.default_rng(0))[0] == "unsure"


def test_the_first_is_one_like_many_others_however_unsure_the_odd_one_is() -> None:
    crowd = {str(angle): entry(0.1, (np.cos(angle), np.sin(angle))) for angle in (-0.2, -0.1, 0.0, 0.1, 0.2)}
    entries = {**crowd, "odd": entry(1, (-1, 0))}
    firsts = Counter(choose(entries, [], 0, np.random.default_rng(seed))[0] for seed in range(100))
    assert firsts["0.0"] > 80


def test_what_no_label_stands_for_comes_before_what_one_does() -> None:
    crowd = {str(number): entry(0.5, (1, 0)) for number in range(9)}
    entries = {**crowd, **{f"other {number}": entry(0.4, (0, 1)) for number in range(3)}}
    labelled = [np.array([1, 0], np.float32)]
    firsts = Counter(choose(entries, labelled, 1, np.random.default_rng(seed))[0] for seed in range(100))
    assert sum(firsts[image] for image in crowd) < 20


def test_the_more_labels_the_more_uncertainty_counts() -> None:
    entries = {"like others": entry(0.1, (1, 0)), "another": entry(0.2, (0.9, 0.1)), "unsure": entry(0.9, (0, 1))}
    unsure_first = [
        sum(choose(entries, [], labelled, np.random.default_rng(seed))[0] == "unsure" for seed in range(100))
        for labelled in (0, 20)
    ]
    assert unsure_first[0] < 20
    assert unsure_first[1] > 80


def test_an_archive_of_thousands_is_ordered_in_a_moment() -> None:
    rng = np.random.default_rng(0)
    entries = {str(number): entry(rng.random(), rng.normal(size=512)) for number in range(5000)}
    started = time.perf_counter()
    choose(entries, [entry.descriptor for entry in entries.values()][:500], 500, rng)
    assert time.perf_counter() - started < 2


def test_the_share_of_chance_decays_with_the_labels() -> None:
    entries = {str(i): entry(i / 20) for i in range(20)}
    draws = 2000

    def by_chance(labelled: int) -> float:
        rng = np.random.default_rng(0)
        return sum(choose(entries, [], labelled, rng)[0] != "19" for _ in range(draws)) / draws

    for labelled in (1, 10):
        assert by_chance(labelled) == pytest.approx(0.95 * 0.1 * 0.9**labelled, abs=0.03)
    assert by_chance(EXPERIENCED) == 0


def test_vessel_area_decides_how_often_an_image_comes_first() -> None:
    areas = {"little": 0.01, "some": 0.02, "much": 0.06}
    entries = {image: entry(foreground=area) for image, area in areas.items()} | {"unknown": None}
    rng = np.random.default_rng(0)
    firsts = Counter(choose_foreground(entries, rng)[0] for _ in range(2400))
    expected = {"little": 200, "some": 400, "much": 1200, "unknown": 600}
    assert chisquare([firsts[image] for image in expected], list(expected.values())).pvalue > 0.01


def test_an_image_in_which_nothing_is_found_is_not_left_out_for_good() -> None:
    entries = {"empty": entry(foreground=0), "full": entry(foreground=0.2)}
    rng = np.random.default_rng(0)
    firsts = Counter(choose_foreground(entries, rng)[0] for _ in range(1000))
    assert 0 < firsts["empty"] < 100


@pytest.mark.parametrize("known", [None, entry(foreground=0)])
def test_without_any_area_all_images_are_alike(known: Entry | None) -> None:
    rng = np.random.default_rng(0)
    firsts = Counter(choose_foreground(dict.fromkeys("abc", known), rng)[0] for _ in range(600))
    assert chisquare([firsts[image] for image in "abc"]).pvalue > 0.01


def test_an_order_holds_each_image_once() -> None:
    entries = {"a": entry(0.3), "b": None, "c": entry(0.1, foreground=0), "d": entry(0.3)}
    for seed in range(30):
        rng = np.random.default_rng(seed)
        assert sorted(choose(entries, [np.array([0, 1])], 3, rng)) == list("abcd")
        assert sorted(choose_foreground(entries, rng)) == list("abcd")
    assert choose({}, [], 0, rng) == choose_foreground({}, rng) == []
