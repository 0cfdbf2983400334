"""DICOM: frames decoded one at a time, in their stored depth, and as a radiologist would see them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_pixel_data_frame
from pydicom.pixel_data_handlers import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space
from pydicom.pixel_data_handlers.util import get_expected_length
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)

from .header import JPEG_2000, ImageError

_DESCRIBING = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip

_PRESENTING = (
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence", "BitsStored", "PixelRepresentation", "PhotometricInterpretation",
)  # fmt: skip
_WINDOWS = {"WindowWidth", "VOILUTSequence"}
# Objects whose modality LUT leads from logarithms back to the X-ray intensity (PS3.3 C.8.7.1.1.2), which is not for the
# eye; DCMTK and dcm4che leave it out too. The last, of two planes at once, is retired.
_LINEARIZED = (XRayAngiographicImageStorage, XRayRadiofluoroscopicImageStorage, "1.2.840.10008.5.1.4.1.1.12.3")
_PALETTE = tuple(
    keyword
    for colour in ("Red", "Green", "Blue")
    for table in (f"{colour}PaletteColorLookupTable",)
    for keyword in (f"{table}Descriptor", f"{table}Data", f"Segmented{table}Data")
)
# Of what lies between the darkest and the brightest of an image, the share that its own window does not send there too.
_CLIPPED = 0.95
# The beginning of an image in JPEG or JPEG-LS: its rows, columns and channels.
_JPEG = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xde\xf7](?=.{3}(.{2})(.{2})(.))", re.DOTALL)


class DicomFrames:
    """The frames of a DICOM file, decoded as they are asked for. Safe for threads.

    What the file holds stays compressed in memory; a run of minutes opens in the time its file takes to be read.

    Parameters
    ----------
    dataset : Dataset
        With pixels.
    name : str
        Of the file, for messages.

    Raises
    ------
    ImageError
        If there are fewer pixels than the tags say, or the first frame is damaged.
    """

    def __init__(self, dataset: Dataset, name: str) -> None:
        self._name = name
        self._syntax = dataset.file_meta.TransferSyntaxUID
        self._tags = _only(dataset, _DESCRIBING)
        self._palette = _only(dataset, _PALETTE)
        count = int(dataset.get("NumberOfFrames") or 1)
        self._encoded = _encoded(dataset, count, name)
        first = self[0]
        self.shape = (count, *first.shape)
        self.dtype = first.dtype

    def __len__(self) -> int:
        return len(self._encoded)

    def __getitem__(self, index: int) -> np.ndarray:
        """Return one frame, (rows, columns, channels), as stored, colours as RGB; not to be written to.

        Raises
        ------
        ImageError
            If it is damaged.
        IndexError
            If there is none of that number.
        """
        frame = self._decode(range(len(self))[index])
        frame.flags.writeable = False
        return frame

    def __array__(self, dtype: np.dtype | None = None) -> np.ndarray:
        """Return all frames, decoded."""
        return np.stack([self[index] for index in range(len(self))]).astype(dtype or self.dtype, copy=False)

    @property
    def nbytes(self) -> int:
        """Memory that it takes; what is decoded is not kept here."""
        return sum(map(len, self._encoded))

    def _decode(self, index: int) -> np.ndarray:
        # pydicom 2 decodes whole files only: each frame becomes a file of one.
        single = Dataset()
        single.update(self._tags)
        single.file_meta = FileMetaDataset()
        single.file_meta.TransferSyntaxUID = self._syntax
        value = self._encoded[index]
        single.PixelData = encapsulate([value]) if self._syntax.is_compressed else value
        single["PixelData"].VR = "OB" if self._syntax.is_compressed or self._tags.BitsAllocated <= 8 else "OW"
        try:
            self._check_size(value)
            pixels = single.pixel_array
            if pixels.size == 0 or self._tags.SamplesPerPixel not in (1, 3):
                raise ValueError(f"pixels of {pixels.shape}")
            pixels = self._without_overlays(pixels)
            colours = single.PhotometricInterpretation
            if colours == "PALETTE COLOR":
                pixels = apply_color_lut(pixels, self._palette)
            elif colours.startswith("YBR_FULL"):
                pixels = convert_color_space(pixels, colours, "RGB")
        except Exception as error:
            raise ImageError(
                f"frame {index + 1} of {self._name} cannot be decoded; it is damaged, or of a transfer syntax that is "
                f"not read ({self._syntax.name}); export it again, uncompressed"
            ) from error
        pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))

    def _without_overlays(self, pixels: np.ndarray) -> np.ndarray:
        """Return values without the bits above theirs, in which overlays were once stored; no JPEG has such bits."""
        stored = self._tags.get("BitsStored", 0)
        above = 8 * pixels.dtype.itemsize - stored
        is_packed = self._syntax.is_compressed and self._syntax != RLELossless
        if is_packed or pixels.dtype.kind not in "iu" or above <= 0 or stored != self._tags.get("HighBit", -1) + 1:
            return pixels
        # Shifting back fills them with zeros, or with the sign.
        return pixels << above >> above

    def _check_size(self, encoded: bytes) -> None:
        """Refuse a compressed image larger than the tags say: its decoder would believe the image."""
        if self._syntax in JPEG2000TransferSyntaxes:
            images = [
                [int.from_bytes(number, "big") for number in image.groups()] for image in JPEG_2000.finditer(encoded)
            ]
            # By its length a header is told from pixels that look alike.
            sizes = [size for length, *size, _ in images if length == 38 + 3 * size[-1]]
        elif self._syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
            sizes = [[int.from_bytes(number, "big") for number in image.groups()] for image in _JPEG.finditer(encoded)]
        else:
            return
        if any(math.prod(size) > self._tags.Rows * self._tags.Columns * self._tags.SamplesPerPixel for size in sizes):
            raise ValueError("an image larger than the tags say")


class Presentation:
    """How stored values become those a radiologist sees: modality LUT, VOI window or LUT, and polarity (PS3.3 C.11).

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        self._tags = _only(dataset, _PRESENTING)
        for group in (dataset.get("SharedFunctionalGroupsSequence") or ())[:1]:
            self._tags.update(_presented(group))
        if dataset.get("SOPClassUID") in _LINEARIZED:
            self._tags.pop("ModalityLUTSequence", None)
        self._groups = dataset.get("PerFrameFunctionalGroupsSequence") or ()
        self._inverse = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
        self._gray = int(dataset.get("SamplesPerPixel") or 1) == 1

    def __call__(self, frame: np.ndarray, index: int, windowed: bool) -> np.ndarray:
        """Return a frame (rows, columns, channels) of that index as it is shown, in its window or without.

        Colour stays as it is.
        """
        if not self._gray:
            return frame
        tags = self._tags_of(index)
        shown = _looked_up(apply_modality_lut, frame, tags)
        shown = _looked_up(apply_voi_lut, shown, tags) if windowed else shown
        return -shown.astype(np.result_type(shown, np.float32)) if self._inverse else shown

    def fits(
        self, decoded: Callable[[int], np.ndarray], indices: Iterable[int], visible: np.ndarray | None = None
    ) -> bool:
        """Say whether the windows are those of the image, by some of its frames together.

        Some objects are tagged with the window of another image: where something is to be seen, in `visible` (rows,
        columns) or everywhere, it leaves no more than black and white. Of colour, or without a window, no frame is
        decoded.
        """
        tagged = {index: self._tags_of(index) for index in indices}
        if not self._gray or not any(_WINDOWS & {*tags.dir()} for tags in tagged.values()):
            return False
        everywhere = np.s_[:] if visible is None else visible
        windows, values = [], []
        for index, tags in tagged.items():
            # One that is damaged is said to be when it is asked for; the others are to be seen.
            with suppress(ImageError):
                shown = _looked_up(apply_modality_lut, decoded(index), tags)
                windows.append(_looked_up(apply_voi_lut, shown, tags)[everywhere])
                values.append(shown[everywhere])
        return bool(values) and _fits(np.concatenate(windows), np.concatenate(values))

    def widest(self, stored: np.dtype) -> int:
        """Return the bytes that a value of a stored kind takes at most once it is shown."""
        return np.dtype(np.float64).itemsize if self._gray else stored.itemsize

    def _tags_of(self, index: int) -> Dataset:
        tags = Dataset()
        tags.is_little_endian, tags.is_implicit_VR = self._tags.is_little_endian, self._tags.is_implicit_VR
        tags.update(self._tags)
        # Most objects have none, and damaged ones fail in many ways.
        with suppress(Exception):
            tags.update(_presented(self._groups[index]))
        # It would show nothing.
        if tags.get("RescaleSlope") == 0:
            del tags.RescaleSlope
        return tags


