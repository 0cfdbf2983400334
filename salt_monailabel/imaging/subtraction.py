"""Digital subtraction angiography: what contrast medium adds to a frame, without the anatomy that was there before.

Everywhere here `frames` are (F, H, W), of 8 to 16 bits or float32, brighter where more X-rays come; indices count from
0. A mask is what is subtracted, (H, W), in the units of the frames.

References
----------
.. [1] E. H. W. Meijering, W. J. Niessen and M. A. Viergever, "Retrospective motion correction in digital subtraction
   angiography: a review", IEEE Transactions on Medical Imaging 18(1), 1999, doi:10.1109/42.750248.
.. [2] DICOM PS3.3, C.7.6.10, Mask Module.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .header import ImageError
from .projection import SIDE, THICKEST, depth, logarithm, reduced, shadow, thin_and_dark

# Of the brightness, as a logarithm, by which frames differ while the exposure is still being regulated.
UNSETTLED = 0.1
# Control points of the elastic registration are a sixth of a side apart: what moves is broad, and vessels are thin.
MESH = 6


def subtract(frames: np.ndarray, mask: np.ndarray, logarithmic: bool = False) -> np.ndarray:
    """Subtract a mask from frames, as logarithms.

    Whatever X-rays pass attenuates them by a factor, so the difference of logarithms is the attenuation by contrast
    medium alone, on bone as on lung [1]_. Exposure that changes over time drops out: in each frame, half of the lit
    pixels come out above zero and half below.

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
        if logarithmic:
            np.subtract(frame, before, out=difference, dtype=np.float32)
        else:
            np.subtract(logarithm(frame, darkest), logarithm(before, darkest), out=difference)
        lit = before > darkest
        if lit.any():
            # Every 13th pixel is as good as all, and 13 divides no usual width.
            difference -= np.median(difference[lit][::13])
        difference[~lit] = 0
    return result


def averaged(frames: np.ndarray, indices: Sequence[int]) -> np.ndarray:
    """Return the mean of some frames, a mask with less noise than each.

    Parameters
    ----------
    frames : ndarray, (F, H, W)
    indices : sequence of int
        From 0, where DICOM's Mask Frame Numbers count from 1.

    Returns
    -------
    ndarray of float32, (H, W)

    Raises
    ------
    ImageError
        If there is no such frame, or none is named.
    """
    if not len(indices):
        raise ImageError("no frame is named as mask; name at least one")
    if missing := [index for index in indices if not 0 <= index < len(frames)]:
        raise ImageError(
            f"there is no frame {missing[0] + 1} to subtract: the run has {len(frames)}; choose another mask frame"
        )
    return frames[list(indices)].mean(axis=0, dtype=np.float32)


def shifted(mask: np.ndarray, rows: float, columns: float) -> np.ndarray:
    """Shift a mask as DICOM's Mask Sub-pixel Shift says, with cubic splines; edges are repeated.

    Parameters
    ----------
    mask : ndarray, (H, W)
    rows, columns : float
        In pixels: downwards, and to the left, which is the standard's direction [2]_.

    Returns
    -------
    ndarray of float32, (H, W)
        Within the range of the mask.
    """
    moved = ndimage.shift(mask.astype(np.float32), (rows, -columns), order=3, mode="nearest")
    return np.clip(moved, mask.min(), mask.max())


