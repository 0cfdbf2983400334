"""From an image and prompts to masks: embed once, decode for every prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from salt_monailabel.imaging import Kind, magnification, model_input, reduced
from salt_monailabel.imaging.magnify import resized
from salt_monailabel.imaging.study import BY_ITSELF
from salt_monailabel.models import Prompts, VesselSam
from salt_monailabel.models.precision import autocast

from .edits import Edit, TilePrompt, batch_prompts, tile_prompts
from .tiling import Tiling, thrifty

Axes = tuple[int, ...]
# Along which tiles are mirrored, and how many tiles may be looked at for one image: two more than one of DRIVE has.
MIRRORS: tuple[Axes, ...] = ((-1,), (-2,), (-2, -1))
AFFORDED = 18
# A probability, or a change of one, that is no more than rounding.
NOTHING = 1e-6


@dataclass
class Embedded:
    """An image the encoder has seen.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns of the image.
    tiling : Tiling
        Of the image magnified.
    pixels : Tensor, (tiles, 3, S, S)
        RGB in 0..1.
    embeddings : Tensor, (tiles, 256, S/16, S/16)
    mirrors : tuple of axes
        Along which the tiles are mirrored, to look at them again where the label alone is asked for.
    mirrored : dict of axes to Embedded
        The tiles mirrored, filled as they are looked at.
    automatic : dict of label to ndarray of float32
        Probabilities by label alone, of the image magnified, filled as they are asked for.
    segmented : dict of label to ndarray of float32, (H, W)
        The same, of the image as it is, and the mean over mirror images.
    answers : dict of (label, tile, TilePrompt) to ndarray of float32
        Probabilities of the tiles that were touched by the last edit of the automatic mask: clicks come one after the
        other, and a tile that the newest does not fall into has its answer already.
    """

    shape: tuple[int, int]
    tiling: Tiling
    pixels: Tensor
    embeddings: Tensor
    mirrors: tuple[Axes, ...] = ()
    mirrored: dict[Axes, Embedded] = field(default_factory=dict)
    automatic: dict[str, np.ndarray] = field(default_factory=dict)
    segmented: dict[str, np.ndarray] = field(default_factory=dict)
    answers: dict[tuple[str, int, TilePrompt], np.ndarray] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Memory it takes, for a cache to count."""
        planes = (*self.automatic.values(), *self.segmented.values(), *self.answers.values())
        own = self.pixels.nbytes + self.embeddings.nbytes + sum(plane.nbytes for plane in planes)
        return own + sum(mirror.nbytes for mirror in self.mirrored.values())

    def gray(self) -> np.ndarray:
        """Return the image itself as the encoder saw it, without its colours: (H, W) float32 in 0..1."""
        return _resample(self.tiling.join(self.pixels.mean(dim=1).numpy()), self.shape)


