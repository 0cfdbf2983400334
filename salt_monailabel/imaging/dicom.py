"""DICOM: frames decoded one at a time, in their stored depth, and as a radiologist would see them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_pixel_data_frame
from pydicom.pixel_data_handlers import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space
from pydicom.pixel_data_handlers.util import get_expected_length

from .header import ImageError

_DESCRIBING = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "BitsAllocated",
    "BitsStored", "HighBit", "PixelRepresentation",
)  # fmt: skip

_PRESENTING = {
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
    "VOILUTSequence", "BitsStored", "PixelRepresentation", "PhotometricInterpretation",
}  # fmt: skip


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
        If there are no pixels, or fewer than the tags say.
    """

    def __init__(self, dataset: Dataset, name: str) -> None:
        if "PixelData" not in dataset:
            raise ImageError(f"{name} holds no image; it is another kind of DICOM object")
        self._name = name
        self._syntax = dataset.file_meta.TransferSyntaxUID
        self._tags = Dataset()
        for keyword in _DESCRIBING:
            if keyword in dataset:
                setattr(self._tags, keyword, dataset[keyword].value)
        self._palette = _only(dataset, "PaletteColorLookupTable")
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
        """Memory it takes."""
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
            pixels = single.pixel_array
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
        return np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[..., None])


class Presentation:
    """How stored values become those a radiologist sees: modality LUT, VOI window or LUT, and polarity (PS3.3 C.11).

    Parameters
    ----------
    dataset : Dataset
    """

    def __init__(self, dataset: Dataset) -> None:
        groups = dataset.get("SharedFunctionalGroupsSequence") or dataset.get("PerFrameFunctionalGroupsSequence")
        tags = Dataset()
        for source in (dataset, *(_macros(groups[0]) if groups else ())):
            tags.update({
                element.tag: element
                for element in source
                if element.keyword in _PRESENTING and element.value not in (None, "")
            })  # fmt: skip
        self._tags = tags
        self._inverse = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
        widths = np.atleast_1d(tags.get("WindowWidth") or 0).astype(float)
        self._windowed = "VOILUTSequence" in tags or widths[0] >= 1
        self._gray = int(dataset.get("SamplesPerPixel") or 1) == 1

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Return a frame (rows, columns, channels) as it is shown; colour stays as it is."""
        if not self._gray:
            return frame
        shown = apply_modality_lut(frame, self._tags)
        if self._windowed:
            window = apply_voi_lut(shown, self._tags)
            # Some objects are tagged with the window of another image.
            shown = window if window.min() < window.max() else shown
        return -shown.astype(np.float32) if self._inverse else shown


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


def _macros(group: Dataset) -> Iterator[Dataset]:
    """Yield the macros of a functional group of enhanced objects that say how values are shown."""
    for keyword in ("FrameVOILUTSequence", "PixelValueTransformationSequence"):
        yield from group.get(keyword) or ()


def _only(dataset: Dataset, part: str) -> Dataset:
    """Return the elements whose keyword contains `part`."""
    chosen = Dataset()
    chosen.update({element.tag: element for element in dataset if part in element.keyword})
    return chosen
