"""A local datastore that takes in nothing it could not use later, and is never half-written.

A final label that another replaces is kept; `earlier.py` says where, and how to get it back.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.datastore.local import DataModel, ImageLabelModel
from monailabel.interfaces.datastore import DefaultLabelTag

from salt_monailabel.imaging import EXTENSIONS, ImageError, Study, read_mask, read_study, write_mask
from salt_monailabel.imaging.run import RunView
from salt_monailabel.training import check_label
from salt_monailabel.whole_files import written_whole

from .access.arguments import checked_name
from .earlier import Saved, forget, set_aside
from .errors import explained
from .export import export_dataset
from .nested import NestedDatastore, file_of
from .uploads import discarded_on_error

FINAL, PROPOSAL = DefaultLabelTag.FINAL.value, DefaultLabelTag.ORIGINAL.value
# What the store itself notes of images and labels: who sends it along changes nothing of it.
OWN = frozenset({"ts", "name", "path", "file", "effort", "version"})


class VesselDatastore(NestedDatastore):
    """MONAI Label's folder of images and labels, with all formats we read, and a check before anything is stored.

    A process of MONAI Label's own that is killed while it writes leaves half a file; here every file appears whole, by
    a rename.

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
        super().__init__(folder, auto_reload, read_only)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an image if it can be read. One that is sent again keeps its labels; another gets none of them."""
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
                sent = read_study(image_filename)
            except ImageError as error:
                # The sender knows nothing of the temporary file's name.
                raise ImageError(str(error).replace(Path(image_filename).name, image_id)) from error
            with self._changing_file():
                known, target = self._everything().get(image_id), self._place(f"{image_id}{extension}")
                before = self._place(file_of(image_id, known)) if known else target
                self._must_not_displace(image_id, target.name)
                if known and known.labels:
                    _must_be_same(image_id, before, sent)
                with written_whole(target) as partial:
                    shutil.copyfile(image_filename, partial)
                info |= {"ts": int(time.time()), "name": target.name}
                labels = known.labels if known else {}
                image = DataModel(info=info, ext=extension)
                self._datastore.objects[image_id] = ImageLabelModel(image=image, labels=labels)
                self._away.pop(image_id, None)
                self._update_datastore_file()
                if before != target:
                    before.unlink(missing_ok=True)
            return image_id

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels, those they replaced too."""
        super().remove_image(image_id)
        forget(Path(self._datastore.label_path(FINAL)), image_id)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> Saved:
        """Store a label if it fits its image; the values of its segments become those of our labels.

        The info of a final label says how much of the proposal had to be changed, and how a run was looked at: as
        `view` in `label_info` says, else as for the proposal.
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
                info |= self._view(image_id, info, study) | self._effort(image_id, labels, study)
            return Saved(image_id, tag, self._store_label(image_id, labels, study, tag, info))

    def keep_proposal(
        self, image_id: str, mask: str, version: str, view: RunView | None = None, stopped: bool = False
    ) -> None:
        """Keep the mask that was served for an image, looked at so, to tell later what was corrected.

        Frames that were not looked at keep what was proposed for them before; if it was stopped, also those in which
        nothing was found yet.
        """
        study, view = self._study(image_id), view or RunView()
        found = read_mask(mask, study)
        outlined = _outlined(found, view, stopped)
        with self._changing_file():
            before = None if outlined.all() else self._proposed(image_id, study)
            if before is not None:
                found = np.where(outlined[:, None, None], found, before)
            self._store_label(image_id, found, study, PROPOSAL, {"version": version, "view": view.told()})

    def proposal(self, image_id: str) -> str | None:
        """Return the file of the mask last served for an image, if there is one."""
        with self._guard:
            kept = self._datastore.label(image_id, PROPOSAL)
            return self.get_label_uri(image_id, PROPOSAL) if kept else None

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Return the files of images with a final label, and of what was proposed for them, if anything was.

        `id` tells them apart: in folders many files have one name. Of a run that was not looked at as it is, `view`
        says how.
        """
        listed = []
        for image_id in self.get_labeled_images():
            files = {"image": self.get_image_uri(image_id), "label": self.get_label_uri(image_id, FINAL)}
            # It may have been removed meanwhile.
            if all(files.values()):
                if proposal := self.proposal(image_id):
                    files["proposal"] = proposal
                if not full_path:
                    files = {what: os.path.relpath(path, self._place("")) for what, path in files.items()}
                with self._guard:
                    view = _looked_at(self._datastore.label(image_id, FINAL))
                listed.append({"id": image_id, **files, **view})
        return listed

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Return an archive of images with final labels that may leave the house; see `export_dataset`."""
        return export_dataset(self, limit_cases)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Add to what is known of an image."""
        with self._changing_file():
            super().update_image_info(image_id, _noted(info))

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Add to what is known of a label."""
        with self._changing_file():
            super().update_label_info(label_id, label_tag, _noted(info))

    def _must_not_displace(self, image_id: str, name: str) -> None:
        """Refuse an upload that would take the place of another image, or of one in somebody's folders."""
        for other, known in self._everything().items():
            file = file_of(other, known)
            if (other == image_id and "/" in file) or (other != image_id and file == name):
                raise HTTPException(409, f"'{other}' is {file}, which this would replace; choose another name")

    def _study(self, image_id: str) -> Study:
        uri = self.get_image_uri(image_id)
        if not uri:
            raise HTTPException(404, f"there is no image '{image_id}' in the datastore; add it first")
        return read_study(uri)

    def _store_label(self, image_id: str, labels: np.ndarray, study: Study, tag: str, info: dict[str, Any]) -> str:
        """Write a label; returns the name under which the final one is kept that it replaced, if it did."""
        folder = Path(self._datastore.label_path(tag))
        folder.mkdir(parents=True, exist_ok=True)
        with self._changing_file():
            known = self._datastore.objects.get(image_id)
            if known is None:
                raise HTTPException(404, f"the image '{image_id}' was removed from the datastore")
            before = self._datastore.label(image_id, tag)
            target = folder / f"{image_id}.nrrd"
            there = folder / f"{image_id}{before.ext}" if before else target
            kept = set_aside(there, image_id, study, labels) if tag == FINAL else ""
            write_mask(labels, study, target)
            known.labels[tag] = DataModel(info={**info, "ts": int(time.time()), "name": target.name}, ext=".nrrd")
            self._update_datastore_file()
            if there != target:
                there.unlink(missing_ok=True)
            return kept

    def _view(self, image_id: str, sent: dict[str, Any], study: Study) -> dict[str, Any]:
        """Return how a run was looked at when its label was drawn, as far as is known."""
        if sent.get("view") is not None:
            view = RunView.of(sent["view"])
            view.check(study)
            return {"view": view.told()}
        with self._guard:
            return _looked_at(self._datastore.label(image_id, PROPOSAL))

    def _effort(self, image_id: str, labels: np.ndarray, study: Study) -> dict[str, Any]:
        """Return how many pixels of the proposal were changed, if one was served and is of this size.

        A frame without a vessel has no label, in learning neither: what was once proposed for it, maybe to somebody
        else, is no effort of whoever sent the others. A frame that came back as it was proposed is one that was right.
        """
        with self._guard:
            kept, proposed = self._datastore.label(image_id, PROPOSAL), self._proposed(image_id, study)
        if kept is None or proposed is None:
            return {}
        labelled = labels.any(axis=(1, 2))
        changed, vessel = int((proposed != labels)[labelled].sum()), int((labels > 0).sum())
        return {"effort": {"changed": changed, "vessel": vessel, "version": kept.info.get("version")}}

    def _proposed(self, image_id: str, study: Study) -> np.ndarray | None:
        """Return what was proposed for an image; None if nothing was, or nothing of this size."""
        path = self.proposal(image_id)
        with suppress(ImageError):
            return None if path is None else read_mask(path, study)
        return None

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


