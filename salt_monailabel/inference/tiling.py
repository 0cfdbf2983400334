"""Overlapping square tiles over an image, and their seamless union."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# A tile that weighs less than this at a place, beside the one that weighs most there, is not asked about it. A click
# costs less then (1.6 tiles instead of 2.2, anywhere in an image of DRIVE's size), and is followed a little less.
COUNTS = 0.1
# By how much less an image may be magnified if a row of tiles fewer then suffices (512 pixels: 9 tiles, not 16).
THRIFT = 0.87


def thrifty(magnify: float, shape: tuple[int, int], size: int, overlap: int) -> float:
    """Return a magnification not much below `magnify`, nor below 1, for which fewer tiles suffice, if there is one.

    Parameters
    ----------
    magnify : float
    shape : tuple of int
        Rows and columns of the image as it is.
    size, overlap : int
        As for `Tiling.cover`.
    """
    counts = ((_count(round(length * magnify), size, overlap), length) for length in shape)
    filled = ((size + (count - 2) * (size - overlap)) / length for count, length in counts if count > 1)
    return max((fits for fits in filled if max(1.0, THRIFT * magnify) <= fits < magnify), default=magnify)


@dataclass(frozen=True)
class Tiling:
    """Tiles of one side that cover an image.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the image.
    size : int
        Side of a tile in pixels.
    corners : tuple of (int, int)
        Top and left of each tile. An image smaller than a tile has one, padded at the bottom and right.
    """

    shape: tuple[int, int]
    size: int
    corners: tuple[tuple[int, int], ...]

    @classmethod
    def cover(cls, shape: tuple[int, int], size: int, overlap: int) -> Tiling:
        """Cover an image of `shape` with the fewest evenly spread tiles that overlap by at least `overlap` pixels."""
        if not 0 <= overlap < size:
            raise ValueError(f"overlap must be from 0 to below the tile size {size}; got {overlap}")
        tops, lefts = (_spread(length, size, overlap) for length in shape)
        return cls(shape, size, tuple((top, left) for top in tops for left in lefts))

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Return the tiles of an image (H, W, C): (tiles, size, size, C). Borders are repeated into the padding."""
        rows, columns = (max(0, self.size - length) for length in self.shape)
        padded = np.pad(image, ((0, rows), (0, columns), (0, 0)), mode="edge") if rows or columns else image
        return np.stack([padded[top : top + self.size, left : left + self.size] for top, left in self.corners])

    def seen_by(self, x: float, y: float) -> list[int]:
        """Return the tiles that are asked about a place: all that reach there, but for those with it at their border.

        Parameters
        ----------
        x, y : float
            In pixels of the image, on it.
        """
        # Its border is half a pixel beyond the middle of the outermost ones.
        nearest = [min(max(round(at), 0), length - 1) for at, length in zip((y, x), self.shape, strict=True)]
        weights = {}
        for tile, (top, left) in enumerate(self.corners):
            row, column = nearest[0] - top, nearest[1] - left
            if 0 <= row < self.size and 0 <= column < self.size:
                weights[tile] = self._window[row, column]
        heaviest = max(weights.values(), default=0)
        return [tile for tile, weight in weights.items() if weight >= COUNTS * heaviest]

    def join(self, tiles: np.ndarray) -> np.ndarray:
        """Return the mean of overlapping tiles (tiles, size, size), each weighted towards its middle: (H, W)."""
        return (self._sum(tiles) / self._weights)[: self.shape[0], : self.shape[1]]

    def _sum(self, tiles: np.ndarray) -> np.ndarray:
        rows, columns = (max(length, self.size) for length in self.shape)
        total = np.zeros((rows, columns), np.float32)
        for tile, (top, left) in zip(tiles, self.corners, strict=True):
            total[top : top + self.size, left : left + self.size] += tile * self._window
        return total

    @cached_property
    def _window(self) -> np.ndarray:
        # A Hann window that does not reach zero, so that the image's own border keeps a weight.
        wave = np.hanning(self.size + 2)[1:-1].astype(np.float32) + 1e-3
        return wave[:, None] * wave

    @cached_property
    def _weights(self) -> np.ndarray:
        return self._sum(np.ones((len(self.corners), 1, 1), np.float32))


def _spread(length: int, size: int, overlap: int) -> list[int]:
    count = _count(length, size, overlap)
    return np.linspace(0, max(0, length - size), count).round().astype(int).tolist()


def _count(length: int, size: int, overlap: int) -> int:
    return 1 if length <= size else math.ceil((length - overlap) / (size - overlap))
