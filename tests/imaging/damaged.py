"""Small files of every format, and ways to damage them at random."""

from __future__ import annotations

import re
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import nibabel
import nrrd
import numpy as np
import SimpleITK as sitk
import tifffile
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from ..dicom import item, run, written
from .stored import noise
from .videos import encoded
from .videos import run as moving

# What a damaged length is replaced by.
_NUMBERS = (
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0xFFFFFFFE,
    1 << 62,
    (1 << 64) - 1,
)
_WORDS = (
    b"0",
    b"1",
    b"-1",
    b"9",
    b"65536",
    b"2147483648",
    b"99999999999999999999",
    b"1e30",
    b"nan",
    b"inf",
    b"0.5",
    b"",
)
_DIGITS = re.compile(rb"-?\d+(\.\d+)?")


class Case(NamedTuple):
    """A damaged file: what it is, what was done to it, and what is left."""

    format: str
    damage: str
    name: str
    content: bytes


def whole_files(folder: Path) -> dict[str, Path]:
    """Write one sound file of each kind, all of them small, and return them by a name that says what they are."""
    gray, colour, stack = noise(20, 30), noise(20, 30, 3), noise(4, 20, 30)
    folder.mkdir(exist_ok=True)
    writers: dict[str, Callable[[str], object]] = {
        "a.png": lambda path: Image.fromarray(gray).save(path),
        "b.png": lambda path: Image.fromarray(colour).save(path),
        "c.png": lambda path: sitk.WriteImage(sitk.GetImageFromArray(noise(20, 30, dtype=np.uint16)), path),
        "a.jpg": lambda path: Image.fromarray(gray).save(path),
        "b.jpg": lambda path: Image.fromarray(colour).save(path, progressive=True),
        "a.tif": lambda path: sitk.WriteImage(sitk.GetImageFromArray(stack), path),
        "b.tif": lambda path: _pages(path, stack, "tiff_lzw"),
        "c.tif": lambda path: _pages(path, stack, "tiff_adobe_deflate"),
        "d.tif": lambda path: Image.fromarray(colour).save(path, big_tiff=True),
        "e.tif": lambda path: tifffile.imwrite(
            path, stack, photometric="minisblack", compression="zlib", tile=(16, 16)
        ),
        "f.tif": lambda path: tifffile.imwrite(path, noise(2, 20, 30, 3, dtype=np.uint16), photometric="rgb"),
        "g.tif": lambda path: tifffile.imwrite(path, noise(40, 60, dtype=np.uint16), tile=(16, 16)),
        "h.tif": lambda path: tifffile.imwrite(
            path, noise(3, 20, 30, dtype=np.uint16), photometric="rgb", planarconfig="separate"
        ),
        "a.bmp": lambda path: Image.fromarray(colour).save(path),
        "a.gif": lambda path: Image.fromarray(gray).save(path),
        "a.webp": lambda path: Image.fromarray(colour).save(path, lossless=True),
        "b.webp": lambda path: Image.fromarray(colour).save(path),
        "a.jp2": lambda path: Image.fromarray(colour).save(path),
        "b.jp2": lambda path: Image.fromarray(noise(20, 30, dtype=np.uint16)).save(path),
        "a.pgm": lambda path: Image.fromarray(noise(20, 30, dtype=np.uint16)).save(path),
        "a.ppm": lambda path: Image.fromarray(colour).save(path),
        "a.nii": lambda path: sitk.WriteImage(sitk.GetImageFromArray(noise(4, 20, 30, dtype=np.int16)), path),
        "b.nii": lambda path: _nifti(path, colour),
        "c.nii": lambda path: sitk.WriteImage(sitk.GetImageFromArray(colour, isVector=True), path),
        "d.nii.gz": lambda path: sitk.WriteImage(sitk.GetImageFromArray(stack), path),
        "a.nrrd": lambda path: nrrd.write(path, stack, {"encoding": "raw", "spacings": [1, 2, 3]}),
        "b.nrrd": lambda path: sitk.WriteImage(sitk.GetImageFromArray(colour, isVector=True), path, True),
        "c.nrrd": lambda path: nrrd.write(path, gray, {"encoding": "ascii"}),
        "a.mha": lambda path: sitk.WriteImage(sitk.GetImageFromArray(stack), path),
        "b.mha": lambda path: sitk.WriteImage(sitk.GetImageFromArray(colour, isVector=True), path, True),
        "a.mp4": lambda path: encoded(Path(path), moving()),
        "a.mov": lambda path: encoded(Path(path), moving(), "png", "rgb24"),
        "a.avi": lambda path: encoded(Path(path), moving(), "mjpeg", "yuvj422p"),
        "a.dcm": lambda path: written(Path(path), run(), WindowCenter=2048, WindowWidth=1000, FrameTime=33),
        "b.dcm": lambda path: written(Path(path), run(), RLELossless),
        "c.dcm": lambda path: written(Path(path), noise(2, 24, 32, 3)),
        "d.dcm": lambda path: _enhanced(Path(path)),
        "e.dcm": lambda path: _compressed(Path(path), JPEGBaseline8Bit, "JPEG"),
        "f.dcm": lambda path: _compressed(Path(path), JPEG2000Lossless, "JPEG2000"),
        "g.dcm": lambda path: _implicit(Path(path)),
    }
    for name, write in writers.items():
        write(str(folder / name))
    return {path.name: path for path in sorted(folder.iterdir())}


