"""From the pixels of any device to what the model sees."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional

from .acquisition import Modality
from .field import field_of_view

PERCENTILES = (1.0, 99.0)
# Of the shorter side, the standard deviation of the Gaussian that the light of a photograph is smoothed with; and the
# shorter side of the picture in which it is, in pixels. Chosen on DRIVE's training images.
SHADE, SMALL = 0.1, 128
# The channels of a pixel with a colour differ by a larger share of the range of values, and a photograph in colours has
# a larger share of such pixels.
COLOURFUL, COLOURED = 0.1, 0.1


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Scale each channel by its 1st and 99th percentile and return RGB.

    Window settings, bit depth and exposure drop out. A channel of which less than a hundredth differs is scaled by its
    least and largest value, and a constant one becomes zero.

    Parameters
    ----------
    pixels : ndarray, (H, W), (H, W, 1) or (H, W, 3)
        Any finite numbers.

    Returns
    -------
    ndarray of float32, (H, W, 3), 0..1
    """
    channels = _halved(pixels)
    return _three(_scaled(channels, _sample(channels).reshape(-1, channels.shape[-1])))


def model_input(pixels: np.ndarray, modality: Modality | None = None, bordered: bool = True) -> np.ndarray:
    """Return what the model sees of an image: a photograph of a fundus evened, others scaled.

    In OCTA the brightness of the ground is a sign of vessels; `benchmarks/intensities.py` measures both. Where the
    modality is not known, one in colours is such a photograph. Other parameters and the result are those of `evened`.
    """
    fundus = in_colours(pixels) if modality is None else modality == "fundus"
    return evened(pixels, bordered) if fundus else to_rgb(pixels)


def evened(pixels: np.ndarray, bordered: bool = True) -> np.ndarray:
    """Take the light from each channel, then scale it as `to_rgb` does, by what lies in the field of view.

    The fundus is darker at the rim and where the camera did not point, and a vessel is told by what is right beside it.

    Parameters
    ----------
    pixels : ndarray
        As for `to_rgb`.
    bordered : bool
        Whether a dark border, if there is one, is the edge of the field of view; all of the image is seen otherwise.

    Returns
    -------
    ndarray of float32, (H, W, 3), 0..1
        Zero outside of the field of view.
    """
    channels = _halved(pixels)
    field = field_of_view(channels[None]) if bordered else None
    inside = np.ones(pixels.shape[:2], bool) if field is None else field
    even = channels - _light(channels, inside)
    scaled = np.where(inside[..., None], _scaled(even, _sample(even)[_sample(inside)]), np.float32(0))
    return _three(scaled)


def in_colours(pixels: np.ndarray) -> bool:
    """Say whether an image, (H, W, C), is in colours; three channels alike are gray, whatever is drawn on them."""
    if pixels.ndim == 2 or pixels.shape[-1] == 1:
        return False
    channels = _halved(_sample(pixels))
    return bool((np.ptp(channels, axis=-1) > COLOURFUL * np.ptp(channels)).mean() > COLOURED)


def _halved(pixels: np.ndarray) -> np.ndarray:
    """Return channels as floating point; halves of the largest numbers still have a difference."""
    channels = pixels[..., None] if pixels.ndim == 2 else pixels
    return channels.astype(np.result_type(channels, np.float32)) / 2


def _sample(plane: np.ndarray) -> np.ndarray:
    """Return every fourth row and column: their percentiles are as good as those of all, and 16 times as fast."""
    return plane[::4, ::4] if min(plane.shape[:2]) >= 128 else plane


def _three(channels: np.ndarray) -> np.ndarray:
    return np.repeat(channels, 3, axis=-1) if channels.shape[-1] == 1 else channels


def _scaled(channels: np.ndarray, sample: np.ndarray) -> np.ndarray:
    low, high = np.percentile(sample, PERCENTILES, axis=0).astype(channels.dtype)
    # Where less than a hundredth differs, that is all there is to be seen.
    same = low == high
    low, high = np.where(same, channels.min(axis=(0, 1)), low), np.where(same, channels.max(axis=(0, 1)), high)
    return np.clip((channels - low) / np.where(high > low, high - low, np.inf), 0, 1).astype(np.float32)


def _light(channels: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the mean of each channel around each pixel, over what lies inside."""
    shape = channels.shape[:2]
    small = [max(1, round(side * min(1, SMALL / min(shape)))) for side in shape]
    planes = torch.from_numpy(np.dstack([channels * inside[..., None], inside]).transpose(2, 0, 1))[None]
    reduced = functional.interpolate(planes, small, mode="area")[0].numpy()
    *sums, weight = (ndimage.gaussian_filter(plane, SHADE * min(small)) for plane in reduced)
    means = torch.from_numpy(np.stack([total / np.maximum(weight, 1e-6) for total in sums]))
    return functional.interpolate(means[None], shape, mode="bilinear")[0].numpy().transpose(1, 2, 0)
