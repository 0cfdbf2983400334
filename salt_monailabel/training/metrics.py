"""How good a mask is. All take boolean masks of one shape."""

from __future__ import annotations

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize


def dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient; 1 if both masks are empty."""
    total = int(prediction.sum()) + int(truth.sum())
    return 1.0 if total == 0 else 2 * int((prediction & truth).sum()) / total


def cl_dice(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Centreline Dice (Shit et al. 2021): 1 if both skeletons are empty, 0 if one is."""
    skeleton_p, skeleton_t = skeletonize(prediction), skeletonize(truth)
    length_p, length_t = int(skeleton_p.sum()), int(skeleton_t.sum())
    if length_p == 0 or length_t == 0:
        return float(length_p == length_t)
    precision = (skeleton_p & truth).sum() / length_p
    sensitivity = (skeleton_t & prediction).sum() / length_t
    return float(2 * precision * sensitivity / max(precision + sensitivity, 1e-9))


def hd95(prediction: np.ndarray, truth: np.ndarray) -> float:
    """95th percentile of the symmetric surface distances, in pixels.

    0 if both masks are empty. If one is, the diagonal of the image: the largest distance there could be, so that a
    mean over images stays finite and a missed vessel counts as bad as can be.
    """
    if not prediction.any() or not truth.any():
        return 0.0 if prediction.any() == truth.any() else float(np.linalg.norm(prediction.shape))
    border_p, border_t = (mask & ~ndimage.binary_erosion(mask) for mask in (prediction, truth))
    to_truth = ndimage.distance_transform_edt(~border_t)[border_p]
    to_prediction = ndimage.distance_transform_edt(~border_p)[border_t]
    return float(np.percentile(np.concatenate([to_truth, to_prediction]), 95))
