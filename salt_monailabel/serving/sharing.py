"""What images are called where others may read it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydicom import dcmread

from salt_monailabel.imaging.identity import found, identifiers
from salt_monailabel.imaging.pseudonyms import Pseudonyms

if TYPE_CHECKING:
    from .datastore import VesselDatastore


def pseudonyms_of(store: VesselDatastore) -> Pseudonyms:
    """Return the pseudonyms of a store's images: the same in all that leaves it."""
    return Pseudonyms.kept_in(Path(store._datastore_path))


def identifying(files: Iterable[str | Path], uids: bool = True) -> frozenset[str]:
    """Return what identifies the patients of some image files, by their DICOM tags; other files have none."""
    found_in: set[str] = set()
    for file in files:
        status = Path(file).stat()
        found_in |= _identifiers(str(file), status.st_mtime_ns, status.st_size, uids)
    return frozenset(found_in)


class CaseNames:
    """What the labelled images of a store are called on a page.

    Parameters
    ----------
    store : VesselDatastore
    shared : bool
        Whether the page is to leave the house: all images have pseudonyms then, for of a PNG nobody knows what its name
        says. Else only those whose name has something of what the tags of any labelled image say of a patient. UIDs do
        not count: whoever has the page and the archive may see both.
    """

    def __init__(self, store: VesselDatastore, shared: bool) -> None:
        self._store = store
        self._shared = shared

    def __call__(self, image: str) -> str:
        """Return the name of an image, by its id."""
        known = self._shared or found(image, self._identifying)
        return self._pseudonyms.case(image) if known else image

    @cached_property
    def _pseudonyms(self) -> Pseudonyms:
        return pseudonyms_of(self._store)

    @cached_property
    def _identifying(self) -> frozenset[str]:
        return identifying((pair["image"] for pair in self._store.datalist()), uids=False)


@lru_cache(maxsize=1 << 14)
def _identifiers(file: str, modified: int, size: int, uids: bool) -> frozenset[str]:
    try:
        return identifiers(dcmread(file, stop_before_pixels=True), uids)
    except Exception:
        # No DICOM, or damaged in one of many ways.
        return frozenset()
