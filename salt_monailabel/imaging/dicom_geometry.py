"""Where a DICOM image lies, as SimpleITK says: programs that open a mask beside the image ask it too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import SimpleITK as sitk
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian

from .geometry import Geometry

# What kind of object it is; the groups of acquisition, of relations, of pixels, of detectors, of radiotherapy and of
# frames, in which their geometry is said; and where in the group of pixels there are windows and tables only.
_CLASS, _MODALITY, _PIXELS, _TABLES = 0x00080016, 0x00080060, 0x0028, 0x1000
_GROUPS = (0x0018, 0x0020, _PIXELS, 0x0054, 0x3002, 0x3004, 0x5200)


def geometry_of(dataset: Dataset, shape: tuple[int, int, int]) -> Geometry:
    """Return where frames lie, from a copy without patient and pixels that pydicom writes.

    Of the file itself SimpleITK would read all, and take as much memory as a damaged one declares.

    Parameters
    ----------
    dataset : Dataset
    shape : tuple of int
        Its frames, rows and columns.

    Raises
    ------
    RuntimeError
        If that cannot be told.
    """
    frames, rows, columns = shape
    placed = Dataset()
    buffer = DicomBytesIO()
    for file in (placed, buffer):
        file.is_little_endian, file.is_implicit_VR = True, False
    for tag in _telling(dataset):
        # Damaged values fail in many ways; what they say is not known then.
        with suppress(Exception):
            write_data_element(buffer, dataset[tag])
            placed.add(copy(dataset[tag]))
    placed.SOPInstanceUID = "1.2.3"
    placed.Rows = placed.Columns = placed.SamplesPerPixel = 1
    placed.NumberOfFrames, placed.PhotometricInterpretation = frames, "MONOCHROME2"
    placed.BitsAllocated, placed.BitsStored, placed.HighBit, placed.PixelRepresentation = 8, 8, 7, 0
    placed.PixelData = bytes(frames + frames % 2)
    placed["PixelData"].VR = "OB"
    placed.preamble, placed.file_meta = bytes(128), FileMetaDataset()
    # It is counted when it is written.
    placed.file_meta.FileMetaInformationGroupLength = 0
    placed.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    # The kind of object again, by which SimpleITK goes first.
    if (kind := dataset.file_meta.get("MediaStorageSOPClassUID")) is not None:
        placed.file_meta.MediaStorageSOPClassUID = kind
    with TemporaryDirectory() as folder:
        path = Path(folder) / "placed.dcm"
        dcmwrite(path, placed)
        reader = sitk.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO("GDCMImageIO")
        reader.ReadImageInformation()
    return replace(Geometry.of(reader), size=(columns, rows, frames))


def _telling(dataset: Dataset) -> Iterator[BaseTag]:
    for tag in dataset.keys():  # noqa: SIM118  Elements themselves would be converted.
        if tag in (_CLASS, _MODALITY) or (tag.group in _GROUPS and not (tag.group == _PIXELS and tag.elem >= _TABLES)):
            yield tag
