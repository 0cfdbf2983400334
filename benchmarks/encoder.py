"""Does the encoder matter? How much embeddings differ between images, and what is lost without them.

An encoder that gives every image the same embedding is dead: the detail head does all the work, and no adapter of the
encoder can change anything. Scored on drawn images, and on the crops' gradients of the loss that adapting starts with.

    python benchmarks/encoder.py
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bases import base_hash
from torch import Tensor

from salt_monailabel.adapters import AdapterConfig, attach
from salt_monailabel.imaging import model_input, synthesize
from salt_monailabel.models import Prompts, VesselSam, load_base
from salt_monailabel.training.losses import bce_loss, coarse_loss, dice_loss
from salt_monailabel.training.metrics import dice

RESULTS = Path(__file__).parent / "results" / "encoder.json"
# Drawings to look at start at this seed; pretraining draws its own from 62-bit numbers.
SEED, IMAGES = 4_000_000, 16


def drawings(size: int) -> tuple[Tensor, Tensor]:
    """Return drawn images (N, 3, S, S) in 0..1 and their vessels (N, 1, S, S)."""
    drawn = [synthesize(SEED + number, size) for number in range(IMAGES)]
    images = np.stack([model_input(drawing.image).transpose(2, 0, 1) for drawing in drawn])
    return torch.from_numpy(images), torch.from_numpy(np.stack([d.mask for d in drawn])[:, None]).float()


def gradients(images: Tensor, truth: Tensor, weights: Path | None) -> dict[str, float]:
    """Return the median over parameters of the norm of the gradient that adapting starts with, by part."""
    model = load_base("vessel_t", weights=weights)
    assert isinstance(model, VesselSam)
    adapter = attach(model, AdapterConfig())
    logits, coarse = model(images, Prompts(torch.zeros(len(images), dtype=torch.long)))
    (bce_loss(logits, truth) + dice_loss(logits, truth) + 0.3 * coarse_loss(coarse, truth)).backward()
    norms: dict[str, list[float]] = {}
    for name, parameter in adapter.parameters():
        # X has no gradient as long as Y is zero.
        if parameter.grad is not None and parameter.grad.any():
            part = "SALT" if ".parametrizations." in name else name.split(".")[0]
            norms.setdefault(part, []).append(float(parameter.grad.norm()))
    return {part: float(f"{np.median(values):.3g}") for part, values in norms.items()}


def measure(weights: Path | None) -> dict[str, Any]:
    """Measure a base."""
    model = load_base("vessel_t", weights=weights)
    images, truth = drawings(model.input_size)
    prompts = Prompts(torch.zeros(IMAGES, dtype=torch.long))
    with torch.inference_mode():
        embeddings = model.encode(images)
        own = model.decode(images, embeddings, prompts)[0] > 0
        others = model.decode(images, embeddings.roll(1, 0), prompts)[0] > 0
    return {
        "base": base_hash(weights),
        "spread": round(float(embeddings.std(0).mean()), 4),
        "dice": round(float(np.mean([dice(p.numpy(), t.numpy() > 0) for p, t in zip(own, truth, strict=True)])), 4),
        "dice_with_the_embedding_of_another_image": round(
            float(np.mean([dice(p.numpy(), t.numpy() > 0) for p, t in zip(others, truth, strict=True)])), 4
        ),
        "median_gradient_norm": gradients(images, truth, weights),
    }


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    result = measure(arguments.weights)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
