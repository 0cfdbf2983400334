"""Segments of vessels as pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from .tree import RADIUS

SUPERSAMPLE = 4
# Radius on the finer grid above which the gap between two segments at a bend would show.
JOINT = 4


@dataclass(frozen=True)
class View:
    """A square window of `size` pixels onto a scene drawn in its own units.

    Attributes
    ----------
    size : int
        Side in pixels.
    zoom : float
        Pixels per unit.
    corner : tuple of float
        The scene's x and y at the window's top left.
    """

    size: int
    zoom: float = 1.0
    corner: tuple[float, float] = (0.0, 0.0)

    def place(self, segments: np.ndarray) -> np.ndarray:
        """Return the segments that can be seen, in pixels."""
        placed = segments.copy()
        placed[:, :4] = (placed[:, :4] - np.tile(self.corner, 2)) * self.zoom
        placed[:, RADIUS] *= self.zoom
        reach = placed[:, RADIUS, None] + 2
        ends = placed[:, :4].reshape(-1, 2, 2)
        low, high = ends.min(axis=1), ends.max(axis=1)
        return placed[((high > -reach) & (low < self.size + reach)).all(axis=1)]

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return where a point of the scene lies, in pixels."""
        return (x - self.corner[0]) * self.zoom, (y - self.corner[1]) * self.zoom


def draw(
    segments: np.ndarray, size: int, shades: np.ndarray | int = 255, widen: float = 0.0, supersample: int = SUPERSAMPLE
) -> np.ndarray:
    """Draw segments with round joints and anti-aliased borders.

    Parameters
    ----------
    segments : ndarray, (N, >=5)
        x0, y0, x1, y1, radius in pixels; later segments cover earlier ones.
    size : int
        Side of the square drawing in pixels.
    shades : int or ndarray of int, (N,)
        Gray value of each segment.
    widen : float
        Pixels added to each radius.
    supersample : int
        Side of the finer grid in each pixel it is drawn on; 1 does for what is blurred afterwards.

    Returns
    -------
    ndarray of float32, (size, size), 0..1
    """
    drawn = canvas(segments, size, supersample, shades, segments[:, RADIUS] + widen)
    return np.asarray(drawn.reduce(supersample), np.float32) / 255


def draw_soft(segments: np.ndarray, size: int, blur: float) -> np.ndarray:
    """Draw segments out of focus, blurred by `blur` pixels: (size, size) float32 in 0..1."""
    coarse = segments[:, : RADIUS + 1] / 4
    drawn = canvas(coarse, size // 4 + 1, 1, 255, np.maximum(coarse[:, RADIUS], 0.5))
    soft = ndimage.gaussian_filter(np.asarray(drawn, np.float32) / 255, max(blur / 4, 0.5), truncate=2)
    return enlarge(soft, 4 * (size // 4 + 1))[:size, :size]


def canvas(segments: np.ndarray, size: int, scale: int, shades: np.ndarray | int, radii: np.ndarray) -> Image.Image:
    """Draw segments without anti-aliasing on a grid `scale` times as fine; radii (N,) in pixels of the coarse one."""
    picture = Image.new("L", (size * scale, size * scale))
    pen = ImageDraw.Draw(picture)
    lines = (segments[:, :4] * scale).tolist()
    levels = np.broadcast_to(shades, len(lines)).tolist()
    for line, radius, shade in zip(lines, (radii * scale).tolist(), levels, strict=True):
        pen.line(line, fill=shade, width=max(1, round(2 * radius)))
        if radius > JOINT:
            x, y = line[2:]
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=shade)
    return picture


def enlarge(field: np.ndarray, size: int) -> np.ndarray:
    """Resize a square of float32 smoothly: (n, n) -> (size, size)."""
    return np.asarray(Image.fromarray(field).resize((size, size), Image.Resampling.BICUBIC))
