"""A local datastore that takes in nothing it could not use later."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import HTTPException
from monailabel.datastore.local import LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag

from salt_monailabel.imaging import EXTENSIONS, ImageError, read_mask, read_study, write_mask
from salt_monailabel.training import check_label

from .errors import explained
from .uploads import discarded_on_error


class VesselDatastore(LocalDatastore):
    """MONAI Label's folder of images and labels, with all formats we read, and a check before anything is stored.

    Parameters
    ----------
    folder : str
    labels : sequence of str
        Names of the labels, in the order of their values from 1.
    """

    def __init__(self, folder: str, labels: Sequence[str], auto_reload: bool = True) -> None:
        self.label_names = tuple(labels)
        patterns = [f"*{case}" for e in EXTENSIONS for case in (e, e.upper())]
        super().__init__(folder, extensions=patterns, auto_reload=auto_reload)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an image if it can be read."""
        with discarded_on_error(image_filename), explained():
            _check_name(image_id or Path(image_filename).stem)
            try:
                read_study(image_filename)
            except ImageError as error:
                # The sender knows nothing of the temporary file's name.
                raise ImageError(str(error).replace(Path(image_filename).name, image_id)) from error
            known, before = self._datastore.objects.get(image_id), self.get_image_uri(image_id)
            stored = super().add_image(image_id, image_filename, image_info)
            if known:
                # MONAI Label would forget the labels of an image that is sent again, and keep its old file.
                self._datastore.objects[image_id].labels.update(known.labels)
                self._update_datastore_file()
                if before != self.get_image_uri(image_id):
                    Path(before).unlink(missing_ok=True)
            return stored

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store a label if it fits its image; the values of its segments become those of our labels."""
        tag = label_tag.value if isinstance(label_tag, Enum) else label_tag
        with discarded_on_error(label_filename), explained():
            _check_name(image_id)
            _check_name(tag)
            uri = self.get_image_uri(image_id)
            if not uri:
                raise HTTPException(404, f"there is no image '{image_id}' in the datastore; add it first")
            study = read_study(uri)
            labels = self._renumber(read_mask(label_filename, study), label_info)
            if tag == DefaultLabelTag.FINAL.value:
                check_label(labels, image_id, len(self.label_names))
            with tempfile.TemporaryDirectory() as folder:
                stored = Path(folder) / f"{image_id}.nrrd"
                write_mask(labels, study, stored)
                return super().save_label(image_id, str(stored), tag, label_info)

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels."""
        if not self.get_image_uri(image_id):
            raise HTTPException(404, f"there is no image '{image_id}' in the datastore")
        super().remove_image(image_id)

    def _renumber(self, labels: np.ndarray, info: dict[str, Any]) -> np.ndarray:
        """Give each segment the value of the label of its name; `label_info` lists names and the values they have."""
        segments = (info or {}).get("label_info") or []
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


def _check_name(name: str) -> None:
    """Refuse names that would leave the datastore's folders."""
    if not name or name.startswith(".") or Path(name).name != name or "\\" in name:
        raise HTTPException(400, f"'{name}' cannot be used as a name; use letters, digits, '_', '-' and '.'")
