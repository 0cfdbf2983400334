"""The field of view: what a dark border leaves free of an image, where no tag says it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull

# Of larger images, with a shorter side of twice this many pixels and more, every second pixel is looked at, and so on;
# of much smaller ones none: on a thumbnail shading looks like an edge.
SIDE = 256
# Up to which share of the range of values a border is dark.
DARK = 0.1
# Pixels of the smaller image: bright parts so near to each other are one, and parts so thin are noise.
NEAR = 3
# Shares of the image that a field of view fills, and share of its convex hull that is bright: fields are circles or
# rectangles, or parts of them, while dark background has any shape.
LEAST, MOST, SOLID = 0.25, 0.98, 0.97
# Pixels of the smaller image by which it is taken for larger than it seems: vessels are seen up to its rim, where light
# fades.
RIM = 2
# Shares of the range of values by which it is brighter at its edge than what is beside it, for shading has no edge; and
# by which what is outside may vary: where it does more, there is something to be seen.
EDGE, FLAT = 0.08, 0.03


def field_of_view(frames: np.ndarray) -> np.ndarray | None:
    """Find the field of view of a camera or an image intensifier.

    Parameters
    ----------
    frames : ndarray, (F, H, W, C)
        Of one run.

    Returns
    -------
    ndarray of bool, (H, W), or None
        It is convex: a dark vessel at its edge belongs to it. None where there is no border, or what is dark has
        another shape.
    """
    rows, columns = frames.shape[1:3]
    if min(rows, columns) < SIDE // 2:
        return None
    step = max(1, min(rows, columns) // SIDE)
    brightest = frames[:, ::step, ::step].max(axis=(0, 3)).astype(np.float64)
    low, high = np.percentile(brightest, (1, 99))
    # Beyond its frame an image may go on.
    bright = np.pad(brightest > low + DARK * (high - low), 2 * NEAR, mode="edge")
    whole = ndimage.binary_opening(ndimage.binary_closing(bright, iterations=NEAR), iterations=NEAR)
    parts, _ = ndimage.label(whole[2 * NEAR : -2 * NEAR, 2 * NEAR : -2 * NEAR])
    sizes = np.bincount(parts.ravel())[1:]
    if not sizes.size:
        return None
    largest = ndimage.binary_fill_holes(parts == 1 + sizes.argmax())
    if not LEAST <= largest.mean() <= MOST:
        return None
    field = _hull(largest)
    if largest.sum() < SOLID * field.sum() or field.mean() > MOST:
        return None
    inside = field & ~ndimage.binary_erosion(field, iterations=2 * NEAR, border_value=1)
    beside = ndimage.binary_dilation(field, iterations=2 * NEAR) & ~field
    if np.median(brightest[inside]) - np.median(brightest[beside]) < EDGE * (high - low):
        return None
    if np.subtract(*np.percentile(brightest[~field], (75, 25))) > FLAT * (high - low):
        return None
    field = ndimage.binary_dilation(field, iterations=RIM)
    return field.repeat(step, axis=0).repeat(step, axis=1)[:rows, :columns]


def _hull(part: np.ndarray) -> np.ndarray:
    """Return the convex hull of a part of an image."""
    places = np.argwhere(part & ~ndimage.binary_erosion(part))
    corners = places[ConvexHull(places).vertices, ::-1]
    hull = Image.new("1", (part.shape[1], part.shape[0]))
    # Many times as fast as scikit-image's.
    ImageDraw.Draw(hull).polygon([(float(x), float(y)) for x, y in corners], fill=1)
    return np.asarray(hull) | part
