"""The labelled images of a store in one file that may leave the house."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import zipfile
from contextlib import suppress
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from fastapi import HTTPException
from pydicom import dcmread, dcmwrite

from salt_monailabel.imaging import ImageError, Study, read_mask, read_study, write_mask
from salt_monailabel.imaging.burned_in import burned_in
from salt_monailabel.imaging.identity import deidentified
from salt_monailabel.imaging.pseudonyms import Pseudonyms

from .errors import explained
from .sharing import pseudonyms_of
from .uploads import discarded_on_error

if TYPE_CHECKING:
    from .datastore import VesselDatastore

logger = logging.getLogger(__name__)

# What is told of how much of a proposal was changed.
EFFORT = ("changed", "vessel", "version")
README = """Images and the labels drawn on them, without names, numbers of patients, dates and the names of files.

DICOM files keep pixels, geometry, and in numbers and codes how they were taken and are shown (PS3.15 E.1, and
stricter). All other images are written anew: pixels and geometry. What is drawn into the pixels is still there, and a
face or an eye may be known again: look at the images before they are passed on.

image/, label/, proposal/: the label of a case is what a physician made of the proposal, of which metadata.json says
how much was changed, and as view how a run was looked at. The patients of DICOM files have pseudonyms too: keep those
of one together, for training and for testing alike.

Left out: {left_out}
There seems to be text in: {suspected}
"""


def export_dataset(store: VesselDatastore, limit: int | None = None) -> str:
    """Write an archive of the images with final labels, without whom they are of; returns its path, a temporary file.

    Its images have the pseudonyms they have in all that leaves the store. One that says text is burned into it is left
    out; README.txt names it, and those that seem to have some.

    Parameters
    ----------
    store : VesselDatastore
        Others may use it meanwhile.
    limit : int, optional
        The most images; all by default.

    Raises
    ------
    HTTPException
        404 if no image has a final label; 507 if the disk is full: nothing is left behind.
    """
    pairs, known = store.datalist(), store.json()["objects"]
    if not pairs:
        raise HTTPException(404, "no image has a final label yet")
    with (
        explained(),
        tempfile.NamedTemporaryFile(delete=False) as file,
        discarded_on_error(file.name),
        zipfile.ZipFile(file, "w") as archive,
    ):
        names = pseudonyms_of(store)
        # In their own order, which says nothing of that of the names.
        cases = sorted(((names.case(pair["id"]), pair) for pair in pairs), key=itemgetter(0))
        export = _Export(archive)
        for case, pair in cases[:limit] if limit and limit > 0 else cases:
            labels = known.get(pair["id"], {}).get("labels", {})
            export.add(case, pair, labels.get("final", {}).get("info", {}).get("effort", {}))
        export.close(store.label_names)
    return file.name


class _Export:
    """An archive that is being written."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        # Those of patients and objects are of this export alone; its key is thrown away.
        self._of_this_export = Pseudonyms()
        self._cases: dict[str, dict[str, Any]] = {}
        self._left_out: dict[str, str] = {}

    def add(self, case: str, pair: dict[str, Any], effort: dict[str, Any]) -> None:
        """Add an image with its masks, or say why it is left out."""
        with tempfile.TemporaryDirectory() as folder:
            try:
                study = read_study(pair["image"])
                text = burned_in(study, Path(pair["image"]))
                if text == "yes":
                    self._left_out[case] = "it says that text is burned into it"
                    return
                files = {
                    "image": self._image(study, pair["image"], Path(folder) / case),
                    "label": _mask(study, pair["label"], Path(folder) / "label.nrrd"),
                }
                if "proposal" in pair:
                    # One that cannot be read any more is no reason to leave out the label.
                    with suppress(ImageError):
                        files["proposal"] = _mask(study, pair["proposal"], Path(folder) / "proposal.nrrd")
            except ImageError as error:
                logger.warning("%s is left out of the export: %s", pair["id"], error)
                self._left_out[case] = "it or its label cannot be read; the server's log says why"
                return
            places = {kind: f"{kind}/{case}{path.suffix}" for kind, path in files.items()}
            for kind, place in places.items():
                # A ZipInfo of its own: that of the file has a date.
                with (
                    open(files[kind], "rb") as file,
                    self._archive.open(zipfile.ZipInfo(place), "w", force_zip64=True) as member,
                ):
                    shutil.copyfileobj(file, member)
        changed = {key: value for key, value in effort.items() if key in EFFORT}
        looked_at = {"view": pair["view"]} if "view" in pair else {}
        self._cases[case] = {**places, **changed, **looked_at, "text": text}

    def close(self, labels: tuple[str, ...]) -> None:
        """Write what is to be known of all."""
        values = {name: value for value, name in enumerate(labels, start=1)}
        told = json.dumps({"labels": values, "cases": self._cases, "left_out": self._left_out}, indent=1)
        self._archive.writestr(zipfile.ZipInfo("metadata.json"), told)
        left_out = "; ".join(f"{case}: {why}" for case, why in self._left_out.items())
        suspected = ", ".join(case for case, known in self._cases.items() if known["text"] == "suspected")
        readme = README.format(left_out=left_out or "nothing", suspected=suspected or "none")
        self._archive.writestr(zipfile.ZipInfo("README.txt"), readme)

    def _image(self, study: Study, source: str, target: Path) -> Path:
        """Write an image without identity."""
        if study.presentation is not None:
            path = target.with_name(f"{target.name}.dcm")
            dcmwrite(path, deidentified(dcmread(source), self._of_this_export), write_like_original=False)
            return path
        pixels = np.asarray(study.pixels)
        channels = [study.geometry.image(np.ascontiguousarray(pixels[..., n])) for n in range(pixels.shape[-1])]
        image = sitk.Compose(channels) if len(channels) > 1 else channels[0]
        # A picture has no place for geometry, and most no other values.
        picture = study.geometry.dimension == 2 and study.spacing is None and pixels.dtype in (np.uint8, np.uint16)
        path = target.with_name(f"{target.name}{'.png' if picture else '.nrrd'}")
        try:
            sitk.WriteImage(image, str(path), useCompression=True)
        except RuntimeError as error:
            raise OSError(f"an image could not be written to {path.parent}; is the disk full?") from error
        return path


def _mask(study: Study, source: str, target: Path) -> Path:
    """Write a mask anew: programs keep names and paths in the headers of theirs."""
    write_mask(read_mask(source, study), study, target, durable=False)
    return target
