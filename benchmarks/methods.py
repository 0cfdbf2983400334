"""What does SALT add? Every way of adapting, at equal steps, on local tasks and on tasks that need context.

Each run adapts the shipped base to the first N images of the training split and scores the test split with default
settings. Runs that the result file holds already are not repeated, so that the table can be filled in several sittings;
delete the file to start anew. The table is printed as Markdown at the end.

    python benchmarks/methods.py ../shared/data --budget 0:0 1:50 4:80 all:150 --seeds 0 1 2

What is adapted in the encoder learns `--rate` times as fast as the head; which rate suits a method is chosen with
`--split val --images 20 --rate 5 10 20 30`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bases import base_hash
from rows import read_rows, spread, write_rows
from tasks import Task, tasks
from torch import Tensor

from salt_monailabel.adapters import Adapter, AdapterConfig, attach
from salt_monailabel.adapters.config import TARGETS
from salt_monailabel.inference import Edit, Predictor
from salt_monailabel.models import VesselSam, load_base
from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig, fit, mean_score
from salt_monailabel.training.clicks import BACKGROUND, FOREGROUND, simulate_clicks
from salt_monailabel.training.evaluate import Score, score
from salt_monailabel.training.samples import Augmentation

RESULTS = Path(__file__).parent / "results" / "methods.json"
UNTOUCHED, PLAIN = "untouched base", "head and norms"
# What tells one run from another; the base by its weights.
KEYS = ("base", "task", "method", "rate", "labels", "seed", "steps", "split", "images")
METHODS: dict[str, AdapterConfig] = {
    UNTOUCHED: AdapterConfig(targets={}),
    "image-only head": AdapterConfig(
        targets={}, also_train={"head": ("detail_head.*",), "prompts": ("label_prompts.modulation",)}
    ),
    PLAIN: AdapterConfig(targets={}),
    "LoRA": AdapterConfig(method="lora"),
    "S-SAM": AdapterConfig(method="ssam"),
    "SALT": AdapterConfig(),
    "SALT, elementwise ReLU": AdapterConfig(relu="elementwise"),
    "full": AdapterConfig(method="full"),
}


class ImageOnly(VesselSam):
    """A model whose detail head is told nothing but the pixels, the prompts and the label: no encoder, no decoder."""

    def encode(self, images: Tensor) -> Tensor:
        """Return nothing of use: (B, 256, S/16, S/16) of zeros."""
        return images.new_zeros(len(images), 256, images.shape[-2] // 16, images.shape[-1] // 16)

    def _decode_mask(self, embeddings: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        side = 4 * embeddings.shape[-1]
        return embeddings.new_zeros(len(sparse), 1, side, side), embeddings.new_zeros(len(sparse), 32, side, side)


def adapt(
    method: str, rate: float, task: Task, labels: int | None, steps: int, seed: int, device: torch.device
) -> tuple[Adapter, float]:
    """Adapt the base to a task; return the adapter and the processor's seconds it took, added over cores."""
    model = load_base("vessel_t", task.labels)
    if method == "image-only head":
        model.__class__ = ImageOnly
    torch.manual_seed(seed)
    adapter = attach(model, METHODS[method])
    model.to(device)
    augmentation = Augmentation(magnify=task.magnify)
    clicks = 1.0 if task.clicked else FitConfig.clicks
    if not steps:
        return adapter, 0.0
    rates = dict.fromkeys(TARGETS, rate)
    config = FitConfig(steps=steps, seed=seed, clicks=clicks, augmentation=augmentation, rates=rates)
    frames = [frame for frame, _ in task.frames("train", labels)]
    # Of the processor, which other work on the machine does not change.
    started = time.process_time()
    fit(adapter, frames, config)
    return adapter, time.process_time() - started


def measure(adapter: Adapter, task: Task, split: str, images: int, device: torch.device) -> Score:
    """Score an adapter on the first images of a task's split, averaged over labels and images."""
    model = adapter.merge()
    assert isinstance(model, VesselSam)
    predictor = Predictor(model, device, magnify=task.magnify)
    scores = []
    for frame, inside in task.frames(split, images):
        embedded = predictor.embed_input(frame.rgb)
        for value, label in enumerate(model.labels, start=1):
            truth = frame.labels == value
            answer = predictor.segment(embedded, label)
            if task.clicked:
                answer = predictor.edit(embedded, label, correction(answer > predictor.threshold, truth))
            scores.append(score(frame.name, answer > predictor.threshold, truth, inside))
    return mean_score(scores)


