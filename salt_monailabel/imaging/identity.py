"""Whom a DICOM object is of: the strings that say so, whether a text holds one, and the object without them.

Table E.1-1 of PS3.15 lists what to remove, some 650 elements, and grows with each edition. Here it is the other way
round: what is not known to be harmless is removed. No element of text, date or time remains, none that is private, and
none of a group that is about the patient, the visit or the request; of the table this leaves nothing to be listed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_pixel_data_frame
from pydicom.multival import MultiValue
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from .codestream import without_comments
from .pseudonyms import Pseudonyms

METHOD = "PS3.15 E.1 basic profile; no text, date, time or private element"
# UIDs of the standard itself, such as those of kinds of objects, name nobody.
STANDARD = "1.2.840.10008."
# What is shorter is looked for as a whole word only, and a single character is not.
LONG, SHORTEST = 4, 2
# Elements of text that name somebody, some place or some thing of theirs; all of these kinds of values do.
_NAMING_VR = ("PN", "DA", "DT", "TM", "AE")
_NAMING = {
    "PatientID", "OtherPatientIDs", "IssuerOfPatientID", "MedicalRecordLocator", "PatientAddress",
    "PatientTelephoneNumbers", "PatientTelecomInformation", "InsurancePlanIdentification", "CurrentPatientLocation",
    "PatientInstitutionResidence", "AccessionNumber", "StudyID", "AdmissionID", "ServiceEpisodeID",
    "RequestedProcedureID", "ScheduledProcedureStepID", "PerformedProcedureStepID", "RequestingService",
    "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest", "InstitutionName",
    "InstitutionAddress", "InstitutionalDepartmentName", "StationName", "DeviceSerialNumber", "DetectorID", "GantryID",
    "PlateID", "CassetteID", "ClinicalTrialSubjectID", "ClinicalTrialSiteID", "ClinicalTrialSiteName",
}  # fmt: skip
# Kinds of object, acquisition, place of an image, eyes, pixels, presentation, functional groups, pixels themselves.
_GROUPS = (0x0008, 0x0018, 0x0020, 0x0022, 0x0028, 0x2050, 0x5200, 0x7FE0)
_WRITTEN_NUMBERS = ("DS", "IS")
_NUMBERS = ("AT", "FD", "FL", "OD", "OF", "OL", "OV", "SL", "SS", "SV", "UL", "US", "UV")
# Code strings that the pixels cannot do without; any other goes if it is a name by chance.
_VITAL = {"SpecificCharacterSet", "Modality", "ShutterShape"}
_CODE_STRING = re.compile(r"[A-Z0-9 _]{0,16}")
# Anything may be written where a number belongs.
_NUMBER = re.compile(r"([-+]?[0-9.]+([eE][-+]?[0-9]+)?)?")
# Where they are kept, the places of frames are those of before.
_OFFSETS = {"ExtendedOffsetTable", "ExtendedOffsetTableLengths"}
# What must be there, if only empty (type 2).
_EMPTIED = (
    "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID",
    "Manufacturer",
)  # fmt: skip


def identifiers(dataset: Dataset, uids: bool = True) -> frozenset[str]:
    """Return the strings of a DICOM object that identify: of people, numbers, dates, institutions, devices, objects.

    Names count in their parts, too, and dates in each of their usual orders. What is shorter than two characters, or
    nothing but zeros, identifies nobody.

    Parameters
    ----------
    dataset : Dataset
    uids : bool
        Whether UIDs count: who has no access to the archive can make nothing of them, who has finds the patient.
    """
    elements = (element for element in _elements(dataset) if uids or element.VR != "UI")
    strings = {string for element in elements for string in _identifying(element)}
    return frozenset(string for string in strings if len(_compact(string)) >= SHORTEST and set(string) != {"0"})


def found(text: str, identifying: frozenset[str]) -> frozenset[str]:
    """Return which identifiers a text holds, in whatever case, with or without accents and separators.

    Those of fewer than four characters must be words of their own.
    """
    compact = _compact(text)
    # "Li2021" is two words; "K7" may be one.
    words = {_compact(word) for pattern in (r"[^\W_]+", r"[^\W\d_]+|\d+") for word in re.findall(pattern, text)}
    return frozenset(
        name
        for name, sought in _prepared(identifying)
        if (sought in compact if len(sought) >= LONG else sought in words)
    )


def deidentified(dataset: Dataset, pseudonyms: Pseudonyms) -> Dataset:
    """Return a DICOM object without identity: the basic profile of PS3.15 E.1, and stricter.

    What remains is the pixels, their geometry and how they are shown: LUTs, shutter, mask subtraction, times between
    frames, and what numbers and code strings say of the acquisition. What was of one patient, study or series still is,
    under other identifiers, if all are given the same pseudonyms. What is drawn into the pixels stays; see `burned_in`.

    Parameters
    ----------
    dataset : Dataset
        As read from a file; it is not changed.
    pseudonyms : Pseudonyms
    """
    kept = _kept(dataset, identifiers(dataset), pseudonyms)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == DeflatedExplicitVRLittleEndian:
        syntax = ExplicitVRLittleEndian
    uid = str(dataset.get("SOPInstanceUID") or dataset.file_meta.get("MediaStorageSOPInstanceUID") or generate_uid())
    kept.SOPClassUID = dataset.get("SOPClassUID") or SecondaryCaptureImageStorage
    kept.SOPInstanceUID = pseudonyms.uid(uid)
    kept.file_meta = FileMetaDataset()
    kept.file_meta.TransferSyntaxUID = syntax
    kept.file_meta.MediaStorageSOPClassUID = kept.SOPClassUID
    kept.file_meta.MediaStorageSOPInstanceUID = kept.SOPInstanceUID
    kept.is_little_endian, kept.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    if syntax.is_compressed and "PixelData" in kept:
        _repack(kept)
    number = str(dataset.get("PatientID") or dataset.get("PatientName") or uid)
    kept.PatientName = kept.PatientID = pseudonyms.patient(number)
    for keyword in _EMPTIED:
        setattr(kept, keyword, "")
    kept.PatientIdentityRemoved, kept.DeidentificationMethod = "YES", METHOD
    kept.LongitudinalTemporalInformationModified = "REMOVED"
    return kept


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """Yield all elements, those of sequences too, but for those whose value is damaged."""
    for element in _readable(dataset):
        if element.VR == "SQ":
            for item in element.value:
                yield from _elements(item)
        else:
            yield element


def _readable(dataset: Dataset) -> Iterator[DataElement]:
    for tag in dataset.keys():  # noqa: SIM118 (its values are read one by one)
        try:
            yield dataset[tag]
        except (ValueError, TypeError, NotImplementedError, OverflowError, AttributeError, KeyError):
            continue


def _identifying(element: DataElement) -> Iterator[str]:
    values = element.value if isinstance(element.value, MultiValue) else [element.value]
    texts = [str(value).strip(" \0") for value in values if value not in (None, "")]
    if element.VR in _NAMING_VR or element.keyword in _NAMING:
        yield from texts
    for text in texts:
        if element.VR == "PN":
            yield from re.split(r"[\^=\s,]+", text)
        elif element.VR in ("DA", "DT") and text[:8].isdecimal():
            year, month, day = text[:4], text[4:6], text[6:8]
            yield from (year + month + day, day + month + year, month + day + year)
        elif element.VR == "TM":
            yield text[:6]
        elif element.VR == "UI" and not text.startswith(STANDARD):
            yield text


def _compact(text: str) -> str:
    """Return the letters and digits of a text, without case and accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in plain if character.isalnum())