def mask_frame(frames: np.ndarray) -> int:
    """Return the index of the last frame before contrast medium arrives, found in the frames themselves.

    It arrives where a tile of the image shows more thin dark structure, throughout the next quarter of the run, than in
    any frame before. Heart and breath move structure from tile to tile, but it does not stay, and rises of less than
    half of the largest are passed over. So are frames at the beginning while the exposure is being regulated.

    With few frames before the arrival, or none, it is the frame with the least thin dark structure that there is, which
    may be one after the contrast medium has left.

    Parameters
    ----------
    frames : ndarray, (F, H, W)
        Raw.

    Returns
    -------
    int
        From 0; 0 if all frames are alike.
    """
    darkest = shadow(frames)
    levels = np.array([logarithm(frame[::4, ::4], darkest).mean() for frame in frames])
    first = int((np.abs(levels - np.median(levels)) < UNSETTLED).argmax())
    tiles = thin_and_dark(frames)[first:]
    lasting = max(3, len(frames) // 4)
    rises = [
        (tiles[now + 1 : now + 1 + lasting].min(axis=0) - tiles[: now + 1].max(axis=0)).max()
        for now in range(len(tiles) - 1)
    ]
    whole = tiles.mean(axis=(1, 2))
    least = int(whole.argmin())
    last = int(np.argmax(rises >= max(rises) / 2)) if rises else 0
    return first + (last if whole[last] - whole[least] <= np.ptp(whole) / 4 else least)


def registered(mask: np.ndarray, frame: np.ndarray, elastic: bool = True) -> np.ndarray:
    """Move a mask onto a frame, against the motion of the patient [1]_.

    First as a whole, by shift and rotation, then elastically, by cubic B-splines. The logarithms of both are
    correlated, which no change of exposure alters, leaving out the shutter and what looks most like contrast medium:
    thin dark structure that the mask does not have nearby. The same images always give the same result.

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
    still, moving = (ndimage.gaussian_filter(logarithm(reduced(image, SIDE), darkest), 1) for image in (frame, mask))
    region = _without_contrast(still, moving) & (ndimage.minimum_filter(moving, 5) > np.log(darkest))
    step = len(mask) // len(still)
    fixed, floating, counted = (_image(array, step) for array in (still, moving, region.astype(np.uint8)))
    centre = [(length - 1) / 2 for length in reversed(mask.shape)]
    parts = [sitk.Euler2DTransform(centre), sitk.BSplineTransformInitializer(fixed, (MESH, MESH))]
    motion = sitk.CompositeTransform([sitk.Transform(2, sitk.sitkIdentity)])
    best, least = None, _residual(still, moving, region)
    for part in parts if elastic else parts[:1]:
        try:
            motion.AddTransform(_motion(fixed, floating, counted, motion, part))
        except RuntimeError:
            # There is nothing to correlate.
            break
        residual = _residual(still, _moved(floating, motion), region)
        if residual < least:
            best, least = sitk.CompositeTransform(motion), residual
    unmoved = mask.astype(np.float32)
    if best is None:
        return unmoved
    lit = ndimage.minimum_filter(mask, 5) > darkest
    # A shutter does not move with the patient.
    free = lit & (_moved(_image(lit.astype(np.float32), 1), best) == 1)
    return np.where(free, _moved(_image(unmoved, 1), best), unmoved)


def _motion(
    fixed: sitk.Image, floating: sitk.Image, counted: sitk.Image, before: sitk.Transform, part: sitk.Transform
) -> sitk.Transform:
    """Return what kind of motion `part` is, after the motion `before`, that correlates two images best."""
    method = sitk.ImageRegistrationMethod()
    # Sums of several threads, and samples drawn at random, would differ from run to run.
    method.SetNumberOfThreads(1)
    method.SetMetricAsCorrelation()
    method.SetMetricFixedMask(counted)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetShrinkFactorsPerLevel((4, 2))
    method.SetSmoothingSigmasPerLevel((2, 1))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetOptimizerAsRegularStepGradientDescent(learningRate=4, minStep=0.05, numberOfIterations=30)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetMovingInitialTransform(before)
    method.SetInitialTransform(part, inPlace=True)
    method.Execute(fixed, floating)
    return part


def _without_contrast(still: np.ndarray, moving: np.ndarray) -> np.ndarray:
    """Return where a frame shows no contrast medium, the most suspicious twentieth left out generously."""
    new = depth(still) - ndimage.maximum_filter(depth(moving), 2 * THICKEST + 1)
    return ~ndimage.maximum_filter(new > np.percentile(new, 95), 5)


def _residual(still: np.ndarray, moved: np.ndarray, region: np.ndarray) -> float:
    difference = (still - moved)[region]
    return float(np.abs(difference - np.median(difference)).mean()) if difference.size else 0.0


def _image(array: np.ndarray, step: int) -> sitk.Image:
    """Return an image with the coordinates of the pixels that were pooled."""
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((step, step))
    image.SetOrigin(((step - 1) / 2, (step - 1) / 2))
    return image


def _moved(image: sitk.Image, motion: sitk.Transform) -> np.ndarray:
    moved = sitk.Resample(image, image, motion, sitk.sitkLinear, 0.0, sitk.sitkFloat32, True)
    return sitk.GetArrayFromImage(moved)
