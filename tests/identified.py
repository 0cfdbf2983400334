"""DICOM files full of identity, written for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit

from .dicom import item, run, written

# None of these may leave the house in any spelling of their own.
SECRETS = (
    "Zebrowska", "Kunigunde", "ZEBROWSKA", "PX-4839201", "OLD-99120", "19540302", "20210317", "20210318", "20210319",
    "101533", "ACC7766554", "STU998877", "Sankt Barbara", "Quackenbush", "Ottokar", "ANGIO-ROOM-7", "SN-55-1212",
    "Rosenweg", "KLINIKUMAE", "1.2.276.0.7230010.3.1.4.", "1.2.276.0.7230010.3.9.",
)  # fmt: skip
INSTANCE = "1.2.276.0.7230010.3.1.4.{}"
IDENTITY: dict[str, Any] = {
    "PatientName": "Zebrowska^Kunigunde^^Dr",
    "PatientID": "PX-4839201",
    "OtherPatientIDs": ["OLD-99120", "PX-4839201"],
    "PatientBirthDate": "19540302",
    "PatientSex": "F",
    "PatientAge": "067Y",
    "PatientWeight": "71.5",
    "PatientAddress": "Rosenweg 5",
    "PatientComments": "Frau Zebrowska kam am 17.03.",
    "StudyDate": "20210317",
    "StudyTime": "101533.25",
    "SeriesDate": "20210317",
    "ContentDate": "20210318",
    "AcquisitionDateTime": "20210317101533.250000+0100",
    "AccessionNumber": "ACC7766554",
    "StudyID": "STU998877",
    "StudyInstanceUID": "1.2.276.0.7230010.3.9.2",
    "SeriesInstanceUID": "1.2.276.0.7230010.3.9.3",
    "FrameOfReferenceUID": "1.2.276.0.7230010.3.9.4",
    "InstitutionName": "Sankt Barbara Klinikum",
    "InstitutionAddress": "Rosenweg 1",
    "ReferringPhysicianName": "Quackenbush^Ottokar",
    "OperatorsName": ["Quackenbush^Ottokar", "Anon"],
    "StationName": "ANGIO-ROOM-7",
    "DeviceSerialNumber": "SN-55-1212",
    "StudyDescription": "Koronarangiographie Zebrowska",
    "ImageComments": "Kunigunde, 2. Versuch",
    "BodyPartExamined": "ZEBROWSKA",
    "DerivationDescription": "from 1.2.276.0.7230010.3.9.9 of 20210319",
}
# What the software reads, and what a study of it needs.
NEEDED: dict[str, Any] = {
    "ImagerPixelSpacing": ["0.3", "0.25"],
    "FrameTimeVector": ["0", "66.7", "33.3"],
    "CineRate": "15",
    "WindowCenter": "1000",
    "WindowWidth": "1800",
    "RescaleSlope": "2",
    "RescaleIntercept": "-10",
    "ShutterShape": "RECTANGULAR",
    "ShutterLeftVerticalEdge": 3,
    "ShutterRightVerticalEdge": 30,
    "ShutterUpperHorizontalEdge": 2,
    "ShutterLowerHorizontalEdge": 22,
    "PixelIntensityRelationship": "LOG",
    "PositionerPrimaryAngle": "-30.5",
    "KVP": "75",
    "SeriesNumber": "4",
}


def identified(path: Path, number: int = 1, syntax: UID = ExplicitVRLittleEndian, **tags: Any) -> Path:
    """Write a run of three frames whose tags tell all of a patient, in sequences, overlays and private elements too."""
    written(path, run(seed=number), **IDENTITY, **NEEDED)
    data = dcmread(path)
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = INSTANCE.format(number)
    data.file_meta.SourceApplicationEntityTitle = "KLINIKUMAE"
    data.preamble = b"Zebrowska".ljust(128, b"\0")
    data.OtherPatientIDsSequence = [item(PatientID="OLD-99120", IssuerOfPatientID="Sankt Barbara")]
    data.RequestAttributesSequence = [item(RequestedProcedureID="PX-4839201", RequestedProcedureDescription="Ottokar")]
    data.ReferencedImageSequence = [item(ReferencedSOPInstanceUID="1.2.276.0.7230010.3.9.7")]
    data.MaskSubtractionSequence = [
        item(MaskOperation="AVG_SUB", MaskFrameNumbers=[1], MaskOperationExplanation="Kunigunde")
    ]
    content = item(FrameAcquisitionDateTime="20210317101533", FrameComments="Zebrowska", FrameAcquisitionNumber=2)
    data.PerFrameFunctionalGroupsSequence = [Dataset(), item(FrameContentSequence=[content]), Dataset()]
    private = data.private_block(0x0019, "Sankt Barbara PACS", create=True)
    private.add_new(1, "PN", "Zebrowska^Kunigunde")
    private.add_new(2, "SQ", [item(PatientName="Zebrowska^Kunigunde")])
    for element, kind, value in ((0x10, "US", 24), (0x11, "US", 32), (0x40, "CS", "G"), (0x50, "SS", [1, 1])):
        data.add_new(0x60000000 + element, kind, value)
    data.add_new(0x60000100, "US", 1)
    data.add_new(0x60000102, "US", 0)
    data.add_new(0x60003000, "OW", b"Zebrowska Kunigunde ".ljust(96, b"\0"))
    data.add_new(0x60000022, "LO", "Zebrowska")
    data.add_new(0x50000022, "LO", "Kunigunde")
    # Of a kind that depends on others, where the file does not say it.
    data.add_new(0x00280120, "US", 7)
    for keyword, value in tags.items():
        setattr(data, keyword, value)
    data.file_meta.TransferSyntaxUID = syntax
    data.is_little_endian, data.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    data.save_as(path, write_like_original=False)
    return path


def photograph(path: Path, jpeg: bytes, rows: int, columns: int) -> Path:
    """Write a JPEG of gray pixels as DICOM, as programs do that take in photographs."""
    identified(path)
    data = dcmread(path)
    for keyword in ("FrameTimeVector", "PerFrameFunctionalGroupsSequence", "MaskSubtractionSequence", "ShutterShape"):
        delattr(data, keyword)
    data.NumberOfFrames, data.Rows, data.Columns = 1, rows, columns
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.file_meta.TransferSyntaxUID = 7, JPEGBaseline8Bit
    data.PixelData = encapsulate([jpeg])
    data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
    data.save_as(path, write_like_original=False)
    return path


def secrets_in(content: bytes) -> list[str]:
    """Return what of the identity is in some bytes, whatever the case."""
    lower = content.lower()
    return [secret for secret in SECRETS if secret.lower().encode() in lower]


def pixels_of(path: Path) -> np.ndarray:
    return dcmread(path).pixel_array
