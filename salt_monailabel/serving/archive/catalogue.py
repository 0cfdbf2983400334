"""What an archive has, as it said when it was last asked."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydicom.uid import UID

from salt_monailabel.imaging.segmentation import MANUFACTURER
from salt_monailabel.whole_files import written_whole

from .client import Archive, ArchiveError, Instance, value
from .segmentations import drawn_on

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drawing:
    """A segmentation in the archive.

    Attributes
    ----------
    place : Instance
    image : str
        UID of the image it was drawn on; empty if it is not of our making, or of no use.
    written : str
        Date and time, by the clock of the computer it was drawn on.
    settled : bool
        Whether the label here is this one, or one that was submitted in the knowledge of it.
    """

    place: Instance
    image: str
    written: str
    settled: bool = False


class Catalogue:
    """The images of an archive and the segmentations of them, by their UIDs. Safe for threads.

    It is kept in a file, so that a server that starts while the archive is down knows what it has fetched before.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.images: Mapping[str, Instance] = {}
        self._drawings: dict[str, Drawing] = {}
        # Whether the archive was ever looked through to the end.
        self.complete = False
        # One that a power cut left empty is made anew.
        with suppress(FileNotFoundError, ValueError):
            kept = json.loads(path.read_text())
            self.images = {uid: Instance(study, series, uid) for uid, (study, series) in kept["images"].items()}
            for drawing in kept["drawings"]:
                place = Instance(*drawing["place"])
                self._drawings[place.uid] = Drawing(**{**drawing, "place": place})
            self.complete = True

    def look(self, archive: Archive, searches: Sequence[Mapping[str, str]]) -> None:
        """Look the archive through; what is no more there is forgotten.

        Parameters
        ----------
        archive : Archive
        searches : sequence of mapping
            An image is what any of them finds.
        """
        images = {place.uid: place for search in searches for place, item in archive.search(search) if _is_image(item)}
        with self._lock:
            before, listed = set(self._drawings), set()
        for place, item in archive.search({"Modality": "SEG"}, "Manufacturer"):
            listed.add(place.uid)
            if place.uid not in before and value(item, "Manufacturer") in (None, MANUFACTURER):
                self._add(_described(archive, place))
        with self._lock:
            for uid in before - listed:
                del self._drawings[uid]
            self.images, self.complete = images, True
            self._save()

    def newer(self) -> dict[str, Drawing]:
        """Return the newest segmentation of each image where it is newer than the label here."""
        newest: dict[str, Drawing] = {}
        with self._lock:
            for drawing in self._drawings.values():
                image = drawing.image
                if image in self.images and (image not in newest or newest[image].written < drawing.written):
                    newest[image] = drawing
        return {image: drawing for image, drawing in newest.items() if not drawing.settled}

    def add(self, drawing: Drawing) -> None:
        """Take note of a segmentation that was stored."""
        self._add(drawing)
        with self._lock:
            self._save()

    def settle(self, image: str) -> None:
        """Take note that the label of an image here is as new as all that is known of."""
        with self._lock:
            for uid, drawing in self._drawings.items():
                if drawing.image == image:
                    self._drawings[uid] = replace(drawing, settled=True)
            self._save()

    def dismiss(self, drawing: Drawing) -> None:
        """Take note that a segmentation cannot be used: the one before it counts."""
        self.add(replace(drawing, image=""))

    def _add(self, drawing: Drawing) -> None:
        with self._lock:
            self._drawings[drawing.place.uid] = drawing

    def _save(self) -> None:
        places = {uid: (place.study, place.series) for uid, place in self.images.items()}
        content = {"images": places, "drawings": [asdict(drawing) for drawing in self._drawings.values()]}
        try:
            with written_whole(self._path, 0o600, durable=False) as partial:
                partial.write_text(json.dumps(content))
        except OSError as error:
            # The archive can be asked again; a label that is being submitted must not fail for it.
            logger.warning("what the archive has could not be written to %s: %s", self._path, error)


def _is_image(item: Mapping[str, object]) -> bool:
    """Say whether an instance has pixels; where it does not say what it is, or is of a vendor's own kind, it may."""
    kind = str(value(item, "SOPClassUID") or "")
    name = UID(kind).name
    return name == kind or "Image" in name


def _described(archive: Archive, place: Instance) -> Drawing:
    try:
        found = drawn_on(archive.describe(place))
    except ArchiveError as error:
        if error.status_code != 404:
            raise
        found = None
    return Drawing(place, *(found or ("", "")))
