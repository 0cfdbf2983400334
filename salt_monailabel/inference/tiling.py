"""Overlapping square tiles over an image, and their seamless union."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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

    def join(self, tiles: np.ndarray) -> np.ndarray:
        """Return the mean of overlapping tiles (tiles, size, size), each weighted towards its middle: (H, W)."""
        rows, columns = (max(length, self.size) for length in self.shape)
        total, weights = np.zeros((rows, columns), np.float32), np.zeros((rows, columns), np.float32)
        # A Hann window that does not reach zero, so that the image's own border keeps a weight.
        wave = np.hanning(self.size + 2)[1:-1].astype(np.float32) + 1e-3
        window = wave[:, None] * wave
        for tile, (top, left) in zip(tiles, self.corners, strict=True):
            place = np.s_[top : top + self.size, left : left + self.size]
            total[place] += tile * window
            weights[place] += window
        return (total / weights)[: self.shape[0], : self.shape[1]]


def _spread(length: int, size: int, overlap: int) -> list[int]:
    count = 1 if length <= size else int(np.ceil((length - overlap) / (size - overlap)))
    return np.linspace(0, max(0, length - size), count).round().astype(int).tolist()
