"""The images in a folder and in the folders in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Container, Iterator
from functools import lru_cache
from pathlib import Path

from salt_monailabel.imaging import split_name

logger = logging.getLogger(__name__)

LABELS, ADAPTERS = "labels", "adapters"
# Folders without images: of ours, and of a data set as `salt train` takes it, its masks and fields of view.
_OTHERS = (LABELS, ADAPTERS, "masks", "fov")
# The index of a disc of DICOM files, itself one (PS3.10, 8.6).
_INDEX = "DICOMDIR"


def images_in(folder: str | Path, known: Container[str]) -> set[str]:
    """Return where images lie in a folder, however deep, with `/` between folders.

    Images are files with an extension that is read, and those that begin as DICOM does, whatever they are called. What
    is hidden, folders of labels, of adapters, and of a data set's masks and fields of view, and links that lead out of
    the folder are passed over; so are links to folders, for what is in them is found where it is.

    Parameters
    ----------
    folder : str or Path
        One that cannot be looked into has no images; so it is with the folders in it.
    known : container of str
        Where images are known to be, which are not looked into.
    """
    folder = os.path.realpath(folder)
    found, links = set[str](), list[str]()
    for path, entry in _entries(folder):
        try:
            if not (entry.is_file() and (path in known or _is_image(entry))):
                if entry.is_symlink() and entry.is_dir():
                    _pass_over(entry.path, "links to folders are not followed")
            elif not _can_be_read(path):
                _pass_over(entry.path, "its name is not in UTF-8; rename it")
            elif entry.is_symlink():
                links.append(path)
            else:
                found.add(path)
        except OSError as error:
            _pass_over(entry.path, str(error))
    places = {os.path.join(folder, path) for path in found}
    for path in links:
        if os.path.realpath(os.path.join(folder, path)) in places:
            found.add(path)
        else:
            _pass_over(path, "it is a link to what is no image of this folder; copy the image itself")
    return found


def _entries(folder: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield what is in a folder and the folders in it, and the place of each."""
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, inside)) as entries:
                seen = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:
            _pass_over(inside or folder, str(error))
            continue
        for entry in seen:
            if not _is_folder(entry):
                yield inside + entry.name, entry
            elif entry.name.lower() not in _OTHERS:
                waiting.append(f"{inside}{entry.name}/")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False


def _is_image(entry: os.DirEntry[str]) -> bool:
    if split_name(entry.name)[1]:
        return True
    status = entry.stat()
    return entry.name.upper() != _INDEX and _is_dicom(entry.path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1 << 16)
def _is_dicom(path: str, modified: int, size: int) -> bool:
    """Say whether a file begins with a DICOM preamble (PS3.10, 7.1); one that does not is not read again."""
    if size < 132:
        return False
    with open(path, "rb", buffering=0) as file:
        return file.read(132)[128:] == b"DICM"


def _can_be_read(path: str) -> bool:
    """Say whether a path can be handed to SimpleITK, which ends the process at one that is not in UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=1000)
def _pass_over(path: str, why: str) -> None:
    """Say so in the log, once."""
    logger.warning("%r is passed over: %s", path, why)
