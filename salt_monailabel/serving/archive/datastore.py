"""The datastore over a hospital's archive: labels go to it as DICOM segmentations, and come back from it."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from monailabel.interfaces.exception import LabelNotFoundException
from pydicom import Dataset, dcmread

from salt_monailabel.imaging import ImageError, read_mask
from salt_monailabel.imaging.run import RunView
from salt_monailabel.imaging.segmentation import write_segmentation
from salt_monailabel.versions import BASE

from ..datastore import FINAL
from ..earlier import Saved
from ..uploads import discarded_on_error
from .background import Background, reason_of
from .catalogue import Drawing
from .client import Archive, ArchiveError, Instance
from .images import INTERVAL, ArchiveImages
from .segmentations import read_segmentation

logger = logging.getLogger(__name__)

# What the info of a final label says of it: `state` (waiting or stored), the `segmentation` it is in the archive, and a
# `warning` while it cannot be stored.
NOTE = "archive"
WAITING, STORED = "waiting", "stored"
# Until it is woken.
NEVER = 1e6


class ArchiveDatastore(ArchiveImages):
    """A datastore over an archive: final labels are kept here first, and stored there as DICOM segmentations.

    A label that is submitted is acknowledged once it is safe here: the archive may be slow, or down, and whoever drew
    it can do nothing about that. It is sent in the background, after failures with longer and longer pauses, also by
    the next process; the info of the label, `/info/` and the log say what is wrong. It is written as a segmentation
    once, and that is sent until the archive has it, so there is never a second of one label.

    Segmentations of our making that others stored are taken over as labels: of all of an image, the newest counts.

    Parameters are those of `ArchiveImages`.
    """

    def __init__(
        self, archive: Archive, labels: Sequence[str], folder: Path, searches: Sequence[Mapping[str, str]], largest: int
    ) -> None:
        super().__init__(archive, labels, folder, searches, largest)
        self.outbox = folder / "outbox"
        self.outbox.mkdir(mode=0o700, exist_ok=True)
        self._locks: dict[str, threading.Lock] = {}
        self._tried: dict[str, float] = {}
        self.sending = Background(f"storing labels in {archive.address}", self._send)
        self.looking.start()
        self.sending.start()

    def close(self) -> None:
        """End the work in the background; what is not done yet is done by the next process."""
        self.sending.stop()
        super().close()

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> Saved:
        """Store a label here if it fits its image, and have a final one sent to the archive."""
        tag = label_tag.value if isinstance(label_tag, Enum) else label_tag
        info = {key: known for key, known in (label_info or {}).items() if key != NOTE}
        if tag != FINAL:
            return super().save_label(image_id, label_filename, tag, info)
        with discarded_on_error(label_filename):
            # Fetched before others have to wait.
            self.get_image_uri(image_id)
            with self._changing(image_id):
                info[NOTE] = {"state": WAITING, **({"warning": trouble} if (trouble := self.sending.trouble) else {})}
                saved = super().save_label(image_id, label_filename, tag, info)
                self.catalogue.settle(image_id)
        self.sending.wake()
        return saved

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label here. Its segmentation stays in the archive, which DICOMweb cannot change."""
        with self._changing(label_id):
            super().remove_label(label_id, label_tag)
            if label_tag == FINAL:
                (self.outbox / f"{label_id}.dcm").unlink(missing_ok=True)

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label; whether the archive has it is not for others to say."""
        super().update_label_info(label_id, label_tag, {key: known for key, known in info.items() if key != NOTE})

    def status(self) -> dict[str, Any]:
        """Return how many images and labels there are, how many wait to be stored in the archive, and why."""
        status = super().status()
        warning = self.sending.trouble or self.trouble
        return {**status, "archive": {**status["archive"], "waiting": len(self._waiting()), "warning": warning}}

    def _look(self) -> float:
        seconds = super()._look()
        failure: Exception | None = None
        for image, drawing in self.catalogue.newer().items() if self._works() else ():
            try:
                self._take_over(image, drawing)
            except (ArchiveError, ImageError) as error:
                status = error.status_code if isinstance(error, ArchiveError) else 404
                if status == 503:
                    raise
                if status == 502:
                    failure = error
                    continue
                logger.warning("a segmentation in the archive is not taken over: %s", reason_of(error))
                # It will not become better.
                self.catalogue.dismiss(drawing)
        if failure is not None:
            raise failure
        return seconds

    def _take_over(self, image: str, drawing: Drawing) -> None:
        """Make a segmentation of the archive the label of its image."""
        study = self._study(image)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            file = Path(folder) / "segmentation.dcm"
            self.archive.fetch(drawing.place, file, self.largest)
            mask, view = read_segmentation(file, image, study.shape, self.label_names)
            try:
                view.check(study)
            except ImageError:
                # Somebody changed what it says; the mask is of this image all the same.
                view = RunView()
        with self._changing(image):
            # A label may have been submitted meanwhile; one that is not stored yet may be newer, or older.
            if self.catalogue.newer().get(image) == drawing and image not in self._waiting():
                note = {"state": STORED, "segmentation": drawing.place.uid}
                self._store_label(image, mask, study, FINAL, {NOTE: note, "view": view.told()})
                self.catalogue.settle(image)

    def _send(self) -> float:
        """Store all labels that wait; returns the seconds until the next time."""
        if not self._works():
            return INTERVAL
        failure: Exception | None = None
        # Those that failed last come last: one that the archive chokes on must not keep the others from it.
        for image in sorted(self._waiting(), key=lambda image: self._tried.get(image, 0.0)):
            self._tried[image] = time.monotonic()
            try:
                self._hand_in(image)
            except (HTTPException, ImageError, OSError) as error:
                failure = error
                down = isinstance(error, ArchiveError) and error.status_code == 503
                self._warn(self._waiting() if down else {image}, reason_of(error))
                if down:
                    break
        if failure is not None:
            raise failure
        return NEVER

    def _hand_in(self, image: str) -> None:
        path = self.outbox / f"{image}.dcm"
        with self._changing(image):
            note = self._note_of(image)
            if note is not None and not (path.is_file() and _header(path).SOPInstanceUID == note.get("segmentation")):
                self._write(image, path, note)
            if not path.is_file():
                return
            header, content = _header(path), path.read_bytes()
        place = Instance(header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID)
        self.archive.store(content, place.uid)
        with self._changing(image):
            self.catalogue.add(Drawing(place, image, f"{header.ContentDate}{header.ContentTime}", settled=True))
            # Another label may have been submitted meanwhile.
            note = self._note_of(image)
            if note is None or note.get("segmentation") == place.uid:
                self._take_note(image, {"state": STORED, "segmentation": place.uid})
                path.unlink(missing_ok=True)
        logger.info("the label of %s is stored in %s as %s", image, self.archive.address, place.uid)

    def _write(self, image: str, path: Path, note: Mapping[str, str]) -> None:
        """Write the label of an image as a segmentation, and note which it is."""
        study = self._study(image)
        mask = read_mask(self.get_label_uri(image, FINAL), study)
        info = self.get_label_info(image, FINAL)
        version, view = info.get("effort", {}).get("version") or BASE, RunView.of(info.get("view") or {})
        write_segmentation(mask, self.label_names, self.get_image_uri(image), path, version, view)
        self._take_note(image, {**note, "state": WAITING, "segmentation": _header(path).SOPInstanceUID})

    def _waiting(self) -> set[str]:
        """Return the images whose label the archive does not have yet."""
        drawn = {path.stem for path in self.outbox.glob("[0-9]*.dcm")}
        return drawn | {i for i in self.get_labeled_images() if (self._note_of(i) or {}).get("state") != STORED}

    def _changing(self, image: str) -> threading.Lock:
        """Return what is held while a label changes, is written as a segmentation, or is noted as stored."""
        return self._locks.setdefault(image, threading.Lock())

    def _warn(self, images: set[str], reason: str) -> None:
        for image in images:
            with self._changing(image):
                note = self._note_of(image)
                if note is not None and note.get("warning") != reason:
                    self._take_note(image, {**note, "warning": reason})

    def _note_of(self, image: str) -> Mapping[str, str] | None:
        info = self.get_label_info(image, FINAL)
        return info.get(NOTE, {}) if info else None

    def _take_note(self, image: str, note: Mapping[str, str]) -> None:
        with suppress(LabelNotFoundException):
            super().update_label_info(image, FINAL, {NOTE: note})


def _header(path: Path) -> Dataset:
    return dcmread(path, stop_before_pixels=True)
