"""Cards for others: what it takes to use an adapter, and nothing of whom, by whom and when."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt_monailabel.imaging.pseudonyms import Pseudonyms
from salt_monailabel.versions.shared import shared_card

NAMES = Pseudonyms(bytes(32))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(min_size=1), JSON))
def test_what_is_not_known_is_left_out(unknown: dict[str, object]) -> None:
    others = {f"x-{key}": value for key, value in unknown.items()}
    assert shared_card({**others, "training": {**others, "steps": 3}}, NAMES) == {"training": {"steps": 3}}


def test_images_have_pseudonyms_in_an_order_of_their_own() -> None:
    names = [f"Zebrowska-{n}" for n in range(9)]
    card = shared_card({"images": names, "labels_sha256": dict.fromkeys(names, "0f")}, NAMES)
    assert card["images"] == sorted(NAMES.case(name) for name in names) == list(card["labels_sha256"])
    assert "Zebrowska" not in json.dumps(card)


@pytest.mark.parametrize(
    ("created", "year"),
    [("2021-03-17T10:15:33+00:00", "2021"), ("yesterday", None), (None, None), (20210317, "2021"), ("", None)],
)
def test_a_year_is_left_of_a_date(created: object, year: str | None) -> None:
    assert shared_card({"created": created}, NAMES).get("created") == year


@pytest.mark.parametrize("card", [{"images": "a"}, {"labels_sha256": ["a"]}, {"training": None}, {"images": None}])
def test_a_card_of_any_content_is_no_error(card: dict[str, object]) -> None:
    assert shared_card(card, NAMES) == {}


def test_what_the_program_needs_stays() -> None:
    needed = {"format": "salt-adapter/1", "config": {"method": "bias"}, "base": "vessel_t", "labels": ["vessel"]}
    training = {"mode": "update", "seconds": 18.0, "held_back": {"after": {"dice": 0.8}}, "promoted": True}
    assert shared_card({**needed, "training": training}, NAMES) == {**needed, "training": training}
