"""Labelled images, and augmented crops of them to train on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from salt_monailabel.imaging import (
    ImageError,
    Modality,
    Study,
    magnification,
    model_input,
    read_mask,
    read_study,
    reduced,
    reduced_labels,
)
from salt_monailabel.imaging.run import RunView

# How much more than others a pixel counts that was corrected; not measured yet.
CORRECTED = 2.0
# Share of a label that may lie outside of a field of view that was found; it is wrong if more does.
BESIDE = 0.05
# Frames of a run that one training learns from: neighbours are alike, and its memory and time must not grow with it.
FRAMES = 8


@dataclass(frozen=True)
class LabelledFrame:
    """One frame and its label map, no larger than the model looks at it.

    Attributes
    ----------
    rgb : ndarray of float32, (H, W, 3)
        0..1.
    labels : ndarray of uint8, (H, W)
        0 background, 1 the first label, and so on.
    name : str
    weight : ndarray of float32, (H, W), optional
        How much each pixel counts in the loss; all alike by default, not at all where it is zero.
    share : float
        How often it is drawn, relative to the other frames.
    pixel : float
        How many pixels of the image one of these is wide.
    """

    rgb: np.ndarray
    labels: np.ndarray
    name: str
    weight: np.ndarray | None = None
    share: float = 1.0
    pixel: float = 1.0


def read_labelled(
    image: str,
    label: str,
    known: int,
    proposal: str | None = None,
    rng: np.random.Generator | None = None,
    view: RunView | None = None,
    modality: Modality | None = None,
) -> list[LabelledFrame]:
    """Read labelled frames of an image, `FRAMES` at most, within the field of view; others have no label yet.

    Of a projection of all frames into one there is one label; if theirs differ, the one that was corrected most.

    Parameters
    ----------
    image, label : path
    known : int
        Number of labels there are; higher values are an error.
    proposal : path, optional
        The mask the label was made from by correcting it; what was corrected counts for more.
    rng : Generator, optional
        Draws the frames, where there are too many; they are spread evenly by default.
    view : RunView, optional
        How a run was looked at when it was labelled; as it is by default.
    modality : str, optional
        As for `read_study`.

    Raises
    ------
    ImageError
        If a file cannot be used, the sizes differ, or the label holds no vessel or an unknown one.
    """
    view = view or RunView()
    study = view.of_all.seen(read_study(image, modality))
    drawn_labels = check_label(read_mask(label, study), study.name, known)
    bordered = not _disproved(study, drawn_labels)
    study = study if bordered else replace(study, visible=None)
    labels = study.within(drawn_labels)
    proposed = None if proposal is None else study.within(read_mask(proposal, study))

    def weight(frame: int) -> np.ndarray | None:
        counts = None if proposed is None else emphasis(labels[frame], proposed[frame])
        if study.visible is None:
            return counts
        return study.within(np.ones(labels[frame].shape, np.float32) if counts is None else counts)

    drawn = np.flatnonzero(labels.any(axis=(1, 2)))
    if not drawn.size:
        raise ImageError(f"the label of {study.name} lies under the shutter; draw one where the image is seen")
    if view.projection == "minimum":
        drawn = drawn[[_changed(labels[drawn], None if proposed is None else proposed[drawn]).argmax()]]
    return [_as_seen(study, i, labels[i], weight(i), bordered) for i in _some(drawn, rng)]


def _as_seen(study: Study, index: int, labels: np.ndarray, weight: np.ndarray | None, bordered: bool) -> LabelledFrame:
    """Return a frame as the model is shown it, no larger than it looks at it."""
    seen = None if weight is None else reduced(weight[..., None])[..., 0]
    small = reduced_labels(labels)
    rgb = model_input(reduced(study.frame(index)), study.modality, bordered)
    return LabelledFrame(rgb, small, study.name, seen, pixel=labels.shape[0] / small.shape[0])


def _disproved(study: Study, labels: np.ndarray) -> bool:
    """Say whether the field of view of a study was found, not told, and whoever drew saw vessels beside it."""
    outside = (labels > 0).sum() - (study.within(labels) > 0).sum()
    return study.acquisition.exposed is None and bool(outside > BESIDE * (labels > 0).sum())


def _changed(labels: np.ndarray, proposed: np.ndarray | None) -> np.ndarray:
    """Return how many pixels of each frame were corrected."""
    return (labels != (labels[:1] if proposed is None else proposed)).sum(axis=(1, 2))


def _some(frames: np.ndarray, rng: np.random.Generator | None) -> list[int]:
    if len(frames) <= FRAMES:
        return frames.tolist()
    if rng is None:
        return frames[np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)].tolist()
    return sorted(rng.choice(frames, FRAMES, replace=False).tolist())


def emphasis(labels: np.ndarray, proposed: np.ndarray) -> np.ndarray:
    """Return how much each pixel counts, (H, W) float32: more where a proposal was corrected, and right beside.

    Nothing is emphasised where most of the label was drawn anew: there was no proposal worth correcting.
    """
    changed = labels != proposed
    if changed.sum() >= (labels > 0).sum():
        return np.ones(labels.shape, np.float32)
    return np.where(ndimage.binary_dilation(changed, iterations=2), CORRECTED, 1).astype(np.float32)


def check_label(labels: np.ndarray, name: str, known: int) -> np.ndarray:
    """Return a label map if it can be learned from; raises `ImageError` if it is empty or holds an unknown value."""
    if not labels.any():
        raise ImageError(f"the label of {name} holds no vessel; draw one, or leave the image out")
    if labels.max() > known:
        raise ImageError(f"the label of {name} holds the value {labels.max()}, but only {known} label(s) are known")
    return labels


@dataclass(frozen=True)
class Augmentation:
    """How crops vary: the paper's flips, rotation and brightness, and scale, contrast, gamma and shading besides.

    Attributes
    ----------
    rotation : float
        Largest angle in degrees, besides quarter turns.
    scale : tuple of float
        Range of magnification, besides that of the frame.
    magnify : float, optional
        Magnification of the frames; by default as their size asks for, as when predicting.
    brightness, contrast, gamma : float
        Largest relative change, drawn for each colour.
    shading : float
        Largest relative change of the light from the middle to a border.
    on_vessel : float
        Share of crops centred near a pixel of the label they are for; the others are anywhere.
    """

    rotation: float = 10.0
    scale: tuple[float, float] = (0.8, 1.25)
    magnify: float | None = None
    brightness: float = 0.15
    contrast: float = 0.3
    gamma: float = 0.3
    shading: float = 0.2
    on_vessel: float = 0.5


@dataclass(frozen=True)
class Batch:
    """Crops (B, 3, S, S) in 0..1, masks (B, 1, S, S) of the label each is asked for, and those labels' rows (B,).

    `weights` (B, 1, S, S) are those of the frames.
    """

    images: Tensor
    masks: Tensor
    labels: Tensor
    weights: Tensor


class CropSampler:
    """Draw augmented crops of labelled frames.

    Parameters
    ----------
    frames : sequence of LabelledFrame
    size : int
        Side of a crop in pixels.
    rng : Generator
    augmentation : Augmentation
    """

    def __init__(
        self,
        frames: Sequence[LabelledFrame],
        size: int,
        rng: np.random.Generator,
        augmentation: Augmentation | None = None,
    ) -> None:
        if not frames:
            raise ImageError("there is no labelled image to learn from; submit a label first")
        self.size = size
        self.rng = rng
        self.augmentation = augmentation or Augmentation()
        # Not copied: a refit holds all labelled frames.
        self._images = [torch.from_numpy(f.rgb).permute(2, 0, 1) for f in frames]
        self._labels = [f.labels for f in frames]
        self._weights = [np.ones(f.labels.shape, np.float32) if f.weight is None else f.weight for f in frames]
        # Where nothing counts there is nothing to learn, and nothing to be seen of what is held back.
        counted = [np.where(weight > 0, f.labels, 0) for f, weight in zip(frames, self._weights, strict=True)]
        self._places = [
            {int(value): np.argwhere(labels == value) for value in np.unique(labels) if value} for labels in counted
        ]
        shares = np.array([f.share if places else 0.0 for f, places in zip(frames, self._places, strict=True)])
        if not shares.sum() > 0:
            raise ImageError("no labelled image has a vessel to learn from; draw one")
        self._shares = shares / shares.sum()

    def draw(self, count: int) -> Batch:
        """Return `count` crops, each of a frame and of a label in it taken at random."""
        crops = [self._crop(int(index)) for index in self.rng.choice(len(self._images), count, p=self._shares)]
        images, masks, labels, weights = zip(*crops, strict=True)
        return Batch(torch.stack(images), torch.stack(masks), torch.tensor(labels), torch.stack(weights))

    def _crop(self, index: int) -> tuple[Tensor, Tensor, int, Tensor]:
        value = int(self.rng.choice(list(self._places[index])))
        image = self._images[index]
        mask = torch.from_numpy((self._labels[index] == value)[None].astype(np.float32))
        grid = self._grid(self._places[index][value], *image.shape[1:])

        def sample(plane: Tensor, mode: str = "bilinear") -> Tensor:
            return functional.grid_sample(plane[None], grid, mode=mode, padding_mode="border", align_corners=False)[0]

        weight = sample(torch.from_numpy(self._weights[index][None]), "nearest")
        return self._recolour(sample(image)), (sample(mask) > 0.5).float(), value - 1, weight

    def _grid(self, places: np.ndarray, rows: int, columns: int) -> Tensor:
        """Where in the image the pixels of a crop come from, (1, S, S, 2) in -1..1, if its label is at `places`."""
        a, rng = self.augmentation, self.rng
        angle = math.radians(rng.uniform(-a.rotation, a.rotation) + 90 * rng.integers(4))
        mirror, zoom = rng.choice((-1.0, 1.0)), math.exp(rng.uniform(*np.log(a.scale)))
        half = self.size / 2 / (zoom * (a.magnify or magnification((rows, columns))))
        if rng.random() < a.on_vessel:
            y, x = places[rng.integers(len(places))] + rng.uniform(-half, half, 2) / 2
        else:
            y, x = rng.uniform(0, rows), rng.uniform(0, columns)
        # Keep the crop inside where the image is larger than it.
        y, x = (min(max(c, half), n - half) if n > 2 * half else n / 2 for c, n in ((y, rows), (x, columns)))
        cos, sin = math.cos(angle) * half, math.sin(angle) * half
        affine = [[mirror * cos, -sin, x], [mirror * sin, cos, y]]
        scale = torch.tensor([[2 / columns], [2 / rows]])
        theta = torch.tensor(affine, dtype=torch.float32) * scale - torch.tensor([[0, 0, 1.0], [0, 0, 1.0]])
        return functional.affine_grid(theta[None], [1, 1, self.size, self.size], align_corners=False)

    def _recolour(self, pixels: Tensor) -> Tensor:
        """Change each channel on its own, as cameras and lamps do, and the light across the crop."""
        a, rng = self.augmentation, self.rng

        def jitter(most: float) -> Tensor:
            return torch.from_numpy(rng.uniform(-most, most, (3, 1, 1)).astype(np.float32))

        along = torch.linspace(-1, 1, self.size)
        down, across = rng.uniform(-a.shading, a.shading, 2)
        lit = pixels * (1 + down * along[:, None] + across * along)
        changed = ((lit - 0.5) * (1 + jitter(a.contrast)) + 0.5 + jitter(a.brightness)).clamp(0, 1)
        return changed ** jitter(a.gamma).exp()
