"""What does SALT add? Every way of adapting, at equal steps, on local tasks and on tasks that need context.

Each run adapts the shipped base to the first N images of the training split and scores the test split with default
settings. Runs that the result file holds already are not repeated, so that the table can be filled in several sittings;
delete the file to start anew.

    python benchmarks/methods.py ../shared/data --labels 1 4 all --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import ndimage
from tasks import Task, tasks
from torch import Tensor

from salt_monailabel.adapters import Adapter, AdapterConfig, attach
from salt_monailabel.inference import Edit, Predictor
from salt_monailabel.models import VesselSam, load_base
from salt_monailabel.models.precision import best_device
from salt_monailabel.models.registry import SHIPPED
from salt_monailabel.training import FitConfig, fit, mean_score
from salt_monailabel.training.evaluate import Score, score
from salt_monailabel.training.samples import Augmentation
from salt_monailabel.whole_files import written_whole

RESULTS = Path(__file__).parent / "results" / "methods.json"
# What tells one run from another; the base by its weights.
KEYS = ("base", "task", "method", "labels", "seed", "steps", "split", "images")
METHODS: dict[str, AdapterConfig] = {
    "image-only head": AdapterConfig(
        targets={}, also_train={"head": ("detail_head.*",), "prompts": ("label_prompts.modulation",)}
    ),
    "head and norms": AdapterConfig(targets={}),
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
    method: str, task: Task, labels: int | None, steps: int, seed: int, device: torch.device
) -> tuple[Adapter, float]:
    """Adapt the base to a task; return the adapter and the seconds it took."""
    model = load_base("vessel_t", task.labels)
    if method == "image-only head":
        model.__class__ = ImageOnly
    torch.manual_seed(seed)
    adapter = attach(model, METHODS[method])
    model.to(device)
    augmentation = Augmentation(magnify=task.magnify)
    clicks = 1.0 if task.clicked else FitConfig.clicks
    config = FitConfig(steps=steps, seed=seed, clicks=clicks, augmentation=augmentation)
    history = fit(adapter, [frame for frame, _ in task.frames("train", labels)], config)
    return adapter, history[-1].seconds


def measure(adapter: Adapter, task: Task, split: str, images: int, device: torch.device) -> Score:
    """Score an adapter on the first images of a task's split, averaged over labels and images."""
    model = adapter.merge()
    assert isinstance(model, VesselSam)
    predictor = Predictor(model, device, magnify=task.magnify)
    scores = []
    for frame, inside in task.frames(split, images):
        embedded = predictor.embed(frame.rgb)
        for value, label in enumerate(model.labels, start=1):
            truth = frame.labels == value
            edit = Edit(foreground=[middle(truth)]) if task.clicked else Edit()
            answer = predictor.edit(embedded, label, edit)
            scores.append(score(frame.name, answer > predictor.threshold, truth, inside))
    return mean_score(scores)


def middle(truth: np.ndarray) -> tuple[float, float]:
    """Return the middle (x, y) of the truth's widest place, where a user would click."""
    depth = ndimage.distance_transform_edt(truth)
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return float(column), float(row)


def main() -> None:
    """Fill the table and print its means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--tasks", nargs="+", default=None)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--labels", nargs="+", default=["1", "4", "all"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=10, help="images of the split to score")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    known = tasks(arguments.data)
    device = best_device(arguments.device)
    base = hashlib.sha256((SHIPPED / "vessel_t.safetensors").read_bytes()).hexdigest()[:12]
    rows: list[dict[str, Any]] = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    done = {tuple(row[key] for key in KEYS) for row in rows}
    chosen = itertools.product(arguments.seeds, arguments.tasks or known, arguments.labels, arguments.methods)
    for seed, name, labels, method in chosen:
        if (base, name, method, labels, seed, arguments.steps, arguments.split, arguments.images) in done:
            continue
        task, most = known[name], None if labels == "all" else int(labels)
        started = time.perf_counter()
        adapter, seconds = adapt(method, task, most, arguments.steps, seed, device)
        trained = sum(adapter.trainable_parameters().values())
        measured = asdict(measure(adapter, task, arguments.split, arguments.images, device))
        rows.append({
            "base": base, "task": name, "method": method, "labels": labels, "seed": seed, "steps": arguments.steps,
            "split": arguments.split, "images": arguments.images,
            **{key: round(value, 4) for key, value in measured.items() if key != "name"},
            "seconds": round(seconds, 1), "trained_parameters": trained, "device": device.type,
        })  # fmt: skip
        _write(arguments.out, rows)
        print(json.dumps(rows[-1]), f"{time.perf_counter() - started:.0f} s in all", flush=True)
    wanted = {"base": base, "steps": arguments.steps, "split": arguments.split, "images": arguments.images}
    summarize([row for row in rows if wanted.items() <= row.items()])


def summarize(rows: list[dict[str, Any]]) -> None:
    """Print mean and deviation over the seeds."""
    keys = ("task", "labels", "method")
    for key, group in itertools.groupby(
        sorted(rows, key=lambda r: [r[k] for k in keys]), lambda r: [r[k] for k in keys]
    ):
        runs = list(group)
        cells = []
        for measured in ("dice", "cl_dice", "hd95"):
            values = [run[measured] for run in runs]
            cells.append(f"{measured} {np.mean(values):.4f} ± {np.std(values, ddof=len(values) > 1):.4f}")
        print(
            *key,
            *cells,
            f"{np.mean([r['seconds'] for r in runs]):.0f} s",
            f"{runs[0]['trained_parameters']:,}",
            sep="  ",
        )


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
