"""An annotator's masks of some frames of a run, carried to the frames between and beside them.

A mask is moved with what is seen to move, registered vessel to vessel; the model's own answer draws its border, and
tells where there is contrast medium. Prompting the model with the mask, or with clicks where its answer differs, was
measured to help little or to harm (`benchmarks/flicker.py`): it was taught to correct a mask, not to keep to it.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, maximum_filter
from skimage.registration import optical_flow_ilk

from salt_monailabel.imaging.projection import block_means

from .predictor import Embedded, Predictor

# Of a moved mask, beside the model's own answer: it decides, but for its border, which is blurred by BORDER pixels so
# that half of the thinnest vessel is left.
WEIGHT, BORDER = 0.75, 0.7
# Contrast medium is missing where the model sees less than this share of what it saw on the key frame, BESIDE and on
# the mask, AROUND a place; in pixels. Probabilities below NOTHING count as that: where little was seen, little is
# missed.
LOST, BESIDE, AROUND, NOTHING = 0.15, 2, 12, 0.02
# A key frame tells where there is no vessel up to so many pixels from what is marked or seen on it; beyond, it hardly
# contradicts another one on which there is more contrast medium.
HEARD = 4
# Frames are registered at about so many pixels on the shorter side. In these pixels: the blurs between which vessels
# stand out, that of the model's answer, and the radius within which all moves alike.
SIDE, FINE, COARSE, ANSWER, RADIUS = 256, 1.2, 3.0, 1.5, 15
ITERATIONS = 3


def carry(
    predictor: Predictor,
    embed: Callable[[int], Embedded],
    label: str,
    keys: Mapping[int, np.ndarray],
    frames: Sequence[int],
) -> Iterator[tuple[int, np.ndarray]]:
    """Carry the masks of key frames to the frames beside them, in both directions until the next key frame.

    What the annotator removed stays removed, and what they added stays added, as long as contrast medium is there.
    What no key frame shows is not drawn: key frames are best where contrast medium has filled most.

    Parameters
    ----------
    predictor : Predictor
    embed : callable
        From a frame's number to what the encoder saw of it. It is called once for each frame, when that is needed.
    label : str
        Of what the masks mark.
    keys : mapping of int to ndarray of bool, (H, W)
        The masks of the key frames.
    frames : sequence of int
        Those to carry to, a range as a rule; key frames among them are left out. The way from a key frame leads through
        them, so that steps are best small.

    Yields
    ------
    frame : int
        The nearest to a key frame first. One between two key frames comes twice: first as the nearer tells, then as
        both do, each by the inverse of its distance. `dict(carry(...))` has the last of each.
    mask : ndarray of bool, (H, W)

    Raises
    ------
    ValueError
        If a mask has another size than its frame.
    """
    origins: dict[int, _Origin] = {}
    seen: dict[int, _Seen] = {}
    told: dict[int, _Told] = {}
    motions: dict[tuple[int, bool], np.ndarray] = {}
    visits = _visits(sorted(keys), frames)
    left = Counter(frame for _, frame, _ in visits)
    for distance, frame, key in visits:
        if key not in origins:
            origins[key] = _Origin.of(_look(predictor, embed(key), label), keys[key])
        if frame not in seen:
            seen[frame] = _look(predictor, embed(frame), label)
        origin, here, way = origins[key], seen[frame], (key, frame > key)
        motions[way] = _registered(origin.picture, here.picture(origin.polarity), motions.get(way))
        told[frame] = origin.tell(motions[way], 1 / distance, told.get(frame))
        yield frame, told[frame].decide(here.own, predictor.threshold)
        left[frame] -= 1
        if not left[frame]:
            del seen[frame], told[frame]


def _visits(keys: Sequence[int], frames: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return (distance, frame, key) of each frame and the key frames on both sides of it, the nearest first."""
    visits = []
    for frame in set(frames) - set(keys):
        after = bisect(keys, frame)
        visits += [(abs(key - frame), frame, key) for key in keys[max(0, after - 1) : after + 1]]
    return sorted(visits)


@dataclass(frozen=True)
class _Seen:
    """What is kept of a frame.

    Attributes
    ----------
    own : ndarray of float16, (H, W)
        The model's own answer.
    vessels, ridges : ndarray of float32, (h, w)
        The same and the dark ridges of the frame itself, about 1 where they are strongest; reduced.
    """

    own: np.ndarray
    vessels: np.ndarray
    ridges: np.ndarray

    def picture(self, polarity: float) -> np.ndarray:
        """Return what is registered: vessels that the model sees, and such as it does not; (h, w)."""
        return self.vessels + np.float32(polarity) * self.ridges


