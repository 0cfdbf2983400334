"""Final labels that others took the place of: what somebody has drawn is not lost.

    LABELS/final/.earlier/IMAGE/20260131T104500.123456Z.nrrd    what was replaced at that time (UTC)

The newest `KEPT` of each image are kept until it is removed, and the audit log names each. Nothing lists them, learns
from them or hands them out. To get one back, submit it again, which keeps the one in its place in turn:

    curl -X PUT -F label=@20260131T104500.123456Z.nrrd 'http://127.0.0.1:8000/datastore/label?image=IMAGE'
"""

from __future__ import annotations

import shutil
from datetime import datetime, timezone
from pathlib import Path

from salt_monailabel.whole_files import written_whole

# Hidden in the folder of the labels: beside it, it would be taken for one of another tag.
FOLDER = ".earlier"
KEPT = 5


def set_aside(label: Path, image: str) -> str:
    """Keep a copy of the label of an image, which is about to be replaced, and return its name.

    Raises
    ------
    OSError
        If there is no room or no permission: then it should not be replaced.
    """
    folder = label.parent / FOLDER / image
    folder.mkdir(parents=True, exist_ok=True)
    # Whatever the clock says, the one that is added now is none of the oldest.
    before = sorted(folder.glob("[0-9]*"))
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
