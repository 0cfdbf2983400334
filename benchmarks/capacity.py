"""Which width and depth of the encoder gives most for a second on a CPU.

Each shape is pretrained from nothing for the same few steps on the same drawings, far fewer than the shipped base saw,
and scored on drawings it has not seen. Seconds are of the processor, added over its cores, which other work on the
machine hardly changes. Rows that the result file holds already are not repeated.

    OMP_NUM_THREADS=1 python benchmarks/capacity.py --steps 300 --batch 8
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import read_rows, write_rows

from salt_monailabel.imaging import synthesize
from salt_monailabel.inference import Predictor
from salt_monailabel.models import Architecture, VesselSam
from salt_monailabel.models.precision import best_device
from salt_monailabel.training.metrics import dice
from salt_monailabel.training.pretrain import LABELS, PretrainConfig, PretrainProgress, initialize, pretrain

RESULTS = Path(__file__).parent / "results" / "capacity.json"
# Width, depth, heads.
SHAPES = [(128, 8, 2), (192, 6, 3), (192, 12, 3), (256, 8, 4), (128, 16, 2), (384, 8, 6), (320, 12, 5)]
# Drawings to score start at this seed; pretraining draws its own from 62-bit numbers.
SCORE, IMAGES = 3_000_000, 24


def architecture(width: int, depth: int, heads: int) -> Architecture:
    """Return an encoder of the family of `vessel_t`: every fourth part of its depth ends in global attention."""
    spread = tuple(sorted({max(0, round(depth * part / 4) - 1) for part in range(1, 5)}))
    return Architecture(width, depth, heads, spread, window=16, input_size=256)


def measure(shape: tuple[int, int, int], steps: int, batch: int, seed: int, device: torch.device) -> dict[str, Any]:
    """Pretrain one shape and score it."""
    torch.manual_seed(seed)
    model = initialize(VesselSam(architecture(*shape), LABELS))
    history: list[PretrainProgress] = []
    config = PretrainConfig(steps=steps, batch_size=batch, seed=seed)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        pretrain(model, config, device, Path(folder) / "base.pt", history.append, save_every=steps + 1)
    learning = time.process_time() - started
    predictor = Predictor(model, device)
    scores, seconds = [], []
    for number in range(IMAGES):
        drawing = synthesize(SCORE + number, 512)
        started = time.process_time()
        answer = predictor.segment(predictor.embed(drawing.image), LABELS[0])
        seconds.append(time.process_time() - started)
        scores.append(dice(answer > predictor.threshold, drawing.mask))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return {
        "width": shape[0], "depth": shape[1], "heads": shape[2], "steps": steps, "batch": batch, "seed": seed,
        "parameters": parameters,
        "megabytes_in_half_precision": round(2e-6 * parameters, 1),
        "loss": round(statistics.fmean(step.loss for step in history[-50:]), 4),
        "dice": round(float(np.mean(scores)), 4),
        "seconds_per_512_pixel_image": round(statistics.median(seconds), 3),
        "seconds_per_step": round(learning / steps, 3),
        "spread": round(history[-1].spread, 3),
        "device": device.type,
    }  # fmt: skip


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = read_rows(arguments.out)
    keys = ("width", "depth", "heads", "steps", "batch", "seed", "device")
    done = {tuple(row[key] for key in keys) for row in rows}
    for shape in SHAPES:
        if (*shape, arguments.steps, arguments.batch, arguments.seed, arguments.device) in done:
            continue
        device = best_device(arguments.device)
        rows.append(measure(shape, arguments.steps, arguments.batch, arguments.seed, device))
        write_rows(arguments.out, rows)
        print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()
