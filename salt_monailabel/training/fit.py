"""Training an adapter on labelled frames, within a budget of time or steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from salt_monailabel.adapters import Adapter
from salt_monailabel.adapters.config import TARGETS
from salt_monailabel.models import Prompts, VesselSam
from salt_monailabel.models.precision import autocast

from .losses import bce_loss, coarse_loss, dice_loss
from .metrics import dice
from .prompts import click_prompts
from .samples import Augmentation, Batch, CropSampler, LabelledFrame


@dataclass(frozen=True)
class FitConfig:
    """How an adapter is trained.

    Attributes
    ----------
    seconds : float
        Budget of time; the learning rate falls to zero over it.
    steps : int, optional
        Budget of optimisation steps instead of time.
    batch_size : int
        Crops of a step.
    learning_rate, weight_decay, clip_norm : float
        AdamW's; matrices alone decay, so that SALT's scales are not pulled to zero. Gradients are clipped.
    rates : mapping of part to float
        By how much the learning rate of a part (see `Adapter.part`) differs; 1 where it is not named.
    warmup : float
        Share of the budget over which the learning rate rises.
    coarse : float
        Weight of the loss of SAM's own stride-4 logits beside cross-entropy and Dice at native resolution.
    regularization : float
        Weight of the paper's eq. 5. The paper's own 0.01 is not the default: its gradient is as strong as that of the
        task, and holds the adapter where it begins.
    clicks : float
        Share of steps prompted by clicks on errors, so that the model keeps following them.
    click_weight : float
        Weight of the clicked regions in each of `loss`; elsewhere it is 1.
    augmentation : Augmentation
    seed : int
    """

    seconds: float = 60.0
    steps: int | None = None
    batch_size: int = 4
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    rates: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(TARGETS, 10.0))
    warmup: float = 0.1
    coarse: float = 0.3
    regularization: float = 0.0
    clicks: float = 0.2
    click_weight: float = 6.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    seed: int = 0

    def __post_init__(self) -> None:
        empty = self.seconds <= 0 if self.steps is None else self.steps < 1
        if empty:
            raise ValueError("the budget is empty; give seconds or steps above zero")


@dataclass(frozen=True)
class Progress:
    """One step: its number, the share of the budget that is used, loss, Dice on the crops, seconds since the start."""

    step: int
    share: float
    loss: float
    dice: float
    seconds: float


class TrainingError(RuntimeError):
    """Training that did not come to a usable end; nothing is kept of it."""


def fit(
    adapter: Adapter,
    frames: Sequence[LabelledFrame],
    config: FitConfig,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> list[Progress]:
    """Train the adapter of a `VesselSam` in place, on the device the model is on.

    Parameters
    ----------
    adapter : Adapter
        Attached and not merged.
    frames : sequence of LabelledFrame
    config : FitConfig
    on_step : callable
        Told of every step.

    Returns
    -------
    list of Progress
        One per step.

    Raises
    ------
    ImageError
        If there is no labelled frame.
    TrainingError
        If the loss stops being a number.
    """
    model = adapter.model
    assert isinstance(model, VesselSam)
    rng = np.random.default_rng(config.seed)
    sampler = CropSampler(frames, model.input_size, rng, config.augmentation)
    parameters = [parameter for _, parameter in adapter.parameters()]
    optimizer = torch.optim.AdamW(_groups(adapter, config), config.learning_rate, fused=True)
    history: list[Progress] = []
    started, share = time.perf_counter(), 0.0
    model.train()
    while share < 1:
        for group in optimizer.param_groups:
            rise = min(1.0, (share + 0.01) / max(config.warmup, 0.01))
            group["lr"] = config.learning_rate * group["rate"] * rise * (1 - share)
        loss, score = _step(adapter, model, sampler.draw(config.batch_size), config, rng)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss became {float(loss)} at step {len(history)}; lower the learning rate")
        optimizer.zero_grad()
        loss.backward()
        if not torch.isfinite(torch.nn.utils.clip_grad_norm_(parameters, config.clip_norm)):
            raise TrainingError(f"the gradient is no number at step {len(history)}; lower the learning rate")
        optimizer.step()
        seconds = time.perf_counter() - started
        share = (len(history) + 1) / config.steps if config.steps else seconds / config.seconds
        history.append(Progress(len(history) + 1, min(1.0, share), float(loss.detach()), score, seconds))
        on_step(history[-1])
    model.eval()
    return history


def _step(
    adapter: Adapter, model: VesselSam, batch: Batch, config: FitConfig, rng: np.random.Generator
) -> tuple[Tensor, float]:
    device = model.pixel_mean.device
    images, masks, labels, counts = (t.to(device) for t in (batch.images, batch.masks, batch.labels, batch.weights))
    weight = counts
    with autocast(device):
        embeddings = model.encode(images)
        prompts = Prompts(labels)
        if rng.random() < config.clicks:
            prompts, regions = click_prompts(lambda p: model.decode(images, embeddings, p)[0], masks, labels, rng)
            weight = counts * (1 + (config.click_weight - 1) * regions)
        logits, coarse = model.decode(images, embeddings, prompts)
    logits = logits.float()
    loss = config.coarse * coarse_loss(coarse.float(), masks, counts)
    loss = loss + bce_loss(logits, masks, weight) + dice_loss(logits, masks, weight)
    if config.regularization:
        loss = loss + config.regularization * adapter.regularization()
    prediction, truth = (logits.detach() > 0).cpu().numpy(), masks.cpu().numpy() > 0
    return loss, float(np.mean([dice(p, t) for p, t in zip(prediction, truth, strict=True)]))


def _groups(adapter: Adapter, config: FitConfig) -> list[dict[str, object]]:
    """Return the trained parameters by their share of the learning rate and of the decay."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in adapter.parameters():
        rate = config.rates.get(adapter.part(name), 1.0)
        decay = config.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": group, "rate": rate, "weight_decay": decay} for (rate, decay), group in groups.items()]
