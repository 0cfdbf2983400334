"""What a user points at, and what of it each tile is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from salt_monailabel.imaging.magnify import moved
from salt_monailabel.models import Prompts

from .tiling import Tiling

# How far from a click, in pixels, a changed region may begin and still be meant by it.
REACH = 6
Box = tuple[float, float, float, float]


def is_on(x: float, y: float, shape: tuple[int, int]) -> bool:
    """Return whether a place is on an image of `shape` (rows, columns), whose pixels reach half a pixel around them."""
    return -0.5 <= x < shape[1] - 0.5 and -0.5 <= y < shape[0] - 0.5


@dataclass(frozen=True)
class Edit:
    """A user's corrections of one label, in pixels of the image.

    Attributes
    ----------
    foreground, background : sequence of (x, y)
        Clicks on what was missed and on what is too much.
    box : (x0, y0, x1, y1), optional
        A region to segment anew.
    mask : ndarray of bool, (H, W), optional
        The mask to correct; the automatic one if not given.
    """

    foreground: Sequence[tuple[float, float]] = ()
    background: Sequence[tuple[float, float]] = ()
    box: Box | None = None
    mask: np.ndarray | None = None

    def within(self, shape: tuple[int, int]) -> Edit:
        """Return the edit without clicks that lie outside an image of `shape` (rows, columns)."""
        kept = [[(x, y) for x, y in c if is_on(x, y, shape)] for c in (self.foreground, self.background)]
        return replace(self, foreground=kept[0], background=kept[1])

    def magnified(self, before: tuple[int, int], after: tuple[int, int]) -> Edit:
        """Return the clicks and the box as they lie when the image is resized; shapes are (rows, columns)."""
        foreground, background = (
            [moved(x, y, before, after) for x, y in c] for c in (self.foreground, self.background)
        )
        box = self.box and (*moved(*self.box[:2], before, after), *moved(*self.box[2:], before, after))
        return replace(self, foreground=foreground, background=background, box=box)

    def meant(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return where a change is meant.

        It is in the box, where pixels that are added are connected to a foreground click, and where pixels that are
        taken away are connected to a background click: a click never does the opposite of what it says.

        Parameters
        ----------
        before, after : ndarray of bool, (H, W)
            The masks.

        Returns
        -------
        ndarray of bool, (H, W)
        """
        meant = _connected(self.foreground, after & ~before) | _connected(self.background, before & ~after)
        if self.box is not None:
            x0, y0, x1, y1 = self.box
            rows, columns = np.ogrid[: before.shape[0], : before.shape[1]]
            meant |= (columns >= x0) & (columns <= x1) & (rows >= y0) & (rows <= y1)
        return meant


def _connected(clicks: Sequence[tuple[float, float]], changed: np.ndarray) -> np.ndarray:
    """Return the regions of changed pixels, (H, W), that clicks are on or near."""
    regions, _ = ndimage.label(changed, np.ones((3, 3)))
    found = [0]
    for x, y in clicks:
        near = tuple(slice(max(0, round(at) - REACH), round(at) + REACH + 1) for at in (y, x))
        found += np.unique(regions[near]).tolist()
    return np.isin(regions, found) & changed


@dataclass(frozen=True)
class TilePrompt:
    """What of an edit falls into one tile, in the tile's pixels; false if nothing does."""

    points: tuple[tuple[float, float], ...]
    labels: tuple[int, ...]
    box: Box | None

    def __bool__(self) -> bool:
        return bool(self.points) or self.box is not None


def tile_prompts(edit: Edit, tiling: Tiling) -> list[TilePrompt]:
    """Cut an edit to each of the tiles; a click is told to those whose answer counts where it is."""
    clicks = [(x, y, 1) for x, y in edit.foreground] + [(x, y, 0) for x, y in edit.background]
    told: list[list[tuple[float, float, int]]] = [[] for _ in tiling.corners]
    for x, y, kind in clicks:
        for tile in tiling.seen_by(x, y):
            top, left = tiling.corners[tile]
            told[tile].append((x - left, y - top, kind))
    return [
        TilePrompt(
            tuple((x, y) for x, y, _ in inside),
            tuple(kind for _, _, kind in inside),
            edit.box and _box_within(edit.box, corner, tiling.size),
        )
        for inside, corner in zip(told, tiling.corners, strict=True)
    ]


def _box_within(box: Box, corner: tuple[int, int], size: int) -> Box | None:
    top, left = corner
    x0, x1 = (min(max(x - left, 0.0), size - 1.0) for x in (box[0], box[2]))
    y0, y1 = (min(max(y - top, 0.0), size - 1.0) for y in (box[1], box[3]))
    return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else None


def batch_prompts(labels: Tensor, edits: Sequence[TilePrompt], before: np.ndarray) -> Prompts:
    """Batch the edits of several tiles.

    Clicks are padded to the same number; a tile that the box does not reach into has the whole of it as box.

    Parameters
    ----------
    labels : Tensor of int64, (tiles,)
    edits : sequence of TilePrompt
    before : ndarray of float32, (tiles, S, S)
        Probabilities of the mask to correct.
    """
    most = max(len(edit.points) for edit in edits)
    points, point_labels = torch.zeros(len(edits), most, 2), torch.full((len(edits), most), -1)
    for i, edit in enumerate(edits):
        if edit.points:
            points[i, : len(edit.points)] = torch.tensor(edit.points, dtype=torch.float32)
            point_labels[i, : len(edit.labels)] = torch.tensor(edit.labels)
    boxes = None
    if any(edit.box for edit in edits):
        whole = (0.0, 0.0, before.shape[-1] - 1.0, before.shape[-1] - 1.0)
        boxes = torch.tensor([edit.box or whole for edit in edits])
    masks = torch.from_numpy(before)[:, None]
    return Prompts(labels, points if most else None, point_labels if most else None, boxes, masks)
