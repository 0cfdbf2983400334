"""Final labels that others took the place of: what somebody has drawn is not lost.

    LABELS/final/.earlier/IMAGE/20260131T104500.123456Z.nrrd    what was replaced at that time (UTC)

The newest `KEPT` of each image are kept until it is removed, and the audit log names each that a user replaced. Nothing
lists them, learns from them or hands them out. To get one back, submit it again, which keeps the one in its place in
turn:

    curl -X PUT -F label=@20260131T104500.123456Z.nrrd 'http://127.0.0.1:8000/datastore/label?image=IMAGE'
"""

from __future__ import annotations

import filecmp
import shutil
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from salt_monailabel.imaging import ImageError, Study, read_mask
from salt_monailabel.whole_files import written_whole

# Hidden in the folder of the labels: beside it, it would be taken for one of another tag.
FOLDER = ".earlier"
KEPT = 5


class Saved(str):
    """The id of a label that was saved: MONAI Label tells its app nothing else of it.

    Attributes
    ----------
    tag : str
    earlier : str
        The name under which the label is kept that it replaced; empty if it replaced none, or one that is the same.
    """

    tag: str
    earlier: str

    def __new__(cls, image_id: str, tag: str, earlier: str) -> Saved:
        """Make an id that knows more."""
        saved = super().__new__(cls, image_id)
        saved.tag, saved.earlier = tag, earlier
        return saved


def set_aside(label: Path, image: str, study: Study, new: np.ndarray) -> str:
    """Keep a copy of a label that is about to be replaced.

    Parameters
    ----------
    label : Path
        There need be none yet.
    image : str
        The id of its image.
    study : Study
    new : ndarray of uint8, (frames, rows, columns)
        What is to replace it.

    Returns
    -------
    str
        The name of the copy; empty if there was no label, or the same.

    Raises
    ------
    OSError
        If there is no room or no permission: then it should not be replaced.
    """
    if not label.is_file() or _is_same(label, study, new):
        return ""
    folder = label.parent / FOLDER / image
    folder.mkdir(parents=True, exist_ok=True)
    # Whatever the clock says, the one that is added now is none of the oldest.
    before = sorted(folder.glob("[0-9]*"))
    if before and filecmp.cmp(before[-1], label, shallow=False):
        # It was to be replaced before, and could not be.
        return before[-1].name
    now = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    kept = folder / f"{now}{label.name.removeprefix(image)}"
    with written_whole(kept) as partial:
        shutil.copyfile(label, partial)
    for oldest in before[: 1 - KEPT]:
        oldest.unlink(missing_ok=True)
    return kept.name


def forget(labels: Path, image: str) -> None:
    """Remove what is kept of an image in a folder of labels."""
    shutil.rmtree(labels / FOLDER / image, ignore_errors=True)


def _is_same(label: Path, study: Study, new: np.ndarray) -> bool:
    try:
        return np.array_equal(read_mask(label, study), new)
    except ImageError:
        # Damaged, or of another size: somebody may be able to mend it.
        return False
