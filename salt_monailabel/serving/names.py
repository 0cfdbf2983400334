"""Ids for the images of a folder and the folders in it: plain names, each of one image."""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from fastapi import HTTPException

from salt_monailabel.imaging import split_name

from .access.arguments import checked_name

# Bytes that are kept of a name that is too long; the end of a path says more than its beginning.
_KEPT = 150


def new_ids(paths: Iterable[str], taken: Iterable[str]) -> dict[str, str]:
    """Choose ids for images that have none yet.

    An image is named by its stem, one in folders by these too, joined with `_`. Where several would have one name, or
    another image has it already, the whole name of the file is used, and where that does not help, a hash of its path.
    The order of the paths does not matter.

    Parameters
    ----------
    paths : iterable of str
        Where the files lie in the folder, with `/` between folders.
    taken : iterable of str
        Ids that must not be used again.

    Returns
    -------
    dict
        The id of each path.
    """
    waiting, used, ids = sorted(set(paths)), set(taken), dict[str, str]()
    for called in (_stem_at_the_top, _stem, _whole_name):
        wanted = {path: called(path) for path in waiting}
        counts = Counter(wanted.values())
        chosen = {p: name for p, name in wanted.items() if counts[name] == 1 and name not in used and _is_plain(name)}
        ids |= chosen
        used.update(chosen.values())
        waiting = [path for path in waiting if path not in chosen]
    for path in waiting:
        ids[path] = next(name for name in _hashed(path) if name not in used)
        used.add(ids[path])
    return ids


def natural(name: str) -> tuple[list[str | int], str]:
    """Return what names are sorted by so that `IM2` comes before `IM10`."""
    parts = re.split(r"(\d+)", name.casefold())
    # Every second part is a number; its digits may be of any script.
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name


def flat_name(image_id: str, extension: str) -> str:
    """Return a file name for an image outside of its folders; what has no extension is DICOM."""
    return f"{image_id}{extension or '.dcm'}"


def _stem_at_the_top(path: str) -> str:
    # Files beside the store's own came first to the names they have.
    return "" if "/" in path else split_name(path)[0]


def _stem(path: str) -> str:
    return _flat(split_name(path)[0])


def _whole_name(path: str) -> str:
    return _flat(path)


def _hashed(path: str) -> Iterable[str]:
    end = _stem(path).encode()[-_KEPT:].decode(errors="ignore").lstrip(".")
    for attempt in itertools.count():
        yield f"{end}-{hashlib.sha256(f'{attempt}/{path}'.encode()).hexdigest()[:8]}"


def _flat(path: str) -> str:
    return "".join("_" if c in "/\\" or unicodedata.category(c) in ("Cc", "Cs") else c for c in path)


def _is_plain(name: str) -> bool:
    try:
        checked_name(name, "image")
    except HTTPException:
        return False
    return True
