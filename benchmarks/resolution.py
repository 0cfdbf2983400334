"""At what magnification to look, and whether to look at mirror images too, and above what probability a vessel is.

The base alone and adapted to a few labels at each magnification, for the same number of steps; scored on the validation
split at the image's own resolution, for these are choices.

    python benchmarks/resolution.py ../shared/data/DRIVE --labels 4 --steps 90
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import write_rows
from tasks import real

from salt_monailabel.adapters import AdapterConfig, attach
from salt_monailabel.inference import Predictor
from salt_monailabel.models import VesselSam, load_base
from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig, fit
from salt_monailabel.training.evaluate import score
from salt_monailabel.training.samples import Augmentation

RESULTS = Path(__file__).parent / "results"
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
VIEWS: dict[str, Sequence[Callable[[np.ndarray], np.ndarray]]] = {
    "as it is": (lambda a: a,),
    "2 mirror images": (lambda a: a, lambda a: a[:, ::-1]),
    "4 mirror images": (lambda a: a, lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a[::-1, ::-1]),
}


def probabilities(predictor: Predictor, image: np.ndarray, views: str) -> np.ndarray:
    """Return the mean over the views, (H, W)."""
    # A mirror image is its own inverse.
    return np.mean(
        [
            view(predictor.segment(predictor.embed_input(np.ascontiguousarray(view(image))), "vessel"))
            for view in VIEWS[views]
        ],
        axis=0,
    )


def measure(dataset: Path, scale: float, labels: int, steps: int, seed: int, device: str) -> list[dict[str, Any]]:
    """Adapt at one magnification; return a row for each kind of views and each threshold."""
    task = real(dataset)
    model = load_base("vessel_t")
    if labels:
        torch.manual_seed(seed)
        adapter = attach(model, AdapterConfig())
        model.to(best_device(device))
        frames = [frame for frame, _ in task.frames("train", labels)]
        fit(adapter, frames, FitConfig(steps=steps, seed=seed, augmentation=Augmentation(magnify=scale)))
        adapter.merge()
    assert isinstance(model, VesselSam)
    predictor, rows = Predictor(model, best_device(device), magnify=scale), []
    held_out = task.frames("val", None)
    for views in VIEWS:
        started = time.perf_counter()
        answers = [probabilities(predictor, frame.rgb, views) for frame, _ in held_out]
        seconds = (time.perf_counter() - started) / len(held_out)
        for threshold in THRESHOLDS:
            scores = [
                score(frame.name, answer > threshold, frame.labels > 0, inside)
                for answer, (frame, inside) in zip(answers, held_out, strict=True)
            ]
            dice, cl_dice = (round(float(np.mean([getattr(s, k) for s in scores])), 4) for k in ("dice", "cl_dice"))
            rows.append(
                {"dataset": dataset.name, "labels": labels, "steps": steps if labels else 0, "seed": seed,
                 "scale": scale, "views": views, "threshold": threshold, "dice": dice, "cl_dice": cl_dice,
                 "seconds_per_image": round(seconds, 2)}
            )  # fmt: skip
    return rows


def main() -> None:
    """Measure every magnification and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--scales", nargs="+", type=float, default=[0.75, 1.0, 1.5, 2.0])
    parser.add_argument("--labels", nargs="+", type=int, default=[0, 4])
    parser.add_argument("--steps", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    out = arguments.out or RESULTS / f"resolution-{arguments.dataset.name}.json"
    rows: list[dict[str, Any]] = []
    for labels in arguments.labels:
        for scale in arguments.scales:
            rows += measure(arguments.dataset, scale, labels, arguments.steps, arguments.seed, arguments.device)
            write_rows(out, rows)
            print(max(rows[-len(VIEWS) * len(THRESHOLDS) :], key=lambda row: row["dice"]), flush=True)


if __name__ == "__main__":
    main()
