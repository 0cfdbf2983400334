"""A folder of numbered adapter files and the number of the one in use.

    FOLDER/0001.safetensors     an adapter with its card, see `adapters/file.py`; never changed
    FOLDER/0001.json            the same card, for people
    FOLDER/current              "0001", replaced by an atomic rename

A reader sees the previous version or the new one, whole, whatever is killed in between.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salt_monailabel.adapters import Adapter, save


class VersionStore:
    """The versions in a folder.

    Parameters
    ----------
    folder : path
        Made when the first version is published.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def versions(self) -> list[str]:
        """Return the names of all versions, oldest first."""
        names = (path.stem for path in self.folder.glob("*.safetensors"))
        return sorted((name for name in names if name.isdecimal()), key=int)

    def current(self) -> str | None:
        """Return the name of the version in use; None if there is none yet and the base serves as it is."""
        try:
            name = (self.folder / "current").read_text().strip()
        except FileNotFoundError:
            return None
        return name if name and self.path(name).is_file() else None

    def path(self, name: str) -> Path:
        """Return the adapter file of a version."""
        return self.folder / f"{name}.safetensors"

    def publish(self, adapter: Adapter, card: Mapping[str, Any]) -> str:
        """Write a new version, make it current and return its name.

        Raises
        ------
        OSError
            If there is no room or no permission; the current version stays as it is.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        versions = self.versions()
        name = f"{int(versions[-1]) + 1 if versions else 1:04d}"
        whole = save(adapter, self.path(name), {**card, "version": name, "parent": self.current()})
        _replace(self.path(name).with_suffix(".json"), json.dumps(whole, indent=1) + "\n")
        _replace(self.folder / "current", f"{name}\n")
        return name


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
