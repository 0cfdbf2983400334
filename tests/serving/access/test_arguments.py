"""Names and parameters of a request: what passes is safe, what does not says why."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fastapi import HTTPException
from hypothesis import example, given
from hypothesis import strategies as st

from salt_monailabel.serving.access.arguments import (
    DEEPEST_PARAMS,
    LONGEST_NAME,
    LONGEST_PARAMS,
    RESERVED,
    checked_name,
    checked_params,
)

FOLDER = Path("/studies/labels")


def refused(text: str) -> str:
    """Return why params are refused."""
    with pytest.raises(HTTPException) as refusal:
        checked_params(text)
    assert refusal.value.status_code == 400
    return str(refusal.value.detail)


@given(st.text(st.characters(), max_size=250) | st.text("./\\\0~: aä", max_size=8))
@example("..")
@example("../x")
@example("a/..")
@example("/etc/passwd")
@example("x" * LONGEST_NAME)
def test_whatever_passes_stays_a_direct_child_of_its_folder(name: str) -> None:
    try:
        passed = checked_name(name, "image")
    except HTTPException as refusal:
        # As it is sent: a refusal that cannot be written would be an error of the server's.
        json.dumps(refusal.detail, ensure_ascii=False).encode()
        return
    assert passed == name
    assert Path(os.path.normpath(FOLDER / name)).parent == FOLDER
    assert (FOLDER / name).name == name
    assert len(os.fsencode(name)) <= LONGEST_NAME
    assert not set(name) & set(map(chr, range(32)))


@pytest.mark.parametrize(
    "name", ["retina1", "1.2.840.113619.2", "IM 0001 (left).final", "Gefäß-3", "画像", "a..b", "~x", "x" * LONGEST_NAME]
)
def test_names_of_images_as_people_give_them_pass(name: str) -> None:
    assert checked_name(name, "image") == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("..", "starts with '.'"),
        (".hidden", "starts with '.'"),
        ("../x", "starts with '.'"),
        ("a/b", "path"),
        ("/etc/passwd", "path"),
        ("a\\b", "path"),
        ("a\0b", "printed"),
        ("a\nb", "printed"),
        ("a\x7fb", "printed"),
        ("a\ud800b", "printed"),
        ("x" * (LONGEST_NAME + 1), "200 bytes"),
        ("画" * LONGEST_NAME, "200 bytes"),
    ],
)
def test_a_name_that_could_do_harm_is_refused_with_its_reason(name: str, reason: str) -> None:
    with pytest.raises(HTTPException) as refusal:
        checked_name(name, "tag")
    message = str(refusal.value.detail)
    assert refusal.value.status_code == 400
    assert [word for word in (reason, "cannot be used as a name", "tag") if word not in message] == []
    assert len(message) < 500


def test_params_are_the_object_they_hold() -> None:
    params = {"seconds": 15, "rate": 2e-3, "foreground": [[1, 2, 0]], "label": "vessel", "on": True, "none": None}
    assert checked_params(json.dumps(params)) == params


@pytest.mark.parametrize("text", ["", " \n", "{}"])
def test_no_params_are_an_empty_object(text: str) -> None:
    assert checked_params(text) == {}


def test_malformed_params_are_refused_with_the_place() -> None:
    assert "line 2, column 4" in refused('{"a":\n   oops}')


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null", "true"])
def test_params_that_are_no_object_are_refused(text: str) -> None:
    assert "must be a JSON object" in refused(text)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_are_not_finite_are_refused_wherever_they_are(number: str) -> None:
    for text in (f'{{"a": {number}}}', f'{{"a": [{{"b": {number}}}]}}'):
        assert number in refused(text)


def test_a_number_of_too_many_digits_is_refused() -> None:
    assert "number" in refused('{"a": ' + "9" * 5000 + "}")


@pytest.mark.parametrize("key", sorted(RESERVED))
def test_params_cannot_name_what_belongs_into_the_query(key: str) -> None:
    message = refused(json.dumps({"seconds": 1, key: "/etc/passwd"}))
    assert f"'{key}' belongs into the query" in message


def test_a_reserved_key_does_not_hide_behind_an_escape() -> None:
    assert "'image'" in refused('{"im\\u0061ge": "/etc/passwd"}')


def test_who_reserves_other_keys_frees_these() -> None:
    assert checked_params('{"model": "salt"}', frozenset({"tag"})) == {"model": "salt"}
    with pytest.raises(HTTPException):
        checked_params('{"tag": "x"}', frozenset({"tag"}))


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_params_are_as_deep_as_agreed_and_no_deeper(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return f'{{"a": {opening * (levels - 1)}{"0" if opening != "[" else ""}{closing * (levels - 1)}}}'

    assert checked_params(nested(DEEPEST_PARAMS))
    assert "deeper than 20" in refused(nested(DEEPEST_PARAMS + 1))


@pytest.mark.parametrize("levels", [500, 900, 5_000, 400_000])
def test_params_of_any_depth_break_nothing(levels: int) -> None:
    assert "deeper than 20" in refused('{"a": ' + "[" * levels + "]" * levels + "}")


def test_params_are_as_long_as_agreed_and_no_longer() -> None:
    fits = json.dumps({"a": "x" * (LONGEST_PARAMS - 9)})
    assert len(fits) == LONGEST_PARAMS
    assert len(checked_params(fits)["a"]) == LONGEST_PARAMS - 9
    assert "longer than" in refused(fits + " ")
