"""How unsure a model is of an image, told from two looks at it: as it is, and mirrored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import KDTree
from scipy.special import entr
from skimage.morphology import skeletonize

# Probabilities above which a pixel is vessel, and above which it may be one.
VESSEL, LIKELY = 0.5, 0.1
# How far around what may be vessel the model is asked, and how wide a gap in a vessel may be; in pixels.
AROUND, GAP = 3, 6
NEIGHBOURS = np.ones((3, 3), int)
# From a frame (H, W, C) to the probability of vessel (H, W) and the embedding (tiles, channels, h, w).
Look = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Uncertainty:
    """How unsure a model is of one image; each number is from 0 to 1.

    Attributes
    ----------
    entropy : float
        Mean binary entropy in bits where vessel is likely: wherever the probability is above `LIKELY`, and `AROUND`
        pixels around. The dark rest of an image would drown what is doubted in it.
    gaps : float
        Share of the ends of the outline's centrelines that lie within `GAP` pixels of another centreline they are not
        connected to: a vessel that was probably drawn in two pieces.
    disagreement : float
        1 - 2 Σ pm / (Σ p² + Σ m²) of the probabilities p and m of the two looks, the soft Dice of V-Net (Milletari et
        al. 2016, arXiv 1606.04797), over the pixels where either finds vessel likely.
    foreground : float
        Share of the image that is outlined as vessel.
    """

    entropy: float
    gaps: float
    disagreement: float
    foreground: float

    @property
    def score(self) -> float:
        """Mean of entropy, gaps and disagreement: 0 to 1."""
        return (self.entropy + self.gaps + self.disagreement) / 3


def uncertainty(probability: np.ndarray, mirrored: np.ndarray) -> Uncertainty:
    """Tell how unsure a model is from its answers to an image and to its mirror image.

    All is 0 where no vessel is likely: nothing found is not doubted, such an image has to be chosen by chance.

    Parameters
    ----------
    probability : ndarray of float, (H, W)
        Of vessel at each pixel.
    mirrored : ndarray of float, (H, W)
        The same of the mirror image, mirrored back.

    Raises
    ------
    ValueError
        If the two differ in shape.
    """
    if probability.shape != mirrored.shape:
        raise ValueError(f"the two looks differ in shape: {probability.shape} and {mirrored.shape} (rows, columns)")
    # A mean of overlapping tiles may leave 0..1 by a rounding, and the entropy is infinite there.
    p, m = (np.clip(look.astype(np.float64), 0, 1) for look in (probability, mirrored))
    doubted = _around_likely(p)
    vessel = p > VESSEL
    return Uncertainty(
        entropy=float(((entr(p) + entr(1 - p))[doubted] / np.log(2)).mean()) if doubted.any() else 0.0,
        gaps=_gaps(skeletonize(vessel)),
        disagreement=_disagreement(p, m, doubted | _around_likely(m)),
        foreground=float(vessel.mean()),
    )


def descriptor(embedding: np.ndarray) -> np.ndarray:
    """Describe an image by its embedding: alike images have descriptors that lie close together.

    Parameters
    ----------
    embedding : ndarray of float, (tiles, channels, h, w)

    Returns
    -------
    ndarray of float32, (2 channels,)
        Mean and standard deviation of each channel over all positions, scaled to a length of 1.
    """
    moments = np.concatenate([embedding.mean(axis=(0, 2, 3)), embedding.std(axis=(0, 2, 3))])
    return (moments / max(float(np.linalg.norm(moments)), 1e-12)).astype(np.float32)


def assess(look: Look, pixels: np.ndarray) -> tuple[Uncertainty, np.ndarray]:
    """Look at a frame twice; return how unsure the model is of it, and its descriptor.

    Parameters
    ----------
    look : callable
        From a frame to the probability of vessel (H, W) and the embedding (tiles, channels, h, w).
    pixels : ndarray, (H, W, C)
    """
    probability, embedding = look(pixels)
    mirrored, _ = look(np.ascontiguousarray(pixels[:, ::-1]))
    return uncertainty(probability, mirrored[:, ::-1]), descriptor(embedding)


def _around_likely(probability: np.ndarray) -> np.ndarray:
    return ndimage.binary_dilation(probability > LIKELY, NEIGHBOURS, iterations=AROUND)


def _disagreement(p: np.ndarray, m: np.ndarray, where: np.ndarray) -> float:
    both, total = 2 * (p * m)[where].sum(), (p * p + m * m)[where].sum()
    # Of two looks that are the same the quotient may exceed 1 by a rounding.
    return max(0.0, 1 - float(both / total)) if total > 0 else 0.0


def _gaps(skeleton: np.ndarray) -> float:
    pieces, _ = ndimage.label(skeleton, NEIGHBOURS)
    # An end has one neighbour, and is counted itself; a single pixel is an end too.
    ends = skeleton & (ndimage.convolve(skeleton.astype(int), NEIGHBOURS, mode="constant") <= 2)
    if not ends.any():
        return 0.0
    pairs = KDTree(np.argwhere(ends)).sparse_distance_matrix(KDTree(np.argwhere(skeleton)), GAP, output_type="ndarray")
    apart = pieces[ends][pairs["i"]] != pieces[skeleton][pairs["j"]]
    return len(np.unique(pairs["i"][apart])) / int(ends.sum())