def _pages(path: str, stack: np.ndarray, compression: str) -> None:
    first, *others = (Image.fromarray(page) for page in stack)
    first.save(path, save_all=True, append_images=others, compression=compression)


def _nifti(path: str, colour: np.ndarray) -> None:
    structured = colour.view([(name, "u1") for name in "RGB"])[..., 0]
    nibabel.save(nibabel.Nifti1Image(structured, np.eye(4)), path)


def _enhanced(path: Path) -> None:
    groups = [item(PlanePositionSequence=[item(ImagePositionPatient=[0, 0, k])]) for k in range(3)]
    measures = item(PixelMeasuresSequence=[item(PixelSpacing=[0.4, 0.3])])
    mask = item(MaskOperation="AVG_SUB", MaskFrameNumbers=[1, 2])
    written(
        path,
        run(),
        SharedFunctionalGroupsSequence=[measures],
        PerFrameFunctionalGroupsSequence=groups,
        MaskSubtractionSequence=[mask],
    )


def _compressed(path: Path, syntax: str, form: str) -> None:
    """Write two frames of 8 bits that Pillow compresses."""
    frames = []
    for frame in moving(2, 24, 32):
        with tempfile.TemporaryFile() as file:
            Image.fromarray(frame).save(file, form, **({"no_jp2": True} if form == "JPEG2000" else {}))
            file.seek(0)
            frames.append(file.read())
    dataset = dcmread(written(path, run(2)))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    dataset.save_as(path)


def _implicit(path: Path) -> None:
    dataset = dcmread(written(path, run(1), PixelSpacing=[0.5, 0.5], PatientName="Nobody"))
    dataset.is_implicit_VR, dataset.file_meta.TransferSyntaxUID = True, "1.2.840.10008.1.2"
    dataset.save_as(path)


def cut_short(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Flip one to eight bits, half of the time in what is likely to be the header."""
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 9))):
        damaged[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def wrong_length(content: bytes, rng: np.random.Generator) -> bytes:
    """Change a number, in bytes or in words, or leave out, repeat or add some bytes."""
    place, size = _place(content, rng), int(rng.integers(1, 200))
    kind = rng.integers(5)
    if kind == 0:
        return content[:place] + content[place + size :]
    if kind == 1:
        return content[: place + size] + content[place:]
    numbers = [*_DIGITS.finditer(content[:1000])]
    if kind == 2 and numbers:
        number = numbers[int(rng.integers(len(numbers)))]
        return content[: number.start()] + _WORDS[int(rng.integers(len(_WORDS)))] + content[number.end() :]
    form = str(rng.choice(list("BHIQ")))
    value = _NUMBERS[int(rng.integers(len(_NUMBERS)))] & ((1 << 8 * struct.calcsize(form)) - 1)
    packed = struct.pack(str(rng.choice(["<", ">"])) + form, value)
    return content[:place] + packed + content[place + len(packed) :]


def _place(content: bytes, rng: np.random.Generator) -> int:
    return int(rng.integers(min(512, len(content)) if rng.random() < 0.5 else len(content)))


DAMAGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (cut_short, flipped, wrong_length)


def cases(whole: dict[str, Path], count: int, seed: int = 0) -> Iterator[Case]:
    """Yield damaged files, each format and each damage in turn; the same for the same seed."""
    contents = {name: path.read_bytes() for name, path in whole.items()}
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        name = sorted(contents)[number % len(contents)]
        damage = DAMAGES[number // len(contents) % len(DAMAGES)]
        yield Case(name.partition(".")[2], damage.__name__, name, damage(contents[name], rng))