def correction(prediction: np.ndarray, truth: np.ndarray) -> Edit:
    """Return the click by which a user says what is meant, as those in training do: in the largest wrong region."""
    click = simulate_clicks(prediction, truth, 1)
    foreground, background = (click.points[click.labels == kind].tolist() for kind in (FOREGROUND, BACKGROUND))
    return Edit(foreground, background)


def main() -> None:
    """Fill the table and print its means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="+", default=None)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--budget", nargs="+", default=["0:0", "1:50", "4:80", "all:150"], help="labels:steps")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--rate", nargs="+", type=float, default=[10.0], help="learning rate of the encoder by the head's"
    )
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=10, help="images of the split to score")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    known = tasks(arguments.data)
    device = best_device(arguments.device)
    base = base_hash()
    rows = read_rows(arguments.out)
    done = {tuple(row[key] for key in KEYS) for row in rows}
    chosen = itertools.product(
        arguments.seeds, arguments.tasks or known, arguments.budget, arguments.rate, arguments.methods
    )
    for seed, name, budget, rate, method in chosen:
        labels, steps = budget.split(":")[0], int(budget.split(":")[1])
        # Nothing is drawn where nothing is learned: one run tells all.
        if (method == UNTOUCHED) != (steps == 0) or (steps == 0 and seed != arguments.seeds[0]):
            continue
        if (base, name, method, rate, labels, seed, steps, arguments.split, arguments.images) in done:
            continue
        task, most = known[name], None if labels == "all" else int(labels)
        started = time.perf_counter()
        adapter, seconds = adapt(method, rate, task, most, steps, seed, device)
        trained = sum(adapter.trainable_parameters().values()) if steps else 0
        measured = asdict(measure(adapter, task, arguments.split, arguments.images, device))
        rows.append({
            "base": base, "task": name, "method": method, "rate": rate, "labels": labels, "seed": seed,
            "steps": steps, "split": arguments.split, "images": arguments.images,
            **{key: round(value, 4) for key, value in measured.items() if key != "name"},
            "seconds": round(seconds, 1), "trained_parameters": trained, "device": device.type,
        })  # fmt: skip
        write_rows(arguments.out, rows)
        print(json.dumps(rows[-1]), f"{time.perf_counter() - started:.0f} s in all", flush=True)
    wanted = {"base": base, "split": arguments.split, "images": arguments.images}
    asked = [row for row in rows if wanted.items() <= row.items()]
    print(table(asked), gains(asked), sep="\n\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Return mean and deviation over the seeds, as Markdown; the seconds are those of the least disturbed run."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        line = (row["task"], row["labels"], str(row["steps"]), f"{row['rate']:g}", row["method"])
        groups.setdefault(line, []).append(row)
    lines = ["| task | labels | steps | rate | method | Dice | clDice | HD95 | seconds | trained |", "|" + "---|" * 10]
    for key in sorted(groups, key=lambda key: (key[0], int(key[2]), float(key[3]), list(METHODS).index(key[4]))):
        runs = groups[key]
        cells = [
            spread([run[measured] for run in runs], digits)
            for measured, digits in (("dice", 4), ("cl_dice", 4), ("hd95", 1))
        ]
        cells += [f"{min(run['seconds'] for run in runs):.0f}", f"{runs[0]['trained_parameters']:,}"]
        lines.append(f"| {' | '.join((*key, *cells))} |")
    return "\n".join(lines)


def gains(rows: list[dict[str, Any]]) -> str:
    """Return by how much Dice differs from that of head and norms after the same lesson: mean and its error."""
    lesson = ("task", "labels", "steps", "seed")
    plain = {tuple(row[key] for key in lesson): row["dice"] for row in rows if row["method"] == PLAIN}
    groups: dict[tuple[str, str, float], list[float]] = {}
    for row in rows:
        if (key := tuple(row[part] for part in lesson)) in plain and row["method"] != PLAIN:
            groups.setdefault((row["task"], row["method"], row["rate"]), []).append(row["dice"] - plain[key])
    lines = ["| task | method | rate | runs | Dice above head and norms |", "|" + "---|" * 5]
    for (task, method, rate), found in groups.items():
        error = f" ± {np.std(found, ddof=1) / len(found) ** 0.5:.4f}" if len(found) > 1 else ""
        lines.append(f"| {task} | {method} | {rate:g} | {len(found)} | {np.mean(found):+.4f}{error} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
