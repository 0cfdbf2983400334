"""Tokens: who holds one, for how long, and what of it lies on the disk."""

from __future__ import annotations

import hmac
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from typer.testing import CliRunner

from salt_monailabel.cli.tokens import app
from salt_monailabel.serving.access.tokens import MOST_DAYS, Role, TokenError, TokenFile, default_path

NOW = datetime.now(timezone.utc)


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    return TokenFile(tmp_path / "config" / "tokens.json")


def mode(path: Path | str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def test_each_role_may_do_what_those_before_it_may() -> None:
    assert Role.READER < Role.ANNOTATOR < Role.TRAINER
    assert Role.TRAINER >= Role.TRAINER > Role.READER


def test_a_token_finds_its_holder_and_no_other_does(tokens: TokenFile) -> None:
    made = {name: tokens.add(name, Role.ANNOTATOR, 1) for name in ("ann", "Dr. Müller", "ann@clinic.org")}
    for name, token in made.items():
        holder = tokens.find(token)
        assert holder is not None
        assert (holder.name, holder.role) == (name, Role.ANNOTATOR)
        assert [tokens.find(wrong) for wrong in (token[:-1], token + "x", token.swapcase(), f" {token}")] == [None] * 4
    assert [tokens.find(wrong) for wrong in ("", "ann", "\ud800", "ü" * 43)] == [None] * 4


def test_without_a_file_nobody_holds_a_token(tokens: TokenFile) -> None:
    assert tokens.find("x") is None
    assert tokens.holders() == ()


def test_a_token_ends_with_its_days_and_one_without_days_never_does(tokens: TokenFile) -> None:
    week, ever = tokens.add("week", Role.READER, 7), tokens.add("ever", Role.READER, None)
    found = [[bool(tokens.find(token, NOW + timedelta(days=days))) for days in (6.9, 7.1)] for token in (week, ever)]
    assert found == [[True, False], [True, True]]


def test_the_file_holds_no_token_and_the_holder_shows_no_hash(tokens: TokenFile) -> None:
    token = tokens.add("ann", Role.READER, 1)
    text = tokens.path.read_text()
    assert token not in text
    digest = json.loads(text)["ann"]["sha256"]
    assert len(digest) == 64
    assert digest not in repr(tokens.holders())


def test_every_token_is_compared_in_constant_time(tokens: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tokens.add("first", Role.READER, 1)
    tokens.add("second", Role.READER, 1)
    compared: list[str] = []
    honest = hmac.compare_digest

    def watched(a: str, b: str) -> bool:
        compared.append(a)
        return honest(a, b)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    assert tokens.find(first) is not None
    assert len(compared) == 2


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
def test_nobody_else_may_read_the_file_at_any_moment(tokens: TokenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    before: list[int] = []
    replace = os.replace

    def watched(source: str, target: Path) -> None:
        before.append(mode(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    umask = os.umask(0)
    try:
        tokens.add("ann", Role.READER, 1)
        tokens.add("bob", Role.READER, 1)
    finally:
        os.umask(umask)
    assert [*before, mode(tokens.path)] == [0o600] * 3
    assert mode(tokens.path.parent) == 0o700


def test_a_write_that_fails_leaves_the_tokens_there_were_and_no_other_file(
    tokens: TokenFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tokens.add("ann", Role.READER, 1)
    before = set(os.listdir(tokens.path.parent))

    def no_room(descriptor: int) -> None:
        raise OSError("no room")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="no room"):
        tokens.add("bob", Role.READER, 1)
    assert [holder.name for holder in tokens.holders()] == ["ann"]
    assert tokens.find(token) is not None
    assert set(os.listdir(tokens.path.parent)) == before


def test_tokens_made_at_the_same_time_are_all_kept(tokens: TokenFile) -> None:
    names = [f"user{i}" for i in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: TokenFile(tokens.path).add(name, Role.READER, 1), names))
    assert {holder.name for holder in tokens.holders()} == set(names)


def test_a_running_server_follows_what_another_process_adds_and_revokes(tokens: TokenFile) -> None:
    other = TokenFile(tokens.path)
    assert tokens.find(ann := other.add("ann", Role.READER, 1)) is not None
    bob = other.add("bob", Role.TRAINER, 1)
    assert tokens.find(bob) is not None
    other.revoke("ann")
    assert tokens.find(ann) is None
    assert tokens.find(bob) is not None
    tokens.path.unlink()
    assert tokens.find(bob) is None


def test_a_name_has_one_token_and_can_have_a_new_one_after_it_is_revoked(tokens: TokenFile) -> None:
    first = tokens.add("ann", Role.READER, 1)
    with pytest.raises(TokenError, match="salt tokens revoke 'ann'"):
        tokens.add("ann", Role.TRAINER, 1)
    tokens.revoke("ann")
    second = tokens.add("ann", Role.TRAINER, 1)
    assert tokens.find(first) is None
    assert tokens.find(second) is not None


def test_who_has_no_token_cannot_be_revoked(tokens: TokenFile) -> None:
    tokens.add("ann", Role.READER, 1)
    with pytest.raises(TokenError, match=r"'bob' has no token.*ann"):
        tokens.revoke("bob")


@pytest.mark.parametrize("name", ["", " ann", "ann ", "a\nb", "[red]", "-x", "../x", "x" * 300, "local", "unknown"])
def test_a_name_that_would_mislead_is_refused(tokens: TokenFile, name: str) -> None:
    with pytest.raises(TokenError, match="cannot be the name"):
        tokens.add(name, Role.READER, 1)
    assert not tokens.path.exists()


@pytest.mark.parametrize("days", [0, -1, float("nan"), float("inf"), MOST_DAYS + 1])
def test_days_that_are_no_time_are_refused(tokens: TokenFile, days: float) -> None:
    with pytest.raises(TokenError, match="more than 0"):
        tokens.add("ann", Role.READER, days)


def _text(content: str) -> Callable[[str], str]:
    return lambda _: content


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(_text(""), id="empty"),
        pytest.param(_text("[]"), id="a list"),
        pytest.param(_text('{"ann": 3}'), id="no entry"),
        pytest.param(_text('{"ann": {"role": "reader"}}'), id="no hash"),
        pytest.param(_text("[" * 100_000), id="too deep"),
        pytest.param(lambda text: text[:40], id="cut short"),
        pytest.param(lambda text: text.replace("reader", "king"), id="no such role"),
        pytest.param(lambda text: text.replace("+00:00", ""), id="no time zone"),
        pytest.param(lambda text: text.replace('sha256": "', 'sha256": "ü'), id="no hexadecimal digits"),
    ],
)
def test_a_damaged_file_is_named_with_what_to_do_and_not_written_over(
    tokens: TokenFile, damage: Callable[[str], str]
) -> None:
    token = tokens.add("ann", Role.READER, 1)
    damaged = damage(tokens.path.read_text())
    tokens.path.write_text(damaged)
    for act in (lambda: tokens.find(token), lambda: tokens.add("bob", Role.READER, 1), lambda: tokens.revoke("ann")):
        with pytest.raises(TokenError, match="damaged") as refusal:
            act()
        assert str(tokens.path) in str(refusal.value)
        assert "salt tokens add" in str(refusal.value)
    assert tokens.path.read_text() == damaged


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such modes")
@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_may_read_or_change_is_not_believed(tokens: TokenFile, bits: int) -> None:
    token = tokens.add("ann", Role.READER, 1)
    assert tokens.find(token) is not None
    tokens.path.chmod(bits)
    with pytest.raises(TokenError, match="chmod 600"):
        tokens.find(token)
    tokens.path.chmod(0o600)
    assert tokens.find(token) is not None


def test_a_file_that_cannot_be_opened_is_explained(tokens: TokenFile) -> None:
    tokens.path.mkdir(parents=True, mode=0o700)
    with pytest.raises(TokenError, match="cannot be read"):
        tokens.find("x")


def test_the_tokens_lie_in_the_users_configuration() -> None:
    assert default_path().parts[-2:] == ("salt", "tokens.json")


def test_neither_the_gate_nor_the_command_loads_torch(tmp_path: Path) -> None:
    code = """
import pathlib, sys
import salt_monailabel.cli.tokens, salt_monailabel.serving.access.gate
salt_monailabel.cli.tokens.default_path = lambda: pathlib.Path(sys.argv[1])
for arguments in (["list"], ["add", "ann"], ["revoke", "ann"], ["revoke", "nobody"]):
    salt_monailabel.cli.app(["tokens", *arguments], standalone_mode=False)
sys.exit("torch" in sys.modules)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "tokens.json")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "'nobody' has no token" in done.stdout


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenFile:
    """Return the file that the command uses, in a folder of the test's."""
    path = tmp_path / "salt" / "tokens.json"
    monkeypatch.setattr("salt_monailabel.cli.tokens.default_path", lambda: path)
    return TokenFile(path)


def salt_tokens(*arguments: str, code: int = 0) -> str:
    result = CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)
    assert result.exit_code == code, result.output
    return result.output


def test_the_command_shows_a_token_once_and_then_only_its_holder(kept: TokenFile) -> None:
    token = salt_tokens("add", "ann", "--role", "trainer", "--days", "30").splitlines()[-1]
    holder = kept.find(token)
    assert holder is not None
    assert holder.role is Role.TRAINER
    assert holder.expires is not None
    assert holder.expires - holder.created == timedelta(days=30)
    listed = salt_tokens("list")
    assert [word for word in ("ann", "trainer", f"{holder.expires:%Y-%m-%d}") if word not in listed] == []
    assert token not in listed
    assert holder.sha256[:6] not in listed


def test_the_command_makes_an_annotator_for_a_year_and_with_0_days_one_for_ever(kept: TokenFile) -> None:
    salt_tokens("add", "ann")
    salt_tokens("add", "bob", "--days", "0")
    ann, bob = kept.holders()
    assert (ann.role, bob.role) == (Role.ANNOTATOR, Role.ANNOTATOR)
    assert ann.expires is not None
    assert ann.expires - ann.created == timedelta(days=365)
    assert bob.expires is None
    assert "for ever" in salt_tokens("list")


def test_the_command_marks_what_has_expired(kept: TokenFile) -> None:
    salt_tokens("add", "ann", "--days", "1e-9")
    assert "expired" in salt_tokens("list")


def test_the_command_revokes_a_token(kept: TokenFile) -> None:
    token = salt_tokens("add", "ann").splitlines()[-1]
    salt_tokens("revoke", "ann")
    assert kept.find(token) is None
    assert "nobody" in salt_tokens("list")


def test_the_command_explains_in_one_line_what_it_cannot_do(kept: TokenFile) -> None:
    output = salt_tokens("revoke", "ann", code=1)
    assert "'ann' has no token" in output
    assert len(output.strip().splitlines()) == 1
