"""What would take a long lesson further: rates, ranks, all parameters, a larger image, mirror images.

Each variant learns from the training images of a data set for the same number of steps. It is scored on the validation
split, for these are choices, and on as many of those it learned from: where it does as well on both, it is not for want
of labels that it does no better. Rows that the result file holds already are not repeated.

    OMP_NUM_THREADS=1 python benchmarks/long_lesson.py ../shared/data/DRIVE
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from bases import base_hash
from rows import read_rows, write_rows
from tasks import Scored, real

from salt_monailabel.adapters import AdapterConfig, attach
from salt_monailabel.adapters.config import TARGETS
from salt_monailabel.inference import Predictor
from salt_monailabel.inference.predictor import MIRRORS
from salt_monailabel.models import VesselSam, load_base
from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig, fit, mean_score
from salt_monailabel.training.evaluate import score
from salt_monailabel.training.samples import Augmentation

RESULTS = Path(__file__).parent / "results"
KEYS = ("base", "variant", "steps", "seed")
RATES = FitConfig().rates
VARIANTS: dict[str, tuple[AdapterConfig, FitConfig]] = {
    "as shipped": (AdapterConfig(), FitConfig()),
    "adapter's rate 3": (AdapterConfig(), FitConfig(rates=dict.fromkeys(TARGETS, 3.0))),
    "adapter's rate 1": (AdapterConfig(), FitConfig(rates=dict.fromkeys(TARGETS, 1.0))),
    "head's rate 3": (AdapterConfig(), FitConfig(rates={**RATES, "head": 3.0})),
    "all rates halved": (AdapterConfig(), FitConfig(learning_rate=FitConfig().learning_rate / 2)),
    "rank 64": (AdapterConfig(lora_rank=64), FitConfig()),
    "all parameters": (AdapterConfig(method="full"), FitConfig()),
    "magnified twice": (AdapterConfig(), FitConfig(augmentation=Augmentation(magnify=2.0))),
}


def measure(variant: str, steps: int, seed: int, dataset: Path, device: torch.device) -> dict[str, Any]:
    """Learn, and score the validation split and what was learned from."""
    learned, held_out = (real(dataset).frames(split, None) for split in ("train", "val"))
    adapter_config, fit_config = VARIANTS[variant]
    torch.manual_seed(seed)
    adapter = attach(load_base("vessel_t"), adapter_config)
    adapter.model.to(device)
    started = time.process_time()
    fit(adapter, [frame for frame, _ in learned], replace(fit_config, steps=steps, seed=seed))
    seconds = time.process_time() - started
    model = adapter.merge()
    assert isinstance(model, VesselSam)
    predictor = Predictor(model, device, magnify=fit_config.augmentation.magnify)
    row: dict[str, Any] = {"base": base_hash(), "variant": variant, "steps": steps, "seed": seed}
    for name, scored, mirrors in (
        ("val", held_out, 0),
        ("val, 2 mirror images", held_out, 1),
        ("val, 4 mirror images", held_out, 3),
        ("learned from", learned[: len(held_out)], 0),
    ):
        row[name], row[f"{name}, clDice"] = means(predictor, scored, mirrors)
    return {**row, "seconds": round(seconds), "device": device.type}


def means(predictor: Predictor, frames: list[Scored], mirrors: int) -> tuple[float, float]:
    """Return Dice and clDice, seen in so many mirror images too."""
    scores = []
    for frame, inside in frames:
        embedded = replace(predictor.embed_input(frame.rgb), mirrors=MIRRORS[:mirrors])
        answer = predictor.segment(embedded, "vessel") > predictor.threshold
        scores.append(score(frame.name, answer, frame.labels > 0, inside))
    mean = mean_score(scores)
    return round(mean.dice, 4), round(mean.cl_dice, 4)


def main() -> None:
    """Fill the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    out = arguments.out or RESULTS / f"long_lesson-{arguments.dataset.name}.json"
    rows = read_rows(out)
    done = {tuple(row[key] for key in KEYS) for row in rows}
    device = best_device(arguments.device)
    for variant in arguments.variants:
        if (base_hash(), variant, arguments.steps, arguments.seed) in done:
            continue
        rows.append(measure(variant, arguments.steps, arguments.seed, arguments.dataset, device))
        write_rows(out, rows)
        print(json.dumps(rows[-1]), flush=True)


if __name__ == "__main__":
    main()
