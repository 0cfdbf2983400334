"""What is done to an archive and to the datastore over it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from pydicom import dcmread

from salt_monailabel.imaging import read_mask, read_study
from salt_monailabel.serving.archive.datastore import ArchiveDatastore
from salt_monailabel.serving.datastore import FINAL

from ...dicom import COLUMNS, ROWS, run, written
from .orthanc import Orthanc

XA = [{"Modality": "XA"}]
Open = Callable[..., ArchiveDatastore]


def put(orthanc: Orthanc, folder: Path, count: int = 1, frames: int = 1, **tags: Any) -> list[str]:
    uids = []
    for number in range(count):
        path = written(folder / "image.dcm", run(frames, seed=number), **tags)
        orthanc.put(path)
        uids.append(str(dcmread(path).SOPInstanceUID))
    return uids


def submit(store: ArchiveDatastore, image: str, mask: np.ndarray, folder: Path, **info: Any) -> None:
    path = folder / "submitted.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(mask), str(path))
    store.save_label(image, str(path), FINAL, {"user": "somebody", **info})


def label_of(store: ArchiveDatastore, image: str) -> np.ndarray:
    return read_mask(store.get_label_uri(image, FINAL), read_study(store.get_image_uri(image)))


def state_of(store: ArchiveDatastore, image: str) -> Mapping[str, str]:
    return store.get_label_info(image, FINAL)["archive"]


def random_mask(seed: int, frames: int = 1, values: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, values + 1, (frames, ROWS, COLUMNS)).astype(np.uint8)


def soon(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)
