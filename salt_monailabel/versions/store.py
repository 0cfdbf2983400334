"""A folder of numbered adapters and the number of the one in use.

    FOLDER/0001/adapter.safetensors   see `adapters/file.py`; never changed
    FOLDER/0001/card.json             its card, for people
    FOLDER/current                    "0001", or "base", and below it what was in use before, the last first;
                                      replaced by an atomic rename

A version's folder appears whole, by a rename. A reader sees the version in use before or the one after, whatever is
killed in between.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from filelock import FileLock

from salt_monailabel.adapters import Adapter, copy, read_card, save
from salt_monailabel.imaging.pseudonyms import Pseudonyms
from salt_monailabel.whole_files import written_whole

from .shared import shared_card

BASE = "base"
ADAPTER, CARD, CURRENT = "adapter.safetensors", "card.json", "current"
# So many versions one can go back.
REMEMBERED = 100


class VersionError(ValueError):
    """A version that is not there; the message names those that are."""


class VersionStore:
    """The versions in a folder.

    Parameters
    ----------
    folder : path
        Made when the first version is added.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def versions(self) -> list[str]:
        """Return the names of all versions, oldest first."""
        names = (path.parent.name for path in self.folder.glob(f"*/{CARD}"))
        return sorted((name for name in names if name.isdecimal()), key=int)

    def current(self) -> str | None:
        """Return the name of the version in use; None if the base serves as it is."""
        # Asked with each click: no more is looked up than the first.
        name = next(self._remembered(), BASE)
        return None if name == BASE else name

    def path(self, name: str) -> Path:
        """Return the adapter file of a version."""
        return self.folder / name / ADAPTER

    def card(self, name: str) -> dict[str, Any]:
        """Return the card of a version.

        Raises
        ------
        VersionError, AdapterError
            If there is no such version, or it is damaged.
        """
        return read_card(self.path(self._known(name)))

    def add(self, adapter: Adapter, card: Mapping[str, Any], parent: str | None) -> str:
        """Write a new version and return its name; the version in use stays the same.

        Parameters
        ----------
        adapter : Adapter
        card : mapping
            What to say of it.
        parent : str, optional
            The version it was trained on from; None for the base.

        Raises
        ------
        OSError
            If there is no room or no permission; nothing is left behind.
        """
        return self._write(lambda path, own: save(adapter, path, {**card, **own}), parent)

    def promote(self, name: str | None) -> None:
        """Put a version in use, or the base.

        Raises
        ------
        VersionError, AdapterError
            If there is no such version, or it is damaged; the version in use stays the same.
        """
        if name is not None:
            self.card(name)
        with self._locked():
            self._use([name or BASE, *self._history()])

    def succeed(self, name: str, before: str | None) -> bool:
        """Put a version in use if the one before it still is, and return whether; a user may have chosen another."""
        with self._locked():
            history = self._history()
            still = history[0] == (before or BASE)
            if still:
                self._use([self._known(name), *history])
        return still

    def roll_back(self) -> str | None:
        """Put back in use what was in use before, and return its name; None for the base.

        Raises
        ------
        VersionError
            If nothing was in use before.
        """
        with self._locked():
            history = self._history()
            if len(history) == 1:
                raise VersionError(f"{history[0]} is in use; there was no version before it")
            self._use(history[1:])
        return None if history[1] == BASE else history[1]

    def export(self, name: str, target: Path, pseudonyms: Pseudonyms | None = None) -> None:
        """Write a version to `target` for others, atomically; its card names no image, person or date.

        Parameters
        ----------
        name : str
        target : Path
        pseudonyms : Pseudonyms, optional
            For the images it learned from; by default such that nobody can tell which they are.

        Raises
        ------
        VersionError, AdapterError
            If there is no such version, or it is damaged.
        OSError
            If there is no room or no permission; nothing is left behind.
        """
        copy(self.path(self._known(name)), target, lambda card: shared_card(card, pseudonyms or Pseudonyms()))

    def take_in(self, source: Path) -> str:
        """Add an adapter file from elsewhere as a new version and return its name.

        Raises
        ------
        AdapterError
            If it is no adapter.
        """
        origin = read_card(source).get("version", source.name)
        # Of the labels here it has learned from none, whatever others noted.
        foreign = {"taken_in_from": origin, "learned_until": 0, "learned_in_part": {}, "learned_whole": []}
        foreign |= {"best": {}, "first": {}}
        return self._write(lambda path, own: copy(source, path, lambda card: {**card, **own, **foreign}), None)

    def _history(self) -> list[str]:
        """Return what is in use and what was before, the last first: at least the base."""
        return [*self._remembered()] or [BASE]

    def _remembered(self) -> Iterator[str]:
        """Yield what was put in use, the last first, as far as it is there."""
        try:
            names = (self.folder / CURRENT).read_text().split()
        except FileNotFoundError:
            names = []
        return (name for name in names if name == BASE or self._is_there(name))

    def _is_there(self, name: str) -> bool:
        return name.isdecimal() and self.path(name).is_file()

    def _use(self, history: list[str]) -> None:
        known = [name for name, _ in groupby(history)]
        with written_whole(self.folder / CURRENT) as partial:
            partial.write_text("\n".join(known[:REMEMBERED]) + "\n", encoding="utf-8")

    def _locked(self) -> FileLock:
        self.folder.mkdir(parents=True, exist_ok=True)
        return FileLock(self.folder / ".lock")

    def _write(self, write: Callable[[Path, dict[str, Any]], dict[str, Any]], parent: str | None) -> str:
        with self._locked():
            # What a killed process left half made.
            for left in self.folder.glob(".*.partial"):
                shutil.rmtree(left)
            versions = self.versions()
            name = f"{int(versions[-1]) + 1 if versions else 1:04d}"
            partial = self.folder / f".{name}.partial"
            try:
                partial.mkdir()
                whole = write(partial / ADAPTER, {"version": name, "parent": parent})
                with written_whole(partial / CARD) as card:
                    card.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
                os.rename(partial, self.folder / name)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return name

    def _known(self, name: str) -> str:
        if name not in (known := self.versions()):
            raise VersionError(f"there is no version '{name}' in {self.folder}; it has {', '.join(known) or 'none'}")
        return name
