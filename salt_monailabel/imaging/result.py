"""A segmented image becomes a file, in any format there is for one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .header import ImageError
from .mask import MASK_EXTENSIONS, write_mask
from .run import RunView
from .segmentation import SEGMENTATION, write_segmentation
from .study import Study

RESULT_EXTENSIONS = (*MASK_EXTENSIONS, SEGMENTATION)


def check_result(extension: str) -> None:
    """Raise `ImageError` if results cannot be written with an extension."""
    if extension not in RESULT_EXTENSIONS:
        raise ImageError(f"a mask cannot be written as '{extension}'; one of {', '.join(RESULT_EXTENSIONS)}")


def write_result(
    mask: np.ndarray,
    labels: Sequence[str],
    study: Study,
    source: str | Path,
    path: Path,
    version: str = "base",
    view: RunView | None = None,
    durable: bool = True,
) -> None:
    """Write a label map (frames, rows, columns) as the extension of `path` says; see the writers called for errors.

    Parameters
    ----------
    mask : ndarray of integers, (frames, rows, columns)
    labels : sequence of str
        Names of its values from 1; a mask that is no DICOM segmentation has no place for them.
    study : Study
    source : path
        The file the study was read from.
    path : Path
    version : str
        Of the adapter that drew it.
    view : RunView, optional
        As for `write_segmentation`.
    durable : bool
        As for `write_mask`.
    """
    if path.name.lower().endswith(SEGMENTATION):
        write_segmentation(mask, labels, source, path, version, view)
    else:
        write_mask(mask, study, path, durable)
