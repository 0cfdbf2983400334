"""Identity in DICOM: all of it is known, none of it remains, and what the software needs does."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from salt_monailabel.imaging import read_study
from salt_monailabel.imaging.identity import deidentified, found, identifiers
from salt_monailabel.imaging.pseudonyms import Pseudonyms

from ..dicom import item, run, written
from ..identified import IDENTITY, identified, photograph, pixels_of, secrets_in

PSEUDONYMS = Pseudonyms(bytes(32))


def stripped(source: Path, pseudonyms: Pseudonyms = PSEUDONYMS) -> Path:
    """Return the file of what is left of a file."""
    target = source.with_name("stripped.dcm")
    dcmwrite(target, deidentified(dcmread(source), pseudonyms), write_like_original=False)
    return target


def test_what_identifies_is_found_wherever_it_stands(tmp_path: Path) -> None:
    known = identifiers(dcmread(identified(tmp_path / "run.dcm")))
    wanted = {
        "Zebrowska", "Kunigunde", "PX-4839201", "OLD-99120", "19540302", "02031954", "20210318", "101533", "ACC7766554",
        "Sankt Barbara Klinikum", "Quackenbush", "ANGIO-ROOM-7", "1.2.276.0.7230010.3.1.4.1", "1.2.276.0.7230010.3.9.7",
    }  # fmt: skip
    assert wanted <= known
    # Kinds of objects are the standard's own.
    assert not any(name.startswith("1.2.840.10008.") for name in known)


def test_uids_count_only_if_asked_for(tmp_path: Path) -> None:
    known = identifiers(dcmread(identified(tmp_path / "run.dcm")), uids=False)
    assert "Zebrowska" in known
    assert not any(name.startswith("1.2.") for name in known)


@pytest.mark.parametrize("value", ["", "A", "^^^^", "-", "000000"])
def test_what_says_nothing_identifies_nobody(value: str) -> None:
    assert identifiers(item(PatientName=value, PatientID=value)) == frozenset()


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("zebrowska_run3", True),
        ("RCA_Zébrowska", True),
        ("px4839201", True),
        ("scan 1954-03-02", True),
        ("scan-02.03.1954", True),
        ("li_2021", True),
        ("Li2021", True),
        ("line_4", False),
        ("k7", True),
        ("k72", False),
        ("case_12", False),
    ],
)
def test_a_name_is_known_by_any_spelling_but_short_ones_only_as_words(name: str, held: bool) -> None:
    known = identifiers(item(PatientName="Zebrowska^Li", PatientID="PX-4839201", StudyID="K7", StudyDate="19540302"))
    assert bool(found(name, known)) is held


@given(st.text(st.characters(categories=("Lu", "Ll", "Nd")), min_size=2, max_size=12), st.text(max_size=5))
def test_a_number_of_a_patient_is_found_between_separators(number: str, around: str) -> None:
    known = identifiers(item(PatientID=number))
    assert bool(found(f"{around}_{number}_{around}", known)) is bool(known)


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian],
    ids=lambda syntax: syntax.keyword,
)
def test_nothing_of_the_patient_remains_in_the_file(tmp_path: Path, syntax: Any) -> None:
    source = identified(tmp_path / "run.dcm", syntax=syntax)
    target = stripped(source)
    assert secrets_in(target.read_bytes()) == []
    # A deflated file would hide them.
    assert not dcmread(target).file_meta.TransferSyntaxUID.is_deflated
    if not syntax.is_deflated:
        assert len(secrets_in(source.read_bytes())) > 15


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=lambda syntax: syntax.keyword)
def test_the_study_is_read_as_before(tmp_path: Path, syntax: Any) -> None:
    source = identified(tmp_path / "run.dcm", syntax=syntax)
    before, after = read_study(source), read_study(stripped(source))
    assert np.array_equal(np.asarray(before.pixels), np.asarray(after.pixels))
    assert all(np.array_equal(before.frame(n), after.frame(n)) for n in range(3))
    assert before.geometry == after.geometry
    assert before.acquisition.masks == after.acquisition.masks
    assert np.array_equal(before.acquisition.exposed, after.acquisition.exposed)
    for kept in ("modality", "times", "spacing", "logarithmic"):
        assert getattr(before.acquisition, kept) == getattr(after.acquisition, kept), kept


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=lambda syntax: syntax.keyword)
def test_a_lookup_table_is_kept_without_its_explanation(tmp_path: Path, syntax: Any) -> None:
    table = item(LUTDescriptor=[4096, 0, 12], LUTExplanation="Zebrowska")
    table.add_new(0x00283006, "OW", np.arange(4096, dtype="<u2")[::-1].tobytes())
    source = identified(tmp_path / "run.dcm", 1, syntax, VOILUTSequence=[table], RescaleSlope="1")
    target = stripped(source)
    shown = read_study(target).frame(1)
    assert np.array_equal(shown, read_study(source).frame(1))
    assert not np.array_equal(shown, read_study(identified(tmp_path / "other.dcm")).frame(1))
    assert dcmread(target).PixelPaddingValue == 7
    assert secrets_in(target.read_bytes()) == []


def test_colours_of_a_palette_are_kept(tmp_path: Path) -> None:
    indices = (run(1) % 256).astype(np.uint8)
    ramps = {f"{c}PaletteColorLookupTable": bytes(range(256)) for c in ("Red", "Green", "Blue")}
    tags = {"PhotometricInterpretation": "PALETTE COLOR", "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    data = {f"{name}Data": ramp for name, ramp in ramps.items()} | {f"{name}Descriptor": [256, 0, 8] for name in ramps}
    source = written(tmp_path / "palette.dcm", indices, **tags, **data)
    assert np.array_equal(read_study(stripped(source)).frame(0), read_study(source).frame(0))


def test_compressed_frames_are_kept_bit_by_bit(tmp_path: Path) -> None:
    source = written(tmp_path / "run.dcm", run(), RLELossless, **IDENTITY)
    target = stripped(source)
    assert np.array_equal(pixels_of(target), run())
    assert dcmread(target).file_meta.TransferSyntaxUID == RLELossless


def test_what_a_camera_wrote_into_a_jpeg_goes_and_its_pixels_stay(tmp_path: Path) -> None:
    buffer, about = io.BytesIO(), Image.Exif()
    about[0x0132] = "20210317 10:15:33 Zebrowska"
    Image.fromarray((run(1)[0] >> 4).astype(np.uint8)).save(buffer, "JPEG", exif=about, comment="Kunigunde")
    source = photograph(tmp_path / "fundus.dcm", buffer.getvalue(), 24, 32)
    target = stripped(source)
    assert {"Zebrowska", "Kunigunde", "20210317"} <= set(secrets_in(buffer.getvalue()))
    assert secrets_in(target.read_bytes()) == []
    assert np.array_equal(pixels_of(target), pixels_of(source))


def test_what_is_required_is_there_and_it_says_that_identity_was_removed(tmp_path: Path) -> None:
    data = dcmread(stripped(identified(tmp_path / "run.dcm")))
    assert (data.PatientIdentityRemoved, "PS3.15" in data.DeidentificationMethod) == ("YES", True)
    assert len(data.DeidentificationMethod) <= 64
    assert (data.StudyDate, data.PatientBirthDate, data.AccessionNumber) == ("", "", "")
    assert (data.Modality, data.SeriesNumber, data.KVP, data.PositionerPrimaryAngle) == ("XA", 4, 75, -30.5)
    assert "BodyPartExamined" not in data
    assert [element for element in data.iterall() if element.tag.is_private] == []
    assert [element.VR for element in data.iterall() if element.VR in ("DA", "DT", "TM") and element.value] == []
    assert len(data.PerFrameFunctionalGroupsSequence) == 3


def test_what_belongs_together_still_does_within_an_export_and_not_beyond(tmp_path: Path) -> None:
    first, second = (dcmread(identified(tmp_path / f"{n}.dcm", n)) for n in (1, 2))
    one, other = (deidentified(data, PSEUDONYMS) for data in (first, second))
    again = deidentified(first, Pseudonyms())
    for shared in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        assert one[shared].value == other[shared].value != again[shared].value
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    assert str(one.PatientName) == one.PatientID != first.PatientID


def test_the_object_itself_is_not_changed(tmp_path: Path) -> None:
    data, untouched = (dcmread(identified(tmp_path / "run.dcm")) for _ in range(2))
    deidentified(data, PSEUDONYMS)
    assert data == untouched


# No word of DICOM begins like these names.
@settings(max_examples=40)
@given(
    st.text(st.characters(codec="ascii", categories=("Lu", "Ll")), min_size=5, max_size=12).map("Qx".__add__),
    st.from_regex(r"[A-Z]{3}-[0-9]{7}", fullmatch=True),
)
def test_no_name_and_no_number_remains_wherever_it_is_written(name: str, number: str) -> None:
    data = Dataset()
    data.update(item(PatientName=name, PatientID=number, ImageType=["ORIGINAL", name.upper()], ProtocolName=number))
    data.add_new(0x00181030, "LO", name)
    data.AnatomicRegionSequence = [item(CodeMeaning=name, CodeValue=number)]
    data.Modality, data.SOPInstanceUID = "XA", "1.2.3.4"
    data.file_meta = Dataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, deidentified(data, Pseudonyms()), write_like_original=False)
    content = buffer.getvalue().lower()
    assert name.lower().encode() not in content
    assert number.lower().encode() not in content


def test_damaged_elements_are_left_out(tmp_path: Path) -> None:
    source = identified(tmp_path / "run.dcm", KVP="75.000000")
    source.write_bytes(source.read_bytes().replace(b"75.000000", b"Kunigunde"))
    target = stripped(source)
    assert "KVP" not in dcmread(target)
    assert secrets_in(target.read_bytes()) == []
