"""Who marks the vessels of a drawn image, and how."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .raster import SUPERSAMPLE, canvas
from .tree import RADIUS


@dataclass(frozen=True)
class Annotator:
    """How somebody marks vessels.

    Nobody agrees with the next on how wide a blurred border is and on which vessels are too fine to matter: a model
    that has seen several hands can learn from a click which one it works for.

    Attributes
    ----------
    widen : float
        Pixels added to each radius.
    finest : float
        Vessels of smaller radius, in pixels, are left out.
    """

    widen: float = 0.15
    finest: float = 0.0

    @classmethod
    def any(cls, rng: np.random.Generator, blur: float, sparing: float = 0.2) -> Annotator:
        """Draw one.

        Parameters
        ----------
        rng : Generator
        blur : float
            Deviation, in pixels, of the blur of the image: what looks dark counts, in part. Negative, vessels are
            marked narrower than they look.
        sparing : float
            Share of annotators who leave out the finest vessels.
        """
        finest = rng.uniform(0.5, 1.1) if rng.random() < sparing else 0.0
        return cls(max(-0.9, 0.15 + 0.25 * blur + rng.normal(0, 0.25)), finest)

    def mark(self, segments: np.ndarray, size: int, classes: np.ndarray | None = None) -> np.ndarray:
        """Draw the truth; even the finest vessel is about two pixels wide.

        Parameters
        ----------
        segments : ndarray, (N, >=5)
        size : int
        classes : ndarray of int, (N,)
            1 to 255, by default all 1; where vessels cross, the later one is seen.

        Returns
        -------
        ndarray of uint8, (size, size)
            0 where there is no vessel.
        """
        classes = np.ones(len(segments), int) if classes is None else classes
        seen = segments[:, RADIUS] >= self.finest
        radii = np.maximum(segments[seen, RADIUS] + self.widen, 0.95)
        drawn = np.asarray(canvas(segments[seen], size, SUPERSAMPLE, classes[seen], radii))
        middle = SUPERSAMPLE // 2
        return drawn[middle::SUPERSAMPLE, middle::SUPERSAMPLE]
