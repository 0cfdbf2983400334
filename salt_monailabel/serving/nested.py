"""A local datastore whose images lie in folders of folders."""

from __future__ import annotations

import copy
import json
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore, LocalDatastoreModel

from salt_monailabel.imaging import EXTENSIONS, split_name
from salt_monailabel.whole_files import PARTIAL, written_whole

from .folders import images_in
from .names import flat_name, new_ids
from .watching import FolderWatch

logger = logging.getLogger(__name__)


class NestedDatastore(LocalDatastore):
    """MONAI Label's folder of images and labels, and the folders in it, for several threads and processes.

    See `images_in` for what is an image, and `new_ids` for what it is called. An id stands for one file ever after,
    unless the image is removed here. What is known of an image whose file is gone, and its labels, are kept until it is
    back: MONAI Label would forget it, and another file could get its name and its label.

    Parameters
    ----------
    folder : str
    auto_reload : bool
        Whether files that others put there are taken in.
    read_only : bool
        Whether to look only at what is known already.
    """

    def __init__(self, folder: str, auto_reload: bool = True, read_only: bool = False) -> None:
        self._guard = threading.RLock()
        self._lock = FileLock(Path(folder) / ".lock")
        # What tells the file of what is known, as it was last read or written here, from one of another process.
        self._state: tuple[int, ...] | None = None
        # Images whose files are gone.
        self._away: dict[str, ImageLabelModel] = {}
        patterns = [f"*{case}" for e in EXTENSIONS for case in (e, e.upper())]
        super().__init__(folder, extensions=patterns, read_only=read_only)
        if auto_reload:
            FolderWatch(folder, self.refresh, polling=self._is_on_mount(self._datastore.image_path()))

    def get_image_uri(self, image_id: str) -> str:
        """Return the path of an image; nothing if there is none of that id."""
        known = self._datastore.objects.get(image_id)
        return str(self._place(file_of(image_id, known))) if known else ""

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """Return what is known of an image, and its path; nothing if there is none of that id."""
        known = self._datastore.objects.get(image_id)
        if known is None:
            return {}
        return {**copy.deepcopy(known.image.info), "path": str(self._place(file_of(image_id, known)))}

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels."""
        with self._changing_file():
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise HTTPException(404, f"there is no image '{image_id}' in the datastore")
            for tag in known.labels:
                Path(self.get_label_uri(image_id, tag)).unlink(missing_ok=True)
            self._place(file_of(image_id, known)).unlink(missing_ok=True)
            del self._datastore.objects[image_id]
            self._update_datastore_file()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label."""
        with self._changing_file():
            if not self._datastore.label(label_id, label_tag):
                raise HTTPException(404, f"'{label_id}' has no label '{label_tag}'")
            Path(self.get_label_uri(label_id, label_tag)).unlink(missing_ok=True)
            del self._datastore.objects[label_id].labels[label_tag]
            self._update_datastore_file()

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return the images without a final label."""
        with self._guard:
            return super().get_unlabeled_images(label_tag, labels)

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return the images with a final label."""
        with self._guard:
            return super().get_labeled_images(label_tag, labels)

    def status(self) -> dict[str, Any]:
        """Return how many images and labels there are."""
        with self._guard:
            return super().status()

    def json(self) -> dict[str, Any]:
        """Return all that is known."""
        with self._guard:
            return super().json()

    @contextmanager
    def _changing_file(self) -> Iterator[None]:
        """Keep others from changing what is known meanwhile, and begin with what they made of it."""
        with self._guard, self._lock:
            self._init_from_datastore_file()
            yield

    def _reconcile_datastore(self) -> None:
        # Of a network folder that is not there for a moment, nothing was removed.
        os.stat(self._datastore.label_path(None))
        with self._changing_file():
            super()._reconcile_datastore()

    def _init_from_datastore_file(self, throw_exception: bool = False) -> None:
        """Read what is known, if another process wrote it since it was last read or written here."""
        with self._guard, self._lock:
            file = Path(self._datastore_config_path)
            if not file.exists() or (state := _state(file)) == self._state:
                return
            try:
                read = LocalDatastoreModel.model_validate_json(file.read_bytes())
            except ValueError as error:
                if throw_exception:
                    raise
                logger.error("%s is damaged and was not read: %s", file, error)
                return
            read.base_path = self._datastore_path
            self._datastore, self._state = read, state
            # The file has them too.
            self._away = {image: read.objects.pop(image) for image in self._away if image in read.objects}

    def _add_non_existing_images(self) -> int:
        """Look for images; move those whose files are gone aside, and those that are back to the others."""
        self._init_from_datastore_file()
        here, away = self._datastore.objects, self._away
        known = {file_of(image_id, image): image_id for image_id, image in self._everything().items()}
        found = images_in(self._place(""), known)
        for file, image_id in known.items():
            aside, wanted = (away, here) if file in found else (here, away)
            if image_id in aside:
                wanted[image_id] = aside.pop(image_id)
        new = new_ids(found - known.keys(), known.values())
        for file, image_id in new.items():
            extension = split_name(file)[1]
            info = {"ts": int(time.time()), "name": flat_name(image_id, extension)}
            if file != f"{image_id}{extension}":
                info["file"] = file
            here[image_id] = ImageLabelModel(image=DataModel(info=info, ext=extension))
        return len(new)

    def _remove_non_existing(self) -> int:
        """Forget labels whose files are gone; MONAI Label would forget images too, with all that is known of labels."""
        self._init_from_datastore_file()
        images, removed = self._datastore.objects.items(), 0
        for tag in self._datastore.tags():
            folder = Path(self._datastore.label_path(tag))
            files = set(os.listdir(folder)) if folder.is_dir() else set()
            for image_id, image in images:
                if tag in image.labels and f"{image_id}{image.labels[tag].ext}" not in files:
                    del image.labels[tag]
                    removed += 1
        return removed

    def _to_id(self, file: str) -> tuple[str, str]:
        # MONAI Label would take the extension out of the middle of a name too.
        stem, extension = split_name(file)
        return (stem, extension) if extension else os.path.splitext(file)

    def _list_files(self, path: str, patterns: Sequence[str]) -> dict[str, str]:
        found = super()._list_files(path, patterns)
        return {name: file for name, file in found.items() if not name.startswith(PARTIAL)}

    def _update_datastore_file(self, lock: bool = True) -> None:
        with self._guard, self._lock:
            everything = self._datastore.model_copy(update={"objects": self._everything()})
            text = json.dumps(everything.model_dump(exclude={"base_path"}), indent=2, default=str)
            target = Path(self._datastore_config_path)
            with written_whole(target) as partial:
                partial.write_text(text)
            self._state = _state(target)

    def _everything(self) -> dict[str, ImageLabelModel]:
        return {**self._datastore.objects, **self._away}

    def _place(self, file: str) -> Path:
        return Path(os.path.realpath(self._datastore.image_path()), file)


def file_of(image_id: str, known: ImageLabelModel) -> str:
    """Return where the file of an image lies in the folder; MONAI Label has them all at its top."""
    return str(known.image.info.get("file") or f"{image_id}{known.image.ext}")


def _state(file: Path) -> tuple[int, ...]:
    """Return what differs between a file and the one that took its place."""
    status = file.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
