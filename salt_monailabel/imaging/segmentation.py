"""A mask becomes a DICOM segmentation that refers to the frames it was drawn on (PS3.3 A.51)."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from highdicom import (
    UID,
    AlgorithmIdentificationSequence,
    PixelMeasuresSequence,
    PlaneOrientationSequence,
    PlanePositionSequence,
)
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from highdicom.sr import CodedConcept
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from salt_monailabel.whole_files import written_whole

from .acquisition import spacing_of
from .header import ImageError
from .run import RunView

# The extension of its files.
SEGMENTATION = ".dcm"
MANUFACTURER, MODEL = "SALT vessels", "SALT"
_STRUCTURE = CodedConcept("123037004", "SCT", "Anatomical Structure")
_FAMILY = CodedConcept("123110", "DCM", "Artificial Intelligence")
_DEVICE = CodedConcept("260787004", "SCT", "Physical object")
# Category and type of each label that has a code of its own; all others are vessels.
_CODES = {
    "artery": (_STRUCTURE, CodedConcept("51114001", "SCT", "Artery")),
    "vein": (_STRUCTURE, CodedConcept("29092000", "SCT", "Vein")),
    "catheter": (_DEVICE, CodedConcept("19923001", "SCT", "Catheter")),
}
# What a segmentation takes over from its image, empty where de-identification left it out.
_EXPECTED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_VESSEL = (_STRUCTURE, CodedConcept("59820001", "SCT", "Blood vessel"))


def write_segmentation(
    mask: np.ndarray,
    labels: Sequence[str],
    source: str | Path,
    path: str | Path,
    version: str = "base",
    view: RunView | None = None,
) -> None:
    """Write a label map as a DICOM segmentation of a DICOM image, atomically.

    Parameters
    ----------
    mask : ndarray of integers, (frames, rows, columns)
        0 background, 1 the first label, and so on. Frames without a label are left out.
    labels : sequence of str
        Names of the values from 1.
    source : path
        The DICOM file the mask was drawn on.
    path : path
    version : str
        Of the adapter that drew it.
    view : RunView, optional
        How the run was looked at; as it is by default. `view_of` returns it.

    Raises
    ------
    ImageError
        If the mask is empty, or the source is no DICOM image of its size, or one that is damaged.
    OSError
        If there is no room or no permission; nothing is left behind.
    """
    source = Path(source)
    try:
        image = dcmread(source)
        shape = int(image.get("NumberOfFrames") or 1), image.Rows, image.Columns
    except Exception as error:
        raise ImageError(f"{source.name} is no DICOM image; a DICOM segmentation must refer to one") from error
    if mask.shape != shape:
        raise ImageError(f"the mask has {mask.shape} but {source.name} has {shape} (frames, rows, columns)")
    if not mask.any():
        raise ImageError(f"the mask of {source.name} is empty, which a DICOM segmentation cannot hold")
    with written_whole(Path(path)) as partial:
        try:
            _segmentation(mask, labels, image, version, view or RunView()).save_as(partial)
        except OSError:
            raise
        # What is taken over from the image may be missing, or no value of its kind.
        except Exception as error:
            raise ImageError(
                f"{source.name} has tags that are missing or damaged, which a DICOM segmentation must repeat; "
                "have the mask as .nrrd"
            ) from error


def view_of(stored: Dataset) -> RunView:
    """Return how a run was looked at when a segmentation was drawn on it; as it is, where nothing else is said."""
    try:
        (algorithm,) = stored.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence
        told = dict(parameter.split("=") for parameter in algorithm.AlgorithmParameters.split(","))
        return RunView.of({
            "frames": (told["first"], told["last"]),
            "subtract": told["subtracted"] == "True",
            "mask_frame": None if told["mask"] == "None" else told["mask"],
            "projection": told["projection"],
            "register": told["registered"] == "True",
        })  # fmt: skip
    # Whoever stores segmentations may have changed them, or has parameters of another kind.
    except Exception:
        return RunView()


def _segmentation(mask: np.ndarray, labels: Sequence[str], image: Dataset, version: str, view: RunView) -> Segmentation:
    looked = None if view.plain else {name: str(told) for name, told in asdict(view).items()}
    algorithm = AlgorithmIdentificationSequence(name=MODEL, version=version, family=_FAMILY, parameters=looked)
    present = [value for value in range(1, len(labels) + 1) if (mask == value).any()]
    segments = [
        SegmentDescription(
            number, labels[value - 1], *_CODES.get(labels[value - 1], _VESSEL),
            SegmentAlgorithmTypeValues.SEMIAUTOMATIC, algorithm,
        )
        for number, value in enumerate(present, start=1)
    ]  # fmt: skip
    with warnings.catch_warnings():
        # Names of patients as they are; they are the source's.
        warnings.simplefilter("ignore")
        return Segmentation(
            [_placed(image, mask.shape[0])],
            np.stack([mask == value for value in present], axis=-1).astype(np.uint8),
            SegmentationTypeValues.BINARY,
            segments,
            series_instance_uid=UID(),
            series_number=int(image.get("SeriesNumber") or 0) + 1000,
            sop_instance_uid=UID(),
            instance_number=1,
            manufacturer=MANUFACTURER,
            manufacturer_model_name=MODEL,
            software_versions=version,
            device_serial_number="0",
            content_label="VESSELS",
            series_description="Vessels",
        )


def _placed(image: Dataset, frames: int) -> Dataset:
    """Return an image with a place for each frame, as its segmentation needs them; projections have none.

    X-ray projections lie in no frame of reference: theirs is made up of their own identifier, with frame upon frame,
    one millimetre apart.
    """
    placed = copy.copy(image)
    for keyword in _EXPECTED:
        if keyword not in placed:
            setattr(placed, keyword, "")
    enhanced = _groups_place(image, frames)
    if "FrameOfReferenceUID" in image and (enhanced or (frames == 1 and "ImagePositionPatient" in image)):
        if not enhanced and "NumberOfFrames" in placed:
            del placed.NumberOfFrames
        return placed
    placed.NumberOfFrames = frames
    placed.FrameOfReferenceUID = generate_uid(entropy_srcs=[image.SOPInstanceUID])
    shared = Dataset()
    shared.PixelMeasuresSequence = PixelMeasuresSequence(spacing_of(image) or (1.0, 1.0), 1.0, 1.0)
    shared.PlaneOrientationSequence = PlaneOrientationSequence("PATIENT", (1, 0, 0, 0, 1, 0))
    placed.SharedFunctionalGroupsSequence = [shared]
    placed.PerFrameFunctionalGroupsSequence = [Dataset() for _ in range(frames)]
    for z, group in enumerate(placed.PerFrameFunctionalGroupsSequence):
        group.PlanePositionSequence = PlanePositionSequence("PATIENT", (0.0, 0.0, float(z)))
    return placed


def _groups_place(image: Dataset, frames: int) -> bool:
    """Say whether functional groups place each frame; those of angiograms have a frame of reference and no planes."""
    shared = (image.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
    each = image.get("PerFrameFunctionalGroupsSequence") or ()
    return (
        "PlaneOrientationSequence" in shared
        and "PixelMeasuresSequence" in shared
        and len(each) == frames
        and all("PlanePositionSequence" in group for group in each)
    )
