"""An archive opened as MONAI Label's settings say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import platformdirs
from monailabel.config import settings

from .client import Archive, folder_of
from .datastore import ArchiveDatastore

# X-ray runs, photographs of the eye, tomography of the eye and its projections (PS3.3 C.7.3.1.1.1).
MODALITIES = ("XA", "RF", "OP", "OPT", "OPTENF")


def open_archive(address: str, labels: Sequence[str], largest: int) -> ArchiveDatastore:
    """Open an archive over a folder in MONAI_LABEL_DICOMWEB_CACHE_PATH, or else the user's cache.

    What is fetched there are images of patients, up to `room.MOST` bytes beside those with a label. Each archive has a
    folder of its own, and each list of labels: the values of the labels there mean nothing without it.

    MONAI_LABEL_DICOMWEB_USERNAME and MONAI_LABEL_DICOMWEB_PASSWORD are those of the archive, or the settings of MONAI
    Label with DATASTORE in their names; MONAI_LABEL_DICOMWEB_SEARCH_FILTER selects images.

    Parameters
    ----------
    address : str
    labels : sequence of str
    largest : int
        Bytes of the largest instance that is fetched.

    Raises
    ------
    ValueError
        If the address is none.
    """
    user = settings.MONAI_LABEL_DATASTORE_USERNAME or settings.MONAI_LABEL_DICOMWEB_USERNAME
    password = settings.MONAI_LABEL_DATASTORE_PASSWORD or settings.MONAI_LABEL_DICOMWEB_PASSWORD
    cache = settings.MONAI_LABEL_DATASTORE_CACHE_PATH or settings.MONAI_LABEL_DICOMWEB_CACHE_PATH
    archive = Archive(address, user, password)
    folder = Path(cache) if cache else platformdirs.user_cache_path("salt") / "archives"
    searches = searches_of(settings.MONAI_LABEL_DICOMWEB_SEARCH_FILTER)
    return ArchiveDatastore(archive, labels, folder / folder_of(address, labels), searches, largest)


def searches_of(chosen: Mapping[str, Any]) -> list[Mapping[str, str]]:
    """Return a search for each modality of MONAI Label's filter, which may list several, also with commas between."""
    # Its default: nobody chose it.
    modalities = MODALITIES if chosen == {"Modality": "CT"} else chosen.get("Modality", "")
    names = modalities.split(",") if isinstance(modalities, str) else modalities
    return [{**chosen, "Modality": name.strip()} if name else chosen for name in names]
