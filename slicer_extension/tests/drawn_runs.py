"""Runs of an angiogram as DICOM, with contrast medium that comes and goes; drawn by the server's own generator."""

from __future__ import annotations

import subprocess

from salt_server import SALT, SaltServer

DRAW = """
import sys
from pathlib import Path
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, XRayAngiographicImageStorage, generate_uid
from salt_monailabel.imaging import synthesize

name, images, truth = sys.argv[1:4]
seed, count, rows, columns = map(int, sys.argv[4:])
image, mask, *_ = synthesize(seed, columns, "angiogram")
peak = 9 * count / 16
arrival = np.exp(-(((np.arange(count) - peak) / (count / 4)) ** 2))[:, None, None]
frames = (3000 - 1600 * arrival * mask[None, :rows]).astype(np.uint16)
frames += np.random.default_rng(seed).integers(0, 40, frames.shape, np.uint16)
data = Dataset()
data.file_meta = FileMetaDataset()
data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = XRayAngiographicImageStorage
data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
data.is_little_endian, data.is_implicit_VR = True, False
data.Modality, data.StudyInstanceUID, data.SeriesInstanceUID = "XA", generate_uid(), generate_uid()
data.NumberOfFrames, data.Rows, data.Columns = frames.shape
data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
data.FrameTime, data.ImagerPixelSpacing = "66.7", ["0.3", "0.3"]
data.PixelData = frames.tobytes()
data["PixelData"].VR = "OW"
data.save_as(Path(images) / f"{name}.dcm", write_like_original=False)
np.save(Path(truth) / f"{name}.npy", mask[:rows] > 0)
"""


def draw_run(server: SaltServer, name: str, seed: int, frames: int, rows: int, columns: int) -> None:
    """Add a run to the images of a server, and the vessels on it, (rows, columns), to the truth."""
    sizes = (seed, frames, rows, columns)
    subprocess.run(
        [SALT.parent / "python", "-c", DRAW, name, server.images, server.truth, *map(str, sizes)], check=True
    )