@lru_cache(maxsize=4)
def _prepared(identifying: frozenset[str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, _compact(name)) for name in identifying)


def _kept(dataset: Dataset, identifying: frozenset[str], pseudonyms: Pseudonyms) -> Dataset:
    kept = Dataset()
    for element in _readable(dataset):
        tag, keyword = element.tag, element.keyword
        if tag.group not in _GROUPS or keyword in _OFFSETS:
            continue
        value = element.value
        if element.VR == "SQ":
            items = [_kept(item, identifying, pseudonyms) for item in value]
            if any(items):
                kept.add_new(tag, "SQ", items)
        elif element.VR == "UI" and value:
            uids = [uid if uid.startswith(STANDARD) else pseudonyms.uid(uid) for uid in _several(value)]
            kept.add_new(tag, "UI", uids)
        elif element.VR == "CS":
            vital = tag.group == 0x0028 or keyword in _VITAL
            if all(
                _CODE_STRING.fullmatch(code) and (vital or not found(code, identifying)) for code in _several(value)
            ):
                kept.add(element)
        elif element.VR in _WRITTEN_NUMBERS:
            numbers = _several(value)
            named = any(len(number) >= LONG and number in identifying for number in numbers)
            if not named and all(_NUMBER.fullmatch(number) for number in numbers):
                kept.add(element)
        elif element.VR in _NUMBERS or tag.group == 0x7FE0 or keyword.endswith(("LUTData", "LookupTableData")):
            kept.add(element)
    return kept


def _several(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, MultiValue) else [str(value or "")]


def _repack(dataset: Dataset) -> None:
    """Take from the compressed frames what their encoders wrote beside the pixels."""
    count = int(dataset.get("NumberOfFrames") or 1)
    frames = [without_comments(frame) for frame in generate_pixel_data_frame(dataset.PixelData, count)]
    dataset.add_new("PixelData", "OB", encapsulate(frames))
    dataset["PixelData"].is_undefined_length = True
