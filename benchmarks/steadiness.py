"""How steady the outlines of a run are from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import distance_transform_edt

# In pixels: vessels move by less between two frames as a rule. Where they do not, even the truth flickers a little.
NEAR = 3.0


class Flicker(NamedTuple):
    """What appears or disappears for one frame only, each as a share of all vessel pixels.

    Attributes
    ----------
    blinks : float
        Vessel pixels that lie farther than `NEAR` pixels from any vessel of the frame before, and of the one after.
    holes : float
        Vessel pixels of the frame before that lie near vessel of the frame after, but farther from any in between.
    """

    blinks: float
    holes: float


def flicker(masks: Sequence[np.ndarray]) -> Flicker:
    """Measure the flicker of the masks of consecutive frames, each (H, W) of bool.

    The first and the last frame only count as neighbours; of fewer than three frames, or without vessel, both shares
    are 0.
    """
    near = [distance_transform_edt(~mask) <= NEAR if mask.any() else mask for mask in masks]
    triples = range(1, len(masks) - 1)
    vessel = max(1, sum(int(masks[t].sum()) for t in triples))
    blinks = sum(int((masks[t] & ~near[t - 1] & ~near[t + 1]).sum()) for t in triples)
    holes = sum(int((masks[t - 1] & near[t + 1] & ~near[t]).sum()) for t in triples)
    return Flicker(blinks / vessel, holes / vessel)
