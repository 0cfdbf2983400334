"""The images of an archive, fetched when they are used."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from filelock import FileLock, Timeout

from ..datastore import PROPOSAL, VesselDatastore
from ..errors import explained
from .background import Background
from .catalogue import Catalogue
from .client import Archive, ArchiveError
from .room import make_room, used

# Seconds between two looks at what the archive has; where one takes long, this many times as long as it took.
INTERVAL, TIMES = 60.0, 10.0
# Seconds that whoever wants the next image waits for the first look.
PATIENCE = 30.0


class ArchiveImages(VesselDatastore):
    """A datastore whose images are the instances of an archive; each is called by its SOP instance UID.

    What was fetched lies in `folder`/studies: images of patients, so the folder is its owner's alone (mode 0700). Once
    it holds `room.MOST` bytes, images without a label are removed, those first that were not used for longest. The
    archive is looked through in the background, again and again: nobody waits for it, new images come of themselves,
    and while it is down, what is known of it can be worked on.

    Parameters
    ----------
    archive : Archive
    labels : sequence of str
        As for `VesselDatastore`.
    folder : Path
        Of this archive alone. Of several processes with one folder, the first does the work in the background.
    searches : sequence of mapping
        Keywords and values; an image is what any of them finds.
    largest : int
        Bytes of the largest instance that is fetched.
    """

    def __init__(
        self,
        archive: Archive,
        labels: Sequence[str],
        folder: Path,
        searches: Sequence[Mapping[str, str]],
        largest: int,
    ) -> None:
        for part in (folder, folder / "studies"):
            part.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.chmod(0o700)
        self.archive = archive
        self.folder = folder
        self.largest = largest
        self.catalogue = Catalogue(folder / "catalogue.json")
        self.looking = Background(f"looking through {archive.address}", self._look)
        self._searches = searches
        self._fetching: dict[str, threading.Lock] = {}
        # Held by the process, not by a thread; two threads must not ask for it at once.
        self._alone = FileLock(folder / ".lock", thread_local=False)
        self._asking, self._closed = threading.Lock(), False
        super().__init__(str(folder / "studies"), labels, auto_reload=False)

    def name(self) -> str:
        """Return the address of the archive."""
        return self.archive.address

    @property
    def trouble(self) -> str:
        """Say why what is known of the archive is not all or not new; empty where nothing is wrong."""
        if self.looking.trouble or self.catalogue.complete:
            return self.looking.trouble
        return f"{self.archive.address} is still being looked through; ask again"

    def close(self) -> None:
        """End the work in the background; what is not done yet is done by the next process."""
        self.looking.stop()
        with self._asking:
            self._closed = True
            self._alone.release(force=True)

    def refresh(self) -> None:
        """Look through the archive soon, and through the folder now."""
        self.looking.wake()
        super().refresh()

    def list_images(self) -> list[str]:
        """Return the images of the archive, and those with a label here that it has no more."""
        return list(dict.fromkeys([*self.catalogue.images, *self.get_labeled_images()]))

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return the images without a final label, here or in the archive.

        Raises
        ------
        ArchiveError
            503 if the archive was never looked through.
        """
        end = time.monotonic() + PATIENCE
        while not (self.catalogue.complete or self.looking.wait(0.1)) and time.monotonic() < end:
            pass
        if not self.catalogue.complete:
            raise ArchiveError(503, self.trouble)
        done = {*self.get_labeled_images(), *self.catalogue.newer()}
        return [image for image in self.catalogue.images if image not in done]

    def get_image_uri(self, image_id: str) -> str:
        """Return the file of an image, fetched if it is not here; nothing if there is no such image.

        Raises
        ------
        ArchiveError
            If it cannot be fetched.
        """
        place, path = self.catalogue.images.get(image_id), super().get_image_uri(image_id)
        if used(path) or place is None:
            return path
        target = self.folder / "studies" / f"{image_id}.dcm"
        with self._fetching.setdefault(image_id, threading.Lock()), explained():
            if not used(str(target)):
                self.archive.fetch(place, target, self.largest)
        # Not within the lock: the guard of the datastore may be held by one who waits for it.
        self._make_room()
        self._reconcile_datastore()
        return super().get_image_uri(image_id)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return what is known of an image; of one that is not fetched, where it is in the archive."""
        return {**self._place_of(image_id), **super().get_image_info(image_id)}

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Refuse: the images are those of the archive."""
        raise HTTPException(400, f"images are added in the archive itself, {self.archive.address}")

    def remove_image(self, image_id: str) -> None:
        """Refuse: the images are those of the archive."""
        raise HTTPException(400, f"images are removed in the archive itself, {self.archive.address}")

    def status(self) -> dict[str, Any]:
        """Return how many images and labels there are, and what is wrong with the archive, if anything is."""
        return {**super().status(), "archive": {"address": self.archive.address, "warning": self.trouble}}

    def json(self) -> dict[str, Any]:
        """Return all that is known, of images that are not fetched too."""
        known = super().json()
        listed = {
            image: {"image": {"ext": ".dcm", "info": self._place_of(image)}, "labels": {}}
            for image in self.catalogue.images
        }
        return {**known, "objects": {**listed, **known["objects"]}}

    def _make_room(self) -> None:
        """Remove images fetched long ago; not those with a label, which is known, and learned from, with its image."""
        with self._changing_file():
            labelled = {image for image, known in self._everything().items() if known.labels.keys() - {PROPOSAL}}
            make_room(self.folder / "studies", labelled)

    def _place_of(self, image_id: str) -> dict[str, str]:
        place = self.catalogue.images.get(image_id)
        return {"StudyInstanceUID": place.study, "SeriesInstanceUID": place.series} if place else {}

    def _look(self) -> float:
        """Look the archive through; returns the seconds until the next time."""
        if not self._works():
            return INTERVAL
        started = time.monotonic()
        self.catalogue.look(self.archive, self._searches)
        return max(INTERVAL, TIMES * (time.monotonic() - started))

    def _works(self) -> bool:
        """Say whether it is this process that works in the background."""
        with self._asking, suppress(Timeout):
            if not (self._closed or self._alone.is_locked):
                self._alone.acquire(timeout=0)
        return self._alone.is_locked
