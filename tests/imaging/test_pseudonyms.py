"""Pseudonyms: one for each name, for ever, and by nobody without the key to be turned back."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from salt_monailabel.imaging.pseudonyms import KEY_FILE, Pseudonyms

ONE, OTHER = Pseudonyms(bytes(32)), Pseudonyms(bytes(31) + b"\1")


@given(st.text(), st.text())
def test_each_name_has_its_own_and_another_with_another_key(first: str, second: str) -> None:
    assert (ONE.case(first) == ONE.case(second)) is (first == second)
    assert ONE.case(first) != OTHER.case(first)
    assert UID(ONE.uid(first)).is_valid


def test_a_name_that_is_no_text_has_one() -> None:
    assert ONE.case("caf\udce9").startswith("case-")


def test_without_a_key_given_no_two_are_alike() -> None:
    assert Pseudonyms().case("scan") != Pseudonyms().case("scan")


def test_those_of_a_folder_stay_and_their_key_is_its_owners_alone(tmp_path: Path) -> None:
    first = Pseudonyms.kept_in(tmp_path)
    assert Pseudonyms.kept_in(tmp_path) == first != Pseudonyms()
    assert (tmp_path / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert first.key.hex() not in repr(first)


def test_threads_that_ask_at_once_get_the_same(tmp_path: Path) -> None:
    found: list[Pseudonyms] = []
    threads = [threading.Thread(target=lambda: found.append(Pseudonyms.kept_in(tmp_path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(found), len(set(found))) == (8, 1)


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_key_that_is_damaged_is_not_used(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=KEY_FILE):
        Pseudonyms.kept_in(tmp_path)
