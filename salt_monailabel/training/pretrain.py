"""Training a base from nothing on drawn vessels, with the prompts its users will give."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from salt_monailabel.imaging.intensity import to_rgb
from salt_monailabel.imaging.synthetic import Drawing, synthesize
from salt_monailabel.models import Prompts, VesselSam, load_base
from salt_monailabel.models.precision import autocast
from salt_monailabel.models.weights import read_safetensors

from .losses import bce_loss, coarse_loss, dice_loss
from .metrics import dice
from .prompts import click_prompts, random_boxes

# The prompts of a base: for all vessels, then for what the styles can tell apart.
LABELS = ("vessel", "artery", "vein", "catheter")


@dataclass(frozen=True)
class PretrainConfig:
    """How a base is trained.

    Attributes
    ----------
    steps : int
        Optimisation steps.
    batch_size : int
        Crops of a step, a multiple of `crops`.
    crops : int
        Crops taken from each drawn image.
    image_size : int
        Side of a drawn image in pixels.
    learning_rate, weight_decay, warmup, decay_power, clip_norm
        AdamW with a linear warm-up of `warmup` steps and polynomial decay; gradients clipped to `clip_norm`.
    clicks, boxes : float
        Share of steps that are prompted by clicks on the errors of a first answer, and by a box.
    click_weight : float
        Weight in the cross-entropy of the regions clicked at.
    parts : float
        Share of crops asked for a part of what is drawn (artery, vein, catheter), where it can be told apart.
    blind : float
        Share of crops whose pixels the detail head does not get to see, so that the encoder learns to see for it.
    seed : int
    workers : int
        Processes that draw images.
    """

    steps: int = 4500
    batch_size: int = 8
    crops: int = 4
    image_size: int = 512
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 100
    decay_power: float = 0.9
    clip_norm: float = 1.0
    clicks: float = 0.5
    boxes: float = 0.1
    click_weight: float = 8.0
    parts: float = 0.4
    blind: float = 0.15
    seed: int = 0
    workers: int = 1


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

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor, int]]:
        worker = torch.utils.data.get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        index = self.start + number
        while True:
            rng = np.random.default_rng((self.config.seed, index))
            drawing = synthesize(int(rng.integers(2**62)), self.config.image_size)
            rgb = to_rgb(drawing.image)
            for _ in range(self.config.crops):
                row, mask = self._asked_for(rng, drawing)
                yield *self._crop(rng, rgb, mask), row
            index += workers

    def _asked_for(self, rng: np.random.Generator, drawing: Drawing) -> tuple[int, np.ndarray]:
        parts = {row: drawing.structures.get(label) for row, label in enumerate(self.labels) if row}
        present = [(row, mask) for row, mask in parts.items() if mask is not None and mask.any()]
        if present and rng.random() < self.config.parts:
            return present[rng.integers(len(present))]
        return 0, drawing.mask

    def _crop(self, rng: np.random.Generator, rgb: np.ndarray, mask: np.ndarray) -> tuple[Tensor, Tensor]:
        reach = mask.shape[0] - self.crop_size + 1
        for _ in range(4):
            top, left = rng.integers(0, reach, 2)
            window = np.s_[top : top + self.crop_size, left : left + self.crop_size]
            if mask[window].mean() > 0.01:
                break
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        pixels, truth = np.rot90(rgb[window], turns), np.rot90(mask[window], turns)
        if mirror:
            pixels, truth = pixels[:, ::-1], truth[:, ::-1]
        channels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        return torch.from_numpy(channels), torch.from_numpy(truth[None].astype(np.float32))


@dataclass(frozen=True)
class PretrainProgress:
    """One step: its number, loss, Dice on the crops just seen, and seconds since the start."""

    step: int
    loss: float
    dice: float
    seconds: float


def start_from(base: str, weights: Path) -> VesselSam:
    """Load weights to train on from. Labels they lack start apart from the others, not as copies of the first."""
    model = load_base(base, LABELS, weights=weights)
    known = read_safetensors(weights)[1].get("labels", [])
    prompts = model.label_prompts
    for row, label in enumerate(LABELS):
        if label not in known:
            torch.nn.init.normal_(prompts.tokens.data[row])
            torch.nn.init.zeros_(prompts.modulation.data[row])
    return model


def pretrain(
    model: VesselSam,
    config: PretrainConfig,
    device: torch.device,
    checkpoint: Path,
    on_step: Callable[[PretrainProgress], None] = lambda progress: None,
    save_every: int = 200,
) -> None:
    """Train `model` in place, resuming from `checkpoint` if it exists.

    The checkpoint holds the weights, the optimiser and the step, and is replaced atomically every `save_every` steps,
    so a killed run loses at most so many.

    Raises
    ------
    ValueError
        If the checkpoint was made with another configuration.
    """
    model.to(device).train()
    decay = config.weight_decay
    optimizer = torch.optim.AdamW(model.parameters(), config.learning_rate, weight_decay=decay, fused=True)
    first, before = _resume(checkpoint, model, optimizer, config)
    crops = DataLoader(
        DrawnVessels(config, model.input_size, model.labels, start=first * config.batch_size // config.crops),
        batch_size=config.batch_size,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )
    started = time.perf_counter()
    rng = np.random.default_rng((config.seed, first))
    for step, batch in zip(range(first, config.steps), crops, strict=False):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, config)
        images, masks, labels = (tensor.to(device) for tensor in batch)
        loss, score = _loss(model, images, masks, labels, config, rng)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        optimizer.step()
        seconds = before + time.perf_counter() - started
        on_step(PretrainProgress(step + 1, float(loss.detach()), score, seconds))
        if (step + 1) % save_every == 0 or step + 1 == config.steps:
            _save(checkpoint, model, optimizer, config, step + 1, seconds)
    model.eval()


def _schedule(step: int, config: PretrainConfig) -> float:
    rise = min(1.0, (step + 1) / max(config.warmup, 1))
    return rise * math.pow(1 - step / config.steps, config.decay_power)


def _loss(
    model: VesselSam, images: Tensor, masks: Tensor, labels: Tensor, config: PretrainConfig, rng: np.random.Generator
) -> tuple[Tensor, float]:
    kind = rng.random()
    weight = None
    with autocast(images.device):
        embeddings = model.encode(images)
        seen = torch.from_numpy(rng.random((len(images), 1, 1, 1)) >= config.blind).to(images)
        images = images * seen
        prompts = Prompts(labels)
        if kind < config.clicks:
            prompts, regions = click_prompts(model, images, embeddings, masks, labels, rng)
            weight = 1 + (config.click_weight - 1) * regions
        elif kind < config.clicks + config.boxes:
            boxes, inside = random_boxes(rng, len(images), model.input_size)
            prompts = Prompts(labels, boxes=boxes.to(images.device))
            masks = masks * inside.to(images.device)
        logits, coarse = model.decode(images, embeddings, prompts)
    logits = logits.float()
    loss = bce_loss(logits, masks, weight) + dice_loss(logits, masks) + coarse_loss(coarse.float(), masks) / 3
    prediction, truth = (logits.detach() > 0).cpu().numpy(), masks.cpu().numpy() > 0
    return loss, float(np.mean([dice(p, t) for p, t in zip(prediction, truth, strict=True)]))


def _save(
    path: Path, model: VesselSam, optimizer: torch.optim.Optimizer, config: PretrainConfig, step: int, seconds: float
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "config": asdict(config)}
    try:
        torch.save(state | {"step": step, "seconds": seconds}, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _resume(
    path: Path, model: VesselSam, optimizer: torch.optim.Optimizer, config: PretrainConfig
) -> tuple[int, float]:
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    # How many processes draw is the machine's affair.
    if {**state["config"], "workers": config.workers} != asdict(config):
        raise ValueError(f"{path} was made with another configuration: {state['config']}; move it away to start anew")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"]


def export(checkpoint: Path, path: Path, card: dict[str, Any]) -> dict[str, Any]:
    """Write a checkpoint's weights in half precision as safetensors, with a card in the header and beside it.

    Returns
    -------
    dict
        The card, with the training's configuration, steps and seconds.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    card = {**card, "config": state["config"], "steps": state["step"], "seconds": round(state["seconds"])}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({n: t.half().contiguous() for n, t in state["model"].items()}, partial, {"card": json.dumps(card)})
    os.chmod(partial, 0o644)
    os.replace(partial, path)
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    return card
