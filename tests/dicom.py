"""DICOM files, written for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixel_data_handlers.rle_handler import rle_encode_frame
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless, XRayAngiographicImageStorage, generate_uid

ROWS, COLUMNS = 24, 32


def run(frames: int = 3, bits: int = 12, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**bits, (frames, ROWS, COLUMNS)).astype(np.uint16)


def written(path: Path, pixels: np.ndarray, syntax: UID = ExplicitVRLittleEndian, **tags: Any) -> Path:
    """Write frames (F, R, C) of 12 bits, or colour (F, R, C, 3) of 8, with some tags."""
    colour = pixels.ndim == 4
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = XRayAngiographicImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.is_little_endian, data.is_implicit_VR = True, False
    data.Modality, data.StudyInstanceUID, data.SeriesInstanceUID = "XA", generate_uid(), generate_uid()
    data.NumberOfFrames, data.Rows, data.Columns = pixels.shape[:3]
    data.BitsAllocated, data.BitsStored = (8, 8) if colour else (16, 12)
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    data.SamplesPerPixel, data.PhotometricInterpretation = (3, "RGB") if colour else (1, "MONOCHROME2")
    if colour:
        data.PlanarConfiguration = 0
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    if syntax == RLELossless:
        data.PixelData = encapsulate([rle_encode_frame(frame) for frame in pixels])
        data["PixelData"].is_undefined_length = True
    else:
        data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OB" if syntax == RLELossless or colour else "OW"
    data.save_as(path, write_like_original=False)
    return path


def item(**tags: Any) -> Dataset:
    """Return an item of a sequence."""
    made = Dataset()
    for keyword, value in tags.items():
        setattr(made, keyword, value)
    return made