def _look(predictor: Predictor, embedded: Embedded, label: str) -> _Seen:
    own, small = predictor.segment(embedded, label), block_means(embedded.gray(), SIDE)
    ridges = gaussian_filter(small, COARSE) - gaussian_filter(small, FINE)
    strongest = max(float(np.percentile(np.abs(ridges), 99)), float(np.finfo(np.float32).tiny))
    return _Seen(
        own.astype(np.float16), gaussian_filter(block_means(own, SIDE), ANSWER), ridges / np.float32(strongest)
    )


@dataclass(frozen=True)
class _Origin:
    """A key frame.

    Attributes
    ----------
    mask, evidence, voice : ndarray of float32, (H, W)
        What is marked, with a soft border; what the model saw; and how much this frame has to say.
    picture : ndarray of float32, (h, w)
        What is registered.
    polarity : float
        1 if what is marked is dark, -1 if it is bright.
    """

    mask: np.ndarray
    evidence: np.ndarray
    voice: np.ndarray
    picture: np.ndarray
    polarity: float

    @classmethod
    def of(cls, seen: _Seen, mask: np.ndarray) -> _Origin:
        if mask.shape != seen.own.shape:
            raise ValueError(f"the mask has {mask.shape} but the frame {seen.own.shape} (rows, columns)")
        marked = mask.astype(np.float32)
        small = block_means(marked, SIDE)
        polarity = float(np.sign(((small - small.mean()) * seen.ridges).sum()))
        evidence = _evidence(seen.own)
        voice = maximum_filter(np.maximum(marked, evidence), 2 * HEARD + 1)
        return cls(gaussian_filter(marked, BORDER), evidence, voice, seen.picture(polarity), polarity)

    def tell(self, motion: np.ndarray, weight: float, before: _Told | None) -> _Told:
        """Return what this key frame tells of another one, added to what was told of that before."""
        motion = _enlarged(motion, self.mask.shape)
        weights = weight * _moved(self.voice, motion)
        told = _Told(weights, *(weights * _moved(plane, motion) for plane in (self.mask, self.evidence)))
        if before is None:
            return told
        return _Told(weight + before.weight, told.mask + before.mask, told.evidence + before.evidence)


@dataclass(frozen=True)
class _Told:
    """What key frames tell of a frame: the sums of their weights, and of masks and evidence times these, (H, W)."""

    weight: np.ndarray
    mask: np.ndarray
    evidence: np.ndarray

    def decide(self, own: np.ndarray, threshold: float) -> np.ndarray:
        """Return the mask of the frame that the model itself answers with `own`, (H, W) bool."""
        mask, evidence = self.mask / self.weight, self.evidence / self.weight
        drawn = WEIGHT * (mask - 0.5) + (1 - WEIGHT) * (own - threshold) > 0
        found, expected = (gaussian_filter(mask * there, AROUND) for there in (_evidence(own), evidence))
        return drawn & (found >= LOST * expected)


def _evidence(own: np.ndarray) -> np.ndarray:
    return np.maximum(maximum_filter(own.astype(np.float32), 2 * BESIDE + 1), NOTHING)


def _registered(origin: np.ndarray, here: np.ndarray, motion: np.ndarray | None) -> np.ndarray:
    """Return where on the key frame each pixel of a frame comes from, begun with the motion of the frame before.

    It is the iterative Lucas-Kanade method (Le Besnerais and Champagnat 2005, doi:10.1109/ICIP.2005.1529706).

    Returns
    -------
    ndarray of float32, (2, h, w)
        Rows and columns to be added.
    """
    if motion is None:
        motion = np.zeros((2, *here.shape), np.float32)
    if min(here.shape) < 2:
        return motion  # In a single row there is no gradient.
    further = np.stack(
        optical_flow_ilk(here, _moved(origin, motion), radius=RADIUS, num_warp=ITERATIONS, gaussian=True)
    )
    return further + np.stack([_moved(part, further) for part in motion])


def _moved(plane: np.ndarray, motion: np.ndarray) -> np.ndarray:
    rows, columns = np.ogrid[: plane.shape[0], : plane.shape[1]]
    return map_coordinates(plane, [rows + motion[0], columns + motion[1]], order=1, mode="nearest")


def _enlarged(motion: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a motion of reduced frames as one of frames of `shape`, in their pixels: (2, H, W)."""
    step = shape[0] // motion.shape[1]
    places = np.meshgrid(*((np.arange(length) + 0.5) / step - 0.5 for length in shape), indexing="ij")
    return step * np.stack([map_coordinates(part, places, order=1, mode="nearest") for part in motion])
