"""Images laid into folders, and the store that finds them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from salt_monailabel.serving.datastore import VesselDatastore

from ..dicom import run
from .viewer import png

# What DICOM begins with.
DICM = b"\0" * 128 + b"DICM"


def opened(studies: Path, auto_reload: bool = False) -> VesselDatastore:
    return VesselDatastore(str(studies), ("vessel",), auto_reload=auto_reload)


def lay(folder: Path, *paths: str, content: bytes | None = None) -> None:
    """Lay images into a folder, no two alike."""
    for seed, path in enumerate(paths):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content or png(run(1, 8, seed)[0].astype(np.uint8))[1])


def files_of(store: VesselDatastore, studies: Path) -> dict[str, str]:
    return {i: os.path.relpath(store.get_image_uri(i), studies.resolve()) for i in store.list_images()}
