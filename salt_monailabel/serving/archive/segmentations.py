"""DICOM segmentations of our making, as an archive gives them back."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread

from salt_monailabel.imaging import ImageError
from salt_monailabel.imaging.run import RunView
from salt_monailabel.imaging.segmentation import MANUFACTURER, MODEL, view_of

from .client import value

logger = logging.getLogger(__name__)


def drawn_on(attributes: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the image a segmentation was drawn on, and when, for those of our making.

    Parameters
    ----------
    attributes : mapping
        In DICOM's JSON.

    Returns
    -------
    tuple of str, or None
        The image's SOP instance UID; date and time as YYYYMMDDHHMMSS.FFFFFF, which sort by themselves.
    """
    if (value(attributes, "Manufacturer"), value(attributes, "ManufacturerModelName")) != (MANUFACTURER, MODEL):
        return None
    image = value(
        attributes, "ReferencedSeriesSequence", "ReferencedInstanceSequence", "ReferencedSOPInstanceUID"
    )  # fmt: skip
    return str(image), f"{value(attributes, 'ContentDate')}{value(attributes, 'ContentTime')}"


def read_segmentation(
    path: Path, image: str, shape: tuple[int, int, int], labels: Sequence[str]
) -> tuple[np.ndarray, RunView]:
    """Read the label map that was written as a segmentation, and how the run was looked at when it was drawn.

    Parameters
    ----------
    path : Path
    image : str
        SOP instance UID of the image it was drawn on.
    shape : tuple of int
        Frames, rows and columns of that image.
    labels : sequence of str
        Names of the values from 1. A segment of any other name is left out, and the log says so.

    Returns
    -------
    ndarray of uint8, (frames, rows, columns)
    RunView

    Raises
    ------
    ImageError
        If it is damaged, drawn on something else, or holds none of the labels.
    """
    try:
        stored = dcmread(path)
        mask = _label_map(stored, image, shape, labels)
    except ImageError:
        raise
    except Exception as error:
        # Whoever stores in an archive may have changed it, and pydicom fails in many ways.
        raise ImageError(f"the segmentation of {image} is damaged: {error}") from error
    if not mask.any():
        raise ImageError(f"the segmentation of {image} has none of the labels {', '.join(labels)}")
    return mask, view_of(stored)


def _label_map(stored: Dataset, image: str, shape: tuple[int, int, int], labels: Sequence[str]) -> np.ndarray:
    names = {segment.SegmentNumber: segment.SegmentLabel for segment in stored.SegmentSequence}
    if unknown := sorted(set(names.values()) - set(labels)):
        logger.warning("left out of the segmentation of %s: %s, which are no labels here", image, ", ".join(unknown))
    groups = stored.PerFrameFunctionalGroupsSequence
    # Before anything is unpacked: the file could declare any size.
    if (stored.Rows, stored.Columns) != shape[1:] or not len(groups) == stored.NumberOfFrames <= shape[0] * len(names):
        raise ImageError(f"the segmentation of {image} is of another size than the image")
    mask = np.zeros(shape, np.uint8)
    for drawn, group in zip(stored.pixel_array.reshape(-1, *shape[1:]), groups, strict=True):
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        frame = int(source.get("ReferencedFrameNumber") or 1) - 1
        if source.ReferencedSOPInstanceUID != image or not 0 <= frame < shape[0]:
            raise ImageError(f"the segmentation refers to other frames than those of {image}")
        name = names[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber]
        if name in labels:
            mask[frame][drawn > 0] = labels.index(name) + 1
    return mask