def _must_be_same(image_id: str, stored: Path, sent: Study) -> None:
    """Refuse an upload in the place of an image with labels, which are not those of another one."""
    try:
        same = _same_pixels(read_study(stored), sent)
    except ImageError as error:
        raise HTTPException(
            409,
            f"'{image_id}' has a label, and its image is gone or damaged: nobody can tell whether this is the one; "
            f"send it under another name, or put the file of '{image_id}' back",
        ) from error
    if not same:
        raise HTTPException(409, f"'{image_id}' is another image, with a label; send this one under another name")


def _same_pixels(one: Study, other: Study) -> bool:
    # Frame by frame: a run need not be in memory twice.
    frames = range(len(one.pixels))
    return one.pixels.shape == other.pixels.shape and all(
        np.array_equal(one.pixels[frame], other.pixels[frame]) for frame in frames
    )


def _outlined(found: np.ndarray, view: RunView, stopped: bool) -> np.ndarray:
    """Return which frames of a mask were outlined, (frames,) bool, if a run was looked at so."""
    outlined = np.zeros(len(found), bool)
    outlined[view.first : view.last + 1 if view.last >= 0 else None] = True
    # Which frame has its peak is found out, and what is stopped does not come to all frames.
    return outlined & found.any(axis=(1, 2)) if stopped or view.projection == "peak" else outlined


def _looked_at(label: DataModel | None) -> dict[str, Any]:
    """Return the `view` of a label; nothing if it is of frames as they are, not known, or something else."""
    with suppress(ImageError):
        if told := RunView.of((label and label.info.get("view")) or {}).told():
            return {"view": told}
    return {}


def _noted(info: dict[str, Any] | None) -> dict[str, Any]:
    """Return what is kept of an info that was sent."""
    kept = {key: value for key, value in (info or {}).items() if key not in OWN}
    if not isinstance(kept.get("strategy", {}), dict):
        raise HTTPException(400, "'strategy' in an info is an object: strategies note there when they chose an image")
    return kept
