"""A local datastore that takes in nothing it could not use later, and is never half-written."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag

from salt_monailabel.imaging import EXTENSIONS, ImageError, Study, read_mask, read_study, write_mask
from salt_monailabel.training import check_label
from salt_monailabel.whole_files import PARTIAL, written_whole

from .access.arguments import checked_name
from .errors import explained
from .uploads import discarded_on_error

FINAL, PROPOSAL = DefaultLabelTag.FINAL.value, DefaultLabelTag.ORIGINAL.value
# What the store itself notes of images and labels: who sends it along changes nothing of it.
OWN = frozenset({"ts", "name", "path", "effort", "version"})


class VesselDatastore(LocalDatastore):
    """MONAI Label's folder of images and labels, with all formats we read, and a check before anything is stored.

    MONAI Label's own is for one thread, and a process killed while it writes leaves half a file; here requests of
    several threads take turns, and every file appears whole, by a rename.

    Parameters
    ----------
    folder : str
    labels : sequence of str
        Names of the labels, in the order of their values from 1.
    auto_reload : bool
        Whether files that others put there are taken in.
    read_only : bool
        Whether to look only at what is known already.
    """

    def __init__(self, folder: str, labels: Sequence[str], auto_reload: bool = True, read_only: bool = False) -> None:
        self.label_names = tuple(labels)
        self._guard = threading.RLock()
        patterns = [f"*{case}" for e in EXTENSIONS for case in (e, e.upper())]
        super().__init__(folder, extensions=patterns, auto_reload=auto_reload, read_only=read_only)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an image if it can be read. One that is sent again keeps its labels."""
        with discarded_on_error(image_filename), explained():
            name, extension = self._to_id(Path(image_filename).name)
            image_id, info = image_id or name, _noted(image_info)
            checked_name(image_id, "image")
            if extension.lower() not in EXTENSIONS:
                # Any other could be that of a file of the store.
                raise ImageError(
                    f"{image_id} cannot be stored as '{extension}'; name it by one of {', '.join(EXTENSIONS)}"
                )
            try:
                read_study(image_filename)
            except ImageError as error:
                # The sender knows nothing of the temporary file's name.
                raise ImageError(str(error).replace(Path(image_filename).name, image_id)) from error
            with self._guard:
                known, before = self._datastore.objects.get(image_id), self.get_image_uri(image_id)
                target = Path(self._datastore.image_path()) / f"{image_id}{extension}"
                with written_whole(target) as partial:
                    shutil.copyfile(image_filename, partial)
                info |= {"ts": int(time.time()), "name": target.name}
                labels = known.labels if known else {}
                image = DataModel(info=info, ext=extension)
                self._datastore.objects[image_id] = ImageLabelModel(image=image, labels=labels)
                self._update_datastore_file()
                if known and before != self.get_image_uri(image_id):
                    Path(before).unlink(missing_ok=True)
            return image_id

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store a label if it fits its image; the values of its segments become those of our labels.

        The info of a final label says how much of the proposal had to be changed.
        """
        tag = label_tag.value if isinstance(label_tag, Enum) else label_tag
        with discarded_on_error(label_filename), explained():
            checked_name(image_id, "image")
            checked_name(tag, "tag")
            study = self._study(image_id)
            labels = self._renumber(read_mask(label_filename, study), label_info)
            info = _noted(label_info)
            if tag == FINAL:
                check_label(labels, image_id, len(self.label_names))
                info |= self._effort(image_id, labels, study)
            self._store_label(image_id, labels, study, tag, info)
            return image_id

    def keep_proposal(self, image_id: str, mask: str, version: str) -> None:
        """Keep the mask that was served for an image, to tell later what was corrected."""
        study = self._study(image_id)
        self._store_label(image_id, read_mask(mask, study), study, PROPOSAL, {"version": version})

    def proposal(self, image_id: str) -> str | None:
        """Return the file of the mask last served for an image, if there is one."""
        with self._guard:
            kept = self._datastore.label(image_id, PROPOSAL)
            return self.get_label_uri(image_id, PROPOSAL) if kept else None

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Return the files of images with a final label, and of what was proposed for them, if anything was."""
        with self._guard:
            pairs = super().datalist(full_path)
            proposals = [self.proposal(image_id) for image_id in self._datastore.filter_by_tag(FINAL)]
            return [{**p, "proposal": path} if path else p for p, path in zip(pairs, proposals, strict=True)]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return an archive of images with final labels."""
        with self._guard:
            if not self.get_labeled_images():
                raise HTTPException(404, "no image has a final label yet")
            return super().get_dataset_archive(limit_cases)

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels."""
        with self._guard:
            if not self.get_image_uri(image_id):
                raise HTTPException(404, f"there is no image '{image_id}' in the datastore")
            super().remove_image(image_id)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label."""
        with self._guard:
            if not self.get_label_uri(label_id, label_tag):
                raise HTTPException(404, f"'{label_id}' has no label '{label_tag}'")
            super().remove_label(label_id, label_tag)

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return the images without a final label."""
        with self._guard:
            return super().get_unlabeled_images(label_tag, labels)

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Return the images with a final label."""
        with self._guard:
            return super().get_labeled_images(label_tag, labels)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image."""
        with self._guard:
            super().update_image_info(image_id, _noted(info))

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label."""
        with self._guard:
            super().update_label_info(label_id, label_tag, _noted(info))

    def status(self) -> dict[str, Any]:
        """Return how many images and labels there are."""
        with self._guard:
            return super().status()

    def json(self) -> dict[str, Any]:
        """Return all that is known."""
        with self._guard:
            return super().json()

    def _reconcile_datastore(self) -> None:
        with self._guard:
            super()._reconcile_datastore()

    def _list_files(self, path: str, patterns: Sequence[str]) -> dict[str, str]:
        found = super()._list_files(path, patterns)
        return {name: file for name, file in found.items() if not name.startswith(PARTIAL)}

    def _update_datastore_file(self, lock: bool = True) -> None:
        with self._guard:
            text = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
            target = Path(self._datastore_config_path)
            self._ignore_event_config = True
            with written_whole(target) as partial:
                partial.write_text(text)
            self._config_ts = target.stat().st_mtime

    def _study(self, image_id: str) -> Study:
        uri = self.get_image_uri(image_id)
        if not uri:
            raise HTTPException(404, f"there is no image '{image_id}' in the datastore; add it first")
        return read_study(uri)

    def _store_label(self, image_id: str, labels: np.ndarray, study: Study, tag: str, info: dict[str, Any]) -> None:
        folder = Path(self._datastore.label_path(tag))
        folder.mkdir(parents=True, exist_ok=True)
        with self._guard:
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise HTTPException(404, f"the image '{image_id}' was removed from the datastore")
            before = self._datastore.label(image_id, tag)
            target = folder / f"{image_id}.nrrd"
            write_mask(labels, study, target)
            known.labels[tag] = DataModel(info={**info, "ts": int(time.time()), "name": target.name}, ext=".nrrd")
            self._update_datastore_file()
            if before and before.ext != ".nrrd":
                (folder / f"{image_id}{before.ext}").unlink(missing_ok=True)

    def _effort(self, image_id: str, labels: np.ndarray, study: Study) -> dict[str, Any]:
        """Return how many pixels of the proposal were changed, if one was served and is of this size."""
        with self._guard:
            kept, path = self._datastore.label(image_id, PROPOSAL), self.proposal(image_id)
            if kept is None or path is None:
                return {}
            try:
                proposed = read_mask(path, study)
            except ImageError:
                return {}
        changed, vessel = int((proposed != labels).sum()), int((labels > 0).sum())
        return {"effort": {"changed": changed, "vessel": vessel, "version": kept.info.get("version")}}

    def _renumber(self, labels: np.ndarray, info: dict[str, Any]) -> np.ndarray:
        """Give each segment the value of the label of its name; `label_info` lists names and the values they have."""
        segments = (info or {}).get("label_info") or []
        if not isinstance(segments, list):
            raise ImageError(f"label_info must list segments with name and idx; got {segments}")
        renumbered = np.zeros_like(labels) if segments else labels
        for segment in segments:
            try:
                name, value = segment.get("name"), int(segment.get("idx", 1))
            except (AttributeError, TypeError, ValueError) as error:
                raise ImageError(f"label_info must list segments with name and idx; got {segment}") from error
            if name not in self.label_names:
                raise HTTPException(400, f"unknown label '{name}'; this server knows: {', '.join(self.label_names)}")
            # A mask of 0 and 255 is read as 0 and 1.
            renumbered[labels == (1 if value > 127 and labels.max() == 1 else value)] = self.label_names.index(name) + 1
        return renumbered


def _noted(info: dict[str, Any] | None) -> dict[str, Any]:
    """Return what is kept of an info that was sent."""
    kept = {key: value for key, value in (info or {}).items() if key not in OWN}
    if not isinstance(kept.get("strategy", {}), dict):
        raise HTTPException(400, "'strategy' in an info is an object: strategies note there when they chose an image")
    return kept
