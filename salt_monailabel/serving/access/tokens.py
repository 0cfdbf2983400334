"""Bearer tokens: who may use a server, for what, and until when. The file holds hashes; a token is shown once."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from functools import total_ordering
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock

from salt_monailabel.whole_files import written_whole

from .audit import LOCAL, UNKNOWN

MOST_DAYS = 36500
_NAME = re.compile(r"\w( ?[\w.@-]){0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_OTHERS = 0o077


class TokenError(ValueError):
    """Tokens that cannot be read, made or revoked; the message says what to do."""


@total_ordering
class Role(Enum):
    """What the bearer of a token may do; each may do what those before it may."""

    READER = "reader"
    ANNOTATOR = "annotator"
    TRAINER = "trainer"

    def __lt__(self, other: Role) -> bool:
        order = list(Role)
        return order.index(self) < order.index(other)


# What whoever sent the request under way may do; without our gate there are no roles.
current_role: ContextVar[Role] = ContextVar("current_role", default=Role.TRAINER)


@dataclass(frozen=True)
class Holder:
    """Somebody with a token.

    Attributes
    ----------
    name : str
    role : Role
    sha256 : str
        Hash of the token, in hexadecimal digits.
    created : datetime
        With its time zone.
    expires : datetime, optional
        With its time zone; None for a token without an end.
    """

    name: str
    role: Role
    sha256: str = field(repr=False)
    created: datetime
    expires: datetime | None

    def expired(self, now: datetime | None = None) -> bool:
        """Say whether the token has come to its end."""
        return self.expires is not None and self.expires <= (now or datetime.now(timezone.utc))


def default_path() -> Path:
    """Return where the tokens of this user's servers are kept."""
    return platformdirs.user_config_path("salt") / "tokens.json"


class TokenFile:
    """Tokens in a file that only its owner may read; a running server follows its changes.

    Parameters
    ----------
    path : Path
        Made when the first token is added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[tuple[int, ...], tuple[Holder, ...]] | None = None

    def holders(self) -> tuple[Holder, ...]:
        """Return everybody who has a token, expired or not; nobody if there is no file.

        Raises
        ------
        TokenError
            If the file is damaged, or others may read or change it.
        """
        try:
            state = _state(self.path.stat())
            if self._seen is None or self._seen[0] != state:
                self._seen = self._read()
            return self._seen[1]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise TokenError(f"the tokens in {self.path} cannot be read: {error.strerror}") from error

    def find(self, token: str, now: datetime | None = None) -> Holder | None:
        """Return who holds a token; None if nobody does or it has expired. Raises as `holders` does."""
        digest = _hash(token)
        # All are compared, each in the same time, so that the time taken says nothing about any of them.
        found = [holder for holder in self.holders() if hmac.compare_digest(holder.sha256, digest)]
        return found[0] if found and not found[0].expired(now) else None

    def add(self, name: str, role: Role, days: float | None) -> str:
        """Make a token and return it: it is not kept, and cannot be shown again.

        Parameters
        ----------
        name : str
            Whose it is, as the audit log will say.
        role : Role
        days : float, optional
            How long it is valid; None for ever.

        Raises
        ------
        TokenError
            If the name is taken or cannot be used, the days are not above 0, or the file is damaged.
        OSError
            If there is no room or no permission; the tokens there were stay.
        """
        if not _NAME.fullmatch(name) or name in (LOCAL, UNKNOWN):
            raise TokenError(f"'{name}' cannot be the name of a token; use letters, digits, '.', '-', '_' and '@'")
        if days is not None and not 0 < days <= MOST_DAYS:
            raise TokenError(f"a token cannot be valid for {days:g} days; give more than 0 and at most {MOST_DAYS}")
        token = secrets.token_urlsafe(32)
        created = datetime.now(timezone.utc).replace(microsecond=0)
        expires = None if days is None else created + timedelta(days=days)
        with self._locked():
            holders = self.holders()
            if name in [holder.name for holder in holders]:
                raise TokenError(f"'{name}' has a token; take another name, or first `salt tokens revoke '{name}'`")
            self._write([*holders, Holder(name, role, _hash(token), created, expires)])
        return token

    def revoke(self, name: str) -> None:
        """Forget a token; a running server refuses it from then on.

        Raises
        ------
        TokenError
            If there is none of that name, or the file is damaged.
        """
        with self._locked():
            holders = self.holders()
            kept = [holder for holder in holders if holder.name != name]
            if len(kept) == len(holders):
                known = ", ".join(holder.name for holder in holders) or "nobody"
                raise TokenError(f"'{name}' has no token in {self.path}; these have: {known}")
            self._write(kept)

    def _locked(self) -> FileLock:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return FileLock(self.path.with_name(f".{self.path.name}.lock"))

    def _read(self) -> tuple[tuple[int, ...], tuple[Holder, ...]]:
        with open(self.path, encoding="utf-8") as file:
            # Of the open file: another may have taken its name since.
            status = os.fstat(file.fileno())
            # Windows has no such bits.
            if os.name == "posix" and status.st_mode & _OTHERS:
                raise TokenError(
                    f"others may read or change {self.path}; run `chmod 600 '{self.path}'` "
                    "and look with `salt tokens list` whether all of it is yours"
                )
            try:
                holders = tuple(_holder(name, entry) for name, entry in json.load(file).items())
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise TokenError(
                    f"{self.path} is damaged ({type(error).__name__}: {error}); put a copy of it back, or remove "
                    "it and make new tokens with `salt tokens add`"
                ) from error
        return _state(status), holders

    def _write(self, holders: Sequence[Holder]) -> None:
        entries = {holder.name: _entry(holder) for holder in holders}
        # Such a file is its owner's alone from the moment it exists.
        with written_whole(self.path, mode=0o600) as partial:
            partial.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Return what differs between a file and a changed one."""
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _entry(holder: Holder) -> dict[str, str | None]:
    return {
        "role": holder.role.value,
        "sha256": holder.sha256,
        "created": holder.created.isoformat(),
        "expires": holder.expires.isoformat() if holder.expires else None,
    }


def _holder(name: str, entry: dict[str, Any]) -> Holder:
    if not _NAME.fullmatch(name) or not _SHA256.fullmatch(entry["sha256"]):
        raise ValueError(f"the entry of '{name}'")
    expires = entry["expires"]
    return Holder(
        name,
        Role(entry["role"]),
        entry["sha256"],
        _moment(entry["created"]),
        None if expires is None else _moment(expires),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' has no time zone")
    return moment.astimezone(timezone.utc)
