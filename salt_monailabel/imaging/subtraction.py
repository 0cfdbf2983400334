"""Digital subtraction angiography: what contrast medium adds to a frame, without the anatomy that was there before.

`frames` are (F, H, W), of 8 to 16 bits or float32, brighter where more X-rays come; indices count from 0. A mask is
what is subtracted, (H, W), in the units of the frames. For the method, and the motion, see Meijering, Niessen and
Viergever, IEEE Trans. Med. Imaging 18(1), 1999, doi:10.1109/42.750248; for masks in DICOM, PS3.3 C.7.6.10.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .header import ImageError
from .projection import SMALL_SIDE, THICKEST, block_means, depth, logarithm, shadow, thin_and_dark, without_shade
from .study import Frames

# Of the brightness, as a logarithm, by which frames differ while the exposure is still being regulated.
UNSETTLED = 0.1
# Elastic motion has control points a fifth of a side apart, too coarse to hide a vessel.
MESH = 5
# Of the difference that is left without a motion. Interpolation alone smooths noise away, and leaves a little less.
GAIN = 0.98


def subtract(frames: np.ndarray, mask: np.ndarray, logarithmic: bool = False) -> np.ndarray:
    """Subtract a mask from frames, as logarithms.

    Whatever X-rays pass attenuates them by a factor (Beer and Lambert), so the difference of logarithms is what the
    contrast medium attenuates, on bone as on lung. Exposure that changes over time drops out: in each frame, half of
    the lit pixels come out above zero and half below.

    Parameters
    ----------
    frames : ndarray, (F, H, W)
    mask : ndarray, (H, W) or (F, H, W)
        One for all frames, or one for each.
    logarithmic : bool
        Whether pixels are logarithms already, as DICOM's Pixel Intensity Relationship LOG says, and not LIN.

    Returns
    -------
    ndarray of float32, (F, H, W)
        Negative, that is dark, where there is contrast medium; around zero elsewhere, and zero in the shadow of a
        shutter. Where mask or frame are saturated, the difference is smaller than it was.
    """
    darkest = -np.inf if logarithmic else shadow(mask)
    result = np.empty(frames.shape, np.float32)
    for frame, before, difference in zip(frames, np.broadcast_to(mask, frames.shape), result, strict=True):
        lit = before > darkest
        if not logarithmic:
            frame, before = logarithm(frame, darkest), logarithm(before, darkest)
        np.subtract(frame, before, out=difference, dtype=np.float32)
        if lit.any():
            # Every 13th pixel is as good as all, and 13 divides no usual width.
            difference -= np.median(difference[lit][::13])
        difference[~lit] = 0
    return result


def averaged(frames: Frames, indices: Sequence[int]) -> np.ndarray:
    """Return the mean of some frames as float32, (H, W): a mask with less noise than each.

    Parameters
    ----------
    frames : ndarray or other Frames, (F, H, W) or more dimensions
    indices : sequence of int
        DICOM's Mask Frame Numbers minus 1.

    Raises
    ------
    ImageError
        If there is no such frame, or none is named.
    """
    check_mask(indices, len(frames))
    return np.mean([frames[index] for index in indices], axis=0, dtype=np.float32)


def check_mask(indices: Sequence[int], frames: int) -> None:
    """Raise `ImageError` if a run of so many frames has none of these indices to subtract, or none is named."""
    if not len(indices):
        raise ImageError("no frame is named as mask; name at least one")
    if missing := [index for index in indices if not 0 <= index < frames]:
        raise ImageError(f"the run has the frames 0 to {frames - 1}; got {missing[0]} to subtract")


def shifted(mask: np.ndarray, rows: float, columns: float) -> np.ndarray:
    """Return a mask, as float32, shifted as DICOM's Mask Sub-pixel Shift says, by cubic splines; edges are repeated.

    Parameters
    ----------
    mask : ndarray, (H, W)
    rows, columns : float
        In pixels: downwards and, as C.7.6.10.1.2 has it, to the left.
    """
    if rows == columns == 0:
        return mask.astype(np.float32, copy=False)
    moved = ndimage.shift(mask.astype(np.float32), (rows, -columns), order=3, mode="nearest")
    # Splines overshoot at the edge of a shutter.
    return np.clip(moved, mask.min(), mask.max())


def mask_frame(frames: np.ndarray) -> int:
    """Return the index of the last frame before contrast medium arrives, found in the raw frames (F, H, W) themselves.

    It arrives where a tile of the image shows more thin dark structure, throughout the next quarter of the run, than in
    any frame before. Heart and breath move structure from tile to tile, but it does not stay. Rises of less than half
    of the largest are passed over, and so are frames at the beginning while the exposure is being regulated.

    If that frame is not among those with little thin dark structure, as where contrast medium is there from the start,
    the one with the least is returned, be it one after the contrast medium has left; 0 if all frames are alike.
    """
    levels = logarithm(frames[:, ::4, ::4], shadow(frames)).mean(axis=(1, 2))
    first = int((np.abs(levels - np.median(levels)) < UNSETTLED).argmax())
    tiles = thin_and_dark(frames)[first:]
    lasting = max(3, len(frames) // 4)
    rises = [(tiles[t : t + lasting].min(axis=0) - tiles[:t].max(axis=0)).max() for t in range(1, len(tiles))]
    whole = tiles.mean(axis=(1, 2))
    least = int(whole.argmin())
    last = int(np.argmax(rises >= max(rises) / 2)) if rises else 0
    return first + (last if whole[last] - whole[least] <= np.ptp(whole) / 4 else least)


def registered(mask: np.ndarray, frame: np.ndarray, elastic: bool = True) -> np.ndarray:
    """Move a mask onto a frame, against the motion of the patient: shift and rotation, then cubic B-splines.

    The logarithms of both are correlated, which no change of exposure alters, leaving out the shutter and what looks
    most like contrast medium: thin dark structure that the mask does not have nearby. It is the same every time.

    Parameters
    ----------
    mask, frame : ndarray, (H, W)
    elastic : bool
        Whether what is seen may bend; a head does not.

    Returns
    -------
    ndarray of float32, (H, W)
        Edges are repeated. The mask as it is if no motion leaves less of a difference, as with constant images.
    """
    darkest = shadow(mask)
    small = [ndimage.gaussian_filter(block_means(image, SMALL_SIDE), 1) for image in (frame, mask)]
    still, moving = (logarithm(image, darkest) for image in small)
    new = depth(still) - ndimage.maximum_filter(depth(moving), 2 * THICKEST + 1)
    counted = ~ndimage.maximum_filter(new > np.percentile(new, 95), 5)
    counted &= ndimage.minimum_filter(small[1], 5) > darkest
    still, moving = (without_shade(image, small[1] > darkest) for image in (still, moving))
    images = still, moving, counted.astype(np.uint8)
    fixed, floating, region = (_image(array, len(mask) // len(array)) for array in images)
    turn = sitk.Euler2DTransform([(length - 1) / 2 for length in reversed(mask.shape)])
    parts = [turn, sitk.BSplineTransformInitializer(fixed, (MESH, MESH))] if elastic else [turn]
    motion, least = sitk.CompositeTransform(2), _residual(still, moving, counted)
    for part in parts:
        try:
            further = _correlated(fixed, floating, region, sitk.CompositeTransform(motion), part)
        except RuntimeError:
            # There is nothing to correlate.
            continue
        residual = _residual(still, _moved(floating, further), counted)
        if residual < GAIN * least:
            motion, least = further, residual
    # A shutter does not move with the patient.
    lit = ndimage.minimum_filter(mask, 5) > darkest
    free = lit & (_moved(_image(lit.astype(np.float32), 1), motion) == 1)
    return np.where(free, _moved(_image(mask, 1), motion), mask.astype(np.float32))


def _correlated(
    fixed: sitk.Image, floating: sitk.Image, region: sitk.Image, motion: sitk.CompositeTransform, part: sitk.Transform
) -> sitk.CompositeTransform:
    """Add that further part to a motion, of its kind, that correlates two images best."""
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # Sums of several may differ with their number.
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(region)
    method.SetShrinkFactorsPerLevel((16, 8, 4))
    method.SetSmoothingSigmasPerLevel((8, 4, 2))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    if isinstance(part, sitk.Euler2DTransform):  # A turn by 1 is a larger step than a shift by 1.
        method.SetOptimizerAsRegularStepGradientDescent(learningRate=4, minStep=0.02, numberOfIterations=50)
        method.SetOptimizerScalesFromPhysicalShift()
    else:
        method.SetOptimizerAsLBFGSB(numberOfIterations=20)
    method.SetMovingInitialTransform(motion)
    method.SetInitialTransform(part, inPlace=True)
    method.Execute(fixed, floating)
    motion.AddTransform(part)
    return motion


def _residual(still: np.ndarray, moved: np.ndarray, counted: np.ndarray) -> float:
    difference = (still - moved)[counted]
    return float(np.abs(difference - np.median(difference)).mean()) if difference.size else 0.0


def _image(array: np.ndarray, step: int) -> sitk.Image:
    """Return an image whose points have the coordinates of the mask, of which it may be reduced by `step`."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((step, step))
    image.SetOrigin(((step - 1) / 2, (step - 1) / 2))
    return image


def _moved(image: sitk.Image, motion: sitk.Transform) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.Resample(image, image, motion, sitk.sitkLinear, 0.0, sitk.sitkFloat32, True))