class Predictor:
    """Predict with a model whose adapter is merged.

    Parameters
    ----------
    model : VesselSam
    device : torch.device or str
    overlap : int
        Least overlap of neighbouring tiles in pixels.
    batch : int
        Tiles computed at once, at most.
    threshold : float
        Probability above which a pixel is vessel.
    magnify : float, optional
        By how much images are magnified; by default as their size asks for, see `imaging/magnify.py`.
    """

    def __init__(
        self,
        model: VesselSam,
        device: torch.device | str = "cpu",
        overlap: int = 48,
        batch: int = 8,
        threshold: float = 0.5,
        magnify: float | None = None,
    ) -> None:
        # Convolutions of a processor are a fifth faster on pixels that lie together.
        self.model = model.to(device).to(memory_format=torch.channels_last).eval()
        self.device = torch.device(device)
        self.overlap = overlap
        self.batch = batch
        self.threshold = threshold
        self.magnify = magnify

    def embed(self, pixels: np.ndarray, kind: Kind = BY_ITSELF) -> Embedded:
        """Encode one frame, (H, W, 1 or 3) in any units.

        One of few tiles is looked at in mirror images too; of frames of a run there are too many for that.
        """
        rows, columns, _ = pixels.shape
        embedded = self.embed_input(model_input(reduced(pixels), kind.modality))
        more = AFFORDED // len(embedded.pixels) - 1 if kind.single else 0
        return replace(embedded, shape=(rows, columns), mirrors=MIRRORS[: max(0, more)])

    def embed_input(self, rgb: np.ndarray) -> Embedded:
        """Encode one frame as `model_input` returns it, (H, W, 3) float32 in 0..1."""
        shape = rgb.shape[0], rgb.shape[1]
        usual = thrifty(magnification(shape), shape, self.model.input_size, self.overlap)
        return self.embed_part(rgb, self.magnify or usual)

    def embed_part(self, rgb: np.ndarray, magnify: float) -> Embedded:
        """Encode a part of a frame, (H, W, 3) float32 in 0..1, scaled and magnified as the whole frame is."""
        return self.embed_parts([(rgb, magnify)])[0]

    @torch.inference_mode()
    def embed_parts(self, parts: Sequence[tuple[np.ndarray, float]]) -> list[Embedded]:
        """Encode parts of frames as `embed_part` does, together: many small ones take a third less time so."""
        tilings = [self._tiling(rgb, magnify) for rgb, magnify in parts]
        cut = [_tiles(rgb, tiling) for (rgb, _), tiling in zip(parts, tilings, strict=True)]
        tiles = cut[0] if len(cut) == 1 else torch.cat(cut)
        embeddings = self._encode(tiles).split([len(part) for part in cut])
        return [
            Embedded((rgb.shape[0], rgb.shape[1]), *known)
            for (rgb, _), *known in zip(parts, tilings, cut, embeddings, strict=True)
        ]

    def decode_together(self, several: Sequence[Embedded], label: str) -> None:
        """Have the probabilities of a label at hand for parts of frames, as `segment` will be asked for them."""
        if several:
            pixels, embeddings = (torch.cat([getattr(e, name) for e in several]) for name in ("pixels", "embeddings"))
            together = Embedded(several[0].shape, several[0].tiling, pixels, embeddings)
            tiles = self._decode(together, range(len(pixels)), label)
            ends = np.cumsum([len(embedded.pixels) for embedded in several])
            for embedded, own in zip(several, np.split(tiles, ends[:-1]), strict=True):
                embedded.automatic[label] = embedded.tiling.join(own)

    def segment(self, embedded: Embedded, label: str) -> np.ndarray:
        """Return the probability of a label at each pixel, by the label alone: (H, W) float32, not to be written to."""
        if label not in embedded.segmented:
            planes = [self._automatic(embedded, label)]
            planes += [self._mirrored(embedded, label, axes) for axes in embedded.mirrors]
            probabilities = _resample(np.mean(planes, axis=0), embedded.shape)
            probabilities.flags.writeable = False
            embedded.segmented[label] = probabilities
        return embedded.segmented[label]

    def edit(self, embedded: Embedded, label: str, edit: Edit) -> np.ndarray:
        """Return the probability of a label after a user's corrections: (H, W) float32.

        Only tiles that a click or the box falls into are decoded again. In a mask the user gave, only what lies in the
        box changes, what is added at a foreground click and what is taken away at a background click: nothing they did
        not point at. Where the mask is still the model's own, clicks without a box may change all of those tiles, for
        they also tell how broad and how fine this user draws.

        Raises
        ------
        ValueError
            If the mask to correct has another size than the image.
        """
        shape, tiling = embedded.shape, embedded.tiling
        if edit.mask is not None and edit.mask.shape != shape:
            raise ValueError(f"the mask has {edit.mask.shape} but the image {shape} (rows, columns)")
        edit = edit.within(shape)
        before = self.segment(embedded, label) if edit.mask is None else edit.mask.astype(np.float32)
        given = self._automatic(embedded, label) if edit.mask is None else _resample(before, tiling.shape)
        tiles = tiling.cut(given[..., None])[..., 0]
        magnified = edit.magnified(shape, tiling.shape)
        prompts = tile_prompts(magnified, tiling)
        touched = [i for i, prompt in enumerate(prompts) if prompt]
        if not touched:
            return before
        known = embedded.answers if edit.mask is None else {}
        new = [i for i in touched if (label, i, prompts[i]) not in known]
        decoded = dict(zip(new, self._decode(embedded, new, label, prompts, tiles), strict=True)) if new else {}
        answers = {(label, i, prompts[i]): decoded[i] if i in decoded else known[label, i, prompts[i]] for i in touched}
        if edit.mask is None:
            embedded.answers = answers
        tiles[touched] = list(answers.values())
        # The change is resampled, not the answer: what the model leaves alone stays to the pixel.
        change = tiling.join(tiles) - given
        after = before + _resample(change, shape)
        if edit.mask is not None and tiling.shape[0] < shape[0]:
            after -= _too_fine(before, given, change)
        after = np.clip(after, 0, 1)
        if edit.mask is None and edit.box is None:
            return after
        return np.where(edit.meant(before > self.threshold, after > self.threshold), after, before)

    def outline(self, embedded: Embedded) -> np.ndarray:
        """Return the label map of an image, by the labels alone: (H, W) uint8, values in the model's order from 1."""
        return self.label_map([self.segment(embedded, label) for label in self.model.labels])

    def label_map(self, probabilities: Sequence[np.ndarray]) -> np.ndarray:
        """Combine the probabilities of labels, in the model's order: (H, W) uint8, 0 where none is likely."""
        stack = np.stack(probabilities)
        return np.where(stack.max(axis=0) > self.threshold, stack.argmax(axis=0) + 1, 0).astype(np.uint8)

    def _tiling(self, rgb: np.ndarray, magnify: float) -> Tiling:
        shape = round(rgb.shape[0] * magnify), round(rgb.shape[1] * magnify)
        return Tiling.cover(shape, self.model.input_size, self.overlap)

    def _automatic(self, embedded: Embedded, label: str) -> np.ndarray:
        if label not in embedded.automatic:
            tiles = self._decode(embedded, range(len(embedded.pixels)), label)
            embedded.automatic[label] = embedded.tiling.join(tiles)
        return embedded.automatic[label]

    def _mirrored(self, embedded: Embedded, label: str, axes: Axes) -> np.ndarray:
        """Return what `_automatic` does, of tiles that are mirrored, and mirrored back."""
        if axes not in embedded.mirrored:
            pixels = embedded.pixels.flip(axes)
            embedded.mirrored[axes] = Embedded(embedded.shape, embedded.tiling, pixels, self._encode(pixels))
        tiles = self._decode(embedded.mirrored[axes], range(len(embedded.pixels)), label)
        return embedded.tiling.join(np.flip(tiles, axes))

    @torch.inference_mode()
    def _encode(self, tiles: Tensor) -> Tensor:
        with autocast(self.device):
            encoded = [self.model.encode(tiles[batch].to(self.device)) for batch in self._batches(range(len(tiles)))]
        return torch.cat(encoded).float()

    def _batches(self, chosen: Sequence[int]) -> list[list[int]]:
        """Return tiles as few batches of nearly the same size: a batch of one is slow."""
        return [part.tolist() for part in np.array_split(chosen, -(-len(chosen) // self.batch))]

    def _decode(
        self,
        embedded: Embedded,
        chosen: Sequence[int],
        label: str,
        edits: Sequence[TilePrompt] = (),
        before: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return the probabilities (chosen, S, S) of some tiles, prompted by the label or also by edits."""
        index = self.model.label_prompts.index(label)
        answers = []
        for batch in self._batches(chosen):
            prompts = Prompts(torch.full((len(batch),), index))
            if before is not None:
                prompts = batch_prompts(prompts.labels, [edits[i] for i in batch], before[batch])
            with torch.inference_mode(), autocast(self.device):
                pixels = embedded.pixels[batch].to(self.device)
                logits, _ = self.model.decode(pixels, embedded.embeddings[batch], prompts.to(self.device))
            answers.append(logits[:, 0].float().sigmoid().cpu().numpy())
        return np.concatenate(answers)


def _too_fine(before: np.ndarray, given: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Return what goes of a mask, (H, W), beyond a change of it as the model was given it, made smaller.

    A vessel of one pixel is a small share of a larger one: where that share is erased, all of the vessel is meant.

    Parameters
    ----------
    before : ndarray of float32, (H, W)
        The mask, 0 or 1.
    given, change : ndarray of float32, (h, w)
        The same made smaller, 0..1, and what the model would add to it, -1..1.

    Returns
    -------
    ndarray of float32, (H, W)
        To be subtracted, besides adding the change.
    """
    rows, columns = before.shape
    whole = np.maximum(np.where(change > 0, 1 - given, given), NOTHING)
    share = np.where(abs(change) > NOTHING, np.minimum(abs(change) / whole, 1), 0)
    given, share = (_resample(plane.astype(np.float32), (rows, columns)) for plane in (given, share))
    return (before - given) * share


def _tiles(rgb: np.ndarray, tiling: Tiling) -> Tensor:
    """Return the tiles of an image (H, W, 3) that is resized first: (tiles, 3, S, S)."""
    enlarged = resized(torch.from_numpy(rgb).permute(2, 0, 1), tiling.shape).permute(1, 2, 0).numpy()
    return torch.from_numpy(tiling.cut(enlarged).transpose(0, 3, 1, 2).copy())


def _resample(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return resized(torch.from_numpy(plane)[None], shape)[0].numpy()
