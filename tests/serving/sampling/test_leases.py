"""Leases: no two users have one image, whatever happens to the server."""

from __future__ import annotations

import json
import logging
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from salt_monailabel.serving.sampling.leases import Leases

IMAGES = ["a", "b", "c"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "adapters" / "leases.json"


@pytest.fixture
def leases(path: Path) -> Leases:
    return Leases(path, seconds=100)


def test_users_get_the_first_image_that_nobody_has(leases: Leases) -> None:
    assert [leases.take(IMAGES, who, now=0) for who in ("ann", "bob", "cid", "dan")] == ["a", "b", "c", None]


def test_who_asks_again_skips_an_image_and_meets_it_again_when_none_is_left(leases: Leases) -> None:
    assert [leases.take(IMAGES, "ann", now=second) for second in range(5)] == ["a", "b", "c", "a", "b"]
    assert leases.take(IMAGES, "bob", now=6) is None


def test_a_lease_ends_unless_it_is_taken_again(leases: Leases) -> None:
    assert leases.take(["a"], "ann", now=0) == "a"
    assert leases.take(["a"], "bob", now=99) is None
    assert leases.take(["a"], "ann", now=99) == "a"
    assert leases.take(["a"], "bob", now=150) is None
    assert leases.take(["a"], "bob", now=199) == "a"


def test_a_lease_lasts_as_long_as_its_holder_works_on_the_image(leases: Leases, path: Path) -> None:
    leases.take(["a"], "ann", now=0)
    leases.renew("a", "ann", now=90)
    leases.renew("a", "bob", now=150)
    leases.renew("b", "bob", now=150)
    assert Leases(path).holders(now=189) == {"a": "ann"}
    # It ended, but nobody took the image meanwhile.
    leases.renew("a", "ann", now=200)
    assert leases.take(["a"], "bob", now=250) is None


def test_a_lease_is_not_written_anew_with_each_click(leases: Leases, path: Path) -> None:
    leases.take(["a"], "ann", now=0)
    path.unlink()
    leases.renew("a", "ann", now=9)
    assert not path.exists()
    leases.renew("a", "ann", now=11)
    assert Leases(path).holders(now=105) == {"a": "ann"}


def test_an_image_that_is_released_is_free(leases: Leases) -> None:
    leases.take(IMAGES, "ann", now=0)
    leases.release("a")
    leases.release("unknown")
    assert leases.take(IMAGES, "bob", now=1) == "a"


def test_who_has_which_image_is_known_until_the_lease_ends(leases: Leases) -> None:
    leases.take(IMAGES, "ann", now=0)
    leases.take(IMAGES, "bob", now=50)
    assert leases.holders(now=99) == {"a": "ann", "b": "bob"}
    assert leases.holders(now=100) == {"b": "bob"}
    leases.release("b")
    assert leases.holders(now=100) == {}


def test_without_candidates_nothing_is_leased(leases: Leases, path: Path) -> None:
    assert leases.take([], "ann") is None
    assert not path.exists()


def test_time_passes_by_itself(path: Path) -> None:
    assert [Leases(path, seconds=1000).take(["a"], who) for who in ("ann", "bob")] == ["a", None]
    assert Leases(path, seconds=-1).take(["b"], "ann") == "b"
    assert Leases(path).take(["b"], "bob") == "b"


def test_a_restarted_server_keeps_leases_and_releases(leases: Leases, path: Path) -> None:
    for who in ("ann", "bob"):
        leases.take(IMAGES, who, now=0)
    leases.release("a")
    assert [Leases(path).take(["b", "a"], "cid", now=1)] == ["a"]
    assert list(path.parent.iterdir()) == [path]


def test_leases_that_ended_leave_the_file(leases: Leases, path: Path) -> None:
    leases.take(["a"], "ann", now=0)
    leases.take(["b"], "ann", now=500)
    assert list(json.loads(path.read_text())) == ["b"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"a": 1}', b'{"a": {"who": "ann"}}', b'{"a": {"who": 1, "until": "x"}}'],
)
def test_a_damaged_file_counts_as_none(path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    leases = Leases(path)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert leases.take(["a"], "bob", now=0) == "a"
    assert Leases(path).take(["a"], "ann", now=1) is None


def test_leases_hold_without_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    leases = Leases(tmp_path / "file" / "leases.json")
    assert [leases.take(["a"], who, now=0) for who in ("ann", "bob")] == ["a", None]
    assert "could not be written" in caplog.text


def test_users_who_ask_at_once_get_different_images(leases: Leases) -> None:
    images = [str(i) for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(lambda who: leases.take(images, str(who), now=0), range(40)))
    assert Counter(given) == Counter(images)