def _looked_up(look_up: Callable[[np.ndarray, Dataset], np.ndarray], values: np.ndarray, tags: Dataset) -> np.ndarray:
    """Return what a table or window makes of values; a damaged one makes nothing of them."""
    try:
        with np.errstate(all="ignore"):
            found = look_up(values, tags)
    # A table may lack entries, have none, or not be one.
    except Exception:
        return values
    return found if np.isfinite(found).all() else values


def _fits(window: np.ndarray, values: np.ndarray) -> bool:
    """Say whether a window leaves more of values than two ends; of an image of black and white it need not."""
    between = window[(values > values.min()) & (values < values.max())]
    low, high = window.min(), window.max()
    return bool(low < high and (between.size == 0 or ((between == low) | (between == high)).mean() < _CLIPPED))


def _encoded(dataset: Dataset, count: int, name: str) -> list[bytes]:
    """Return what the file holds of each frame."""
    data = dataset.PixelData
    if dataset.file_meta.TransferSyntaxUID.is_compressed:
        frames = list(generate_pixel_data_frame(data, count))
    else:
        length = get_expected_length(dataset) // count
        frames = [data[start : start + length] for start in range(0, count * length, length)]
        if len(data) < count * length:
            frames.pop()
    if len(frames) != count:
        raise ImageError(f"{name} should hold {count} frames, but holds {len(frames)}; copy or export it again")
    return frames


def _presented(group: Dataset) -> Dataset:
    """Return what a functional group of an enhanced object says of how values are shown."""
    tags = Dataset()
    for keyword in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
        for macro in group.get(keyword) or ():
            tags.update(_only(macro, _PRESENTING))
    return tags


def _only(dataset: Dataset, keywords: Iterable[str]) -> Dataset:
    """Return those elements that are there, not empty, and what their kind says they are."""
    chosen = Dataset()
    # Tables are numbers in the order of the file.
    chosen.is_little_endian, chosen.is_implicit_VR = dataset.is_little_endian, dataset.is_implicit_VR
    for keyword in keywords:
        # Damaged values fail in many ways.
        with suppress(Exception):
            if dataset.get(keyword) not in (None, ""):
                chosen.add(dataset[keyword])
    return chosen
