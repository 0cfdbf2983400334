"""An endless stream of drawn vessels to train a base on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from salt_monailabel.imaging.intensity import model_input
from salt_monailabel.imaging.synthetic import Drawing, synthesize

from .parallel import place

if TYPE_CHECKING:
    from .pretrain import PretrainConfig


class DrawnVessels(IterableDataset[tuple[Tensor, Tensor, int]]):
    """An endless stream of crops of drawn images, the truth of a label, and the label's row.

    Images are (3, S, S) float32 in 0..1, truths (1, S, S) float32. The first label stands for all vessels, the others
    for the parts of that name.
    """

    def __init__(self, config: PretrainConfig, crop_size: int, labels: Sequence[str], start: int = 0) -> None:
        self.config = config
        self.crop_size = crop_size
        self.labels = tuple(labels)
        self.start = start
        # Asked here, for the processes that draw know nothing of it.
        self.rank, self.processes = place()

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        index = self.start + self.rank * workers + number
        while True:
            rng = np.random.default_rng((self.config.seed, index))
            drawing = synthesize(int(rng.integers(2**62)), self.config.image_size)
            rgb = model_input(drawing.image)
            for _ in range(self.config.crops):
                row, mask = self._asked_for(rng, drawing)
                yield *self._crop(rng, rgb, mask), row
            index += workers * self.processes

    def _asked_for(self, rng: np.random.Generator, drawing: Drawing) -> tuple[int, np.ndarray]:
        parts = {row: drawing.structures.get(label) for row, label in enumerate(self.labels) if row}
        present = [(row, mask) for row, mask in parts.items() if mask is not None and mask.any()]
        if present and rng.random() < self.config.parts:
            return present[rng.integers(len(present))]
        return 0, drawing.mask

    def _crop(self, rng: np.random.Generator, rgb: np.ndarray, mask: np.ndarray) -> tuple[Tensor, Tensor]:
        reach = mask.shape[0] - self.crop_size + 1
        # A catheter covers less of the image than any crop of vessels.
        enough = min(0.01, mask.mean() / 2)
        for _ in range(4):
            top, left = rng.integers(0, reach, 2)
            window = np.s_[top : top + self.crop_size, left : left + self.crop_size]
            if mask[window].mean() > enough:
                break
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        pixels, truth = np.rot90(rgb[window], turns), np.rot90(mask[window], turns)
        if mirror:
            pixels, truth = pixels[:, ::-1], truth[:, ::-1]
        channels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return torch.from_numpy(channels), torch.from_numpy(truth[None].astype(np.float32))
