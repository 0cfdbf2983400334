"""Training a base from nothing on drawn vessels, with the prompts its users will give."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from salt_monailabel.models import Prompts, VesselSam, load_base
from salt_monailabel.models.precision import autocast, never_emulated
from salt_monailabel.models.weights import read_safetensors
from salt_monailabel.whole_files import written_whole

from .drawn import DrawnVessels
from .fit import TrainingError
from .losses import bce_loss, coarse_loss, dice_loss
from .metrics import dice
from .parallel import average_gradients, place
from .prompts import click_prompts, random_boxes

# The prompts of a base: for all vessels, then for what the styles can tell apart.
LABELS = ("vessel", "artery", "vein", "catheter")
# An encoder whose embeddings of different images deviate by less says the same of each: `benchmarks/encoder.py`.
LEAST_SPREAD = 0.02


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
    coarse : float
        Share of the steps, the first ones, in which the encoder and the decoder learn alone, at SAM's own resolution.
        The detail head learns within some hundred steps what can be told from a few pixels, and with it beside them
        they find nothing left to do, and collapse to a constant.
    learning_rate, weight_decay, warmup, clip_norm
        Of Muon for the matrices of the transformers and AdamW for all else, with a linear warm-up of `warmup` steps;
        the rate falls to zero over the steps that are not `coarse`. Gradients are clipped to `clip_norm`.
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
    batch_size: int = 16
    crops: int = 4
    image_size: int = 512
    coarse: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 60
    clip_norm: float = 1.0
    clicks: float = 0.5
    boxes: float = 0.1
    click_weight: float = 8.0
    parts: float = 0.4
    blind: float = 0.15
    seed: int = 0
    workers: int = 1


@dataclass(frozen=True)
class PretrainProgress:
    """One step: its number, loss, Dice on the crops just seen, and seconds since the start.

    `spread` is the mean deviation of the embeddings between the images of the batch; near zero, the encoder is dead.
    """

    step: int
    loss: float
    dice: float
    spread: float
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


def initialize(model: VesselSam) -> VesselSam:
    """Start an encoder as vision transformers are (Dosovitskiy et al. 2021), with small weights; returns the model.

    segment_anything leaves torch's larger ones, from which it learns more slowly.
    """
    encoder = model.image_encoder
    for module in encoder.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.trunc_normal_(encoder.pos_embed, std=0.02)
    nn.init.xavier_uniform_(encoder.patch_embed.proj.weight.flatten(1))
    return model


def pretrain(
    model: VesselSam,
    config: PretrainConfig,
    device: torch.device,
    checkpoint: Path,
    on_step: Callable[[PretrainProgress], None] = lambda progress: None,
    save_every: int = 200,
) -> None:
    """Train `model` in place, resuming from `checkpoint` if it exists; see `parallel.py` for several processes.

    The checkpoint holds the weights, the optimisers and the step, and is replaced atomically every `save_every` steps,
    so a killed run loses at most so many.

    Raises
    ------
    ValueError
        If the checkpoint was made with another configuration, or the processes cannot share a batch evenly.
    TrainingError
        If the encoder has come to give all images the same embedding.
    """
    rank, processes = place()
    if config.batch_size % processes:
        raise ValueError(f"{processes} processes cannot share batches of {config.batch_size} evenly")
    model.to(device).train()
    optimizers = _optimizers(model, config)
    first, before = _resume(checkpoint, model, optimizers, config)
    crops = DataLoader(
        DrawnVessels(config, model.input_size, model.labels, start=first * config.batch_size // config.crops),
        batch_size=config.batch_size // processes,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
    )
    started = time.perf_counter()
    rng = np.random.default_rng((config.seed, first, rank))
    for step, batch in zip(range(first, config.steps), crops, strict=False):
        for group in (group for optimizer in optimizers for group in optimizer.param_groups):
            group["lr"] = config.learning_rate * _schedule(step, config)
        images, masks, labels = (tensor.to(device) for tensor in batch)
        loss, score, spread = _loss(model, images, masks, labels, config, rng, refine=step >= _coarse_steps(config))
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        average_gradients(model.parameters())
        nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
        with never_emulated(device):
            for optimizer in optimizers:
                optimizer.step()
        seconds = before + time.perf_counter() - started
        on_step(PretrainProgress(step + 1, float(loss.detach()), score, spread, seconds))
        if (step + 1) % save_every == 0 or step + 1 == config.steps:
            if spread < LEAST_SPREAD:
                raise TrainingError(
                    f"the encoder is the same for all images at step {step + 1}; lower the learning rate"
                )
            if rank == 0:
                _save(checkpoint, model, optimizers, config, step + 1, seconds)
    model.eval()


def _optimizers(model: VesselSam, config: PretrainConfig) -> list[Optimizer]:
    """Return Muon (Jordan et al. 2024) for the matrices of the transformers, and AdamW for the rest."""
    layers = [*model.image_encoder.blocks.modules(), *model.mask_decoder.transformer.modules()]
    matrices = [layer.weight for layer in layers if isinstance(layer, nn.Linear)]
    chosen = {id(matrix) for matrix in matrices}
    others = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    rate, decay = config.learning_rate, config.weight_decay
    return [
        torch.optim.Muon(matrices, rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, rate, betas=(0.9, 0.98), weight_decay=decay, fused=True),
    ]


def _coarse_steps(config: PretrainConfig) -> int:
    return round(config.coarse * config.steps)


def _schedule(step: int, config: PretrainConfig) -> float:
    rise = min(1.0, (step + 1) / max(config.warmup, 1))
    return rise * min(1.0, (config.steps - step) / max(config.steps - _coarse_steps(config), 1))


def _loss(
    model: VesselSam,
    images: Tensor,
    masks: Tensor,
    labels: Tensor,
    config: PretrainConfig,
    rng: np.random.Generator,
    refine: bool,
) -> tuple[Tensor, float, float]:
    """Return the loss, the Dice and the spread of the embeddings; with `refine`, of the detail head's answer too."""
    kind = rng.random()
    weight = None
    with autocast(images.device):
        embeddings = model.encode(images)
        seen = torch.from_numpy(rng.random((len(images), 1, 1, 1)) >= config.blind).to(images)

        def decode(prompts: Prompts) -> tuple[Tensor, Tensor]:
            if refine:
                return model.decode(images * seen, embeddings, prompts)
            coarse, _ = model.decode_coarse(embeddings, prompts)
            return functional.interpolate(coarse, size=masks.shape[-2:], mode="bilinear", align_corners=False), coarse

        prompts = Prompts(labels)
        if kind < config.clicks:
            prompts, regions = click_prompts(lambda p: decode(p)[0], masks, labels, rng)
            weight = 1 + (config.click_weight - 1) * regions
        elif kind < config.clicks + config.boxes:
            boxes, inside = random_boxes(rng, len(images), model.input_size)
            prompts = Prompts(labels, boxes=boxes.to(images.device))
            masks = masks * inside.to(images.device)
        logits, coarse = decode(prompts)
    logits = logits.float()
    loss = coarse_loss(coarse.float(), masks)
    if refine:
        loss = bce_loss(logits, masks, weight) + dice_loss(logits, masks) + loss / 3
    prediction, truth = (logits.detach() > 0).cpu().numpy(), masks.cpu().numpy() > 0
    spread = float(embeddings.detach().float().std(0).mean())
    return loss, float(np.mean([dice(p, t) for p, t in zip(prediction, truth, strict=True)])), spread


def _save(
    path: Path, model: VesselSam, optimizers: Sequence[Optimizer], config: PretrainConfig, step: int, seconds: float
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    states = [optimizer.state_dict() for optimizer in optimizers]
    state = {"model": model.state_dict(), "optimizers": states, "config": asdict(config)}
    with written_whole(path) as partial:
        torch.save(state | {"step": step, "seconds": seconds}, partial)


def _resume(path: Path, model: VesselSam, optimizers: Sequence[Optimizer], config: PretrainConfig) -> tuple[int, float]:
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    # How many processes draw is the machine's affair.
    if {**state["config"], "workers": config.workers} != asdict(config):
        raise ValueError(f"{path} was made with another configuration: {state['config']}; move it away to start anew")
    model.load_state_dict(state["model"])
    for optimizer, before in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(before)
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
    with written_whole(path) as partial:
        save_file({n: t.half().contiguous() for n, t in state["model"].items()}, partial, {"card": json.dumps(card)})
    path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    return card
