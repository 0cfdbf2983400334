"""How accurate the shipped base is with no label, and after adapting to a few, within a budget of seconds.

Adapts from the shipped base each time, on the first N images of the training split (and, where N is larger, of the
validation split after it), and scores the test split inside the field of view where the data set has one. Nothing is
chosen on the test split: all settings are the defaults. Rows that the result file holds are replaced by new ones of the
same budget and kept otherwise, as long as base, settings and kind of processor are the same.

    python benchmarks/accuracy.py DATASET --budget 0:0 1:30 4:60 16:240
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from bases import base_hash

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.inference import Predictor, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.models.precision import best_device, has_bfloat16
from salt_monailabel.training import FitConfig, evaluate, fit, mean_score, read_cases, read_labelled

RESULTS = Path(__file__).parent / "results"


def measure(dataset: Path, labels: int, seconds: float, arguments: argparse.Namespace) -> dict[str, Any]:
    """Adapt on `labels` images for `seconds` and score the test split."""
    device = best_device(arguments.device)
    torch.manual_seed(arguments.seed)
    adapter = fresh_adapter("vessel_t", ("vessel",), AdapterConfig(method=arguments.method))
    model = adapter.model
    assert isinstance(model, VesselSam)
    trained = sum(adapter.trainable_parameters().values())
    steps, took = 0, 0.0
    if labels:
        cases = [*read_cases(dataset, "train"), *read_cases(dataset, "val")][:labels]
        if len(cases) < labels:
            raise SystemExit(f"{dataset} has {len(cases)} images to learn from; {labels} are asked for")
        frames = [frame for case in cases for frame in read_labelled(str(case.image), str(case.mask), 1)]
        model.to(device)
        history = fit(adapter, frames, FitConfig(seconds=seconds, seed=arguments.seed))
        steps, took = len(history), history[-1].seconds
    adapter.merge()
    cases = read_cases(dataset, arguments.split)[: arguments.images]
    started = time.perf_counter()
    scores = list(evaluate(Predictor(model, device), cases, "vessel"))
    each = (time.perf_counter() - started) / len(cases)
    mean = {key: round(value, 4) for key, value in asdict(mean_score(scores)).items() if key != "name"}
    return {
        "labels": labels,
        "budget_seconds": seconds,
        "steps": steps,
        "seconds": round(took, 1),
        "trained_parameters": trained,
        "test_images": len(scores),
        "seconds_per_image": round(each, 2),
        **mean,
    }


def main() -> None:
    """Run all budgets and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--budget", nargs="+", default=["0:0", "1:30", "4:60", "16:240"], help="labels:seconds")
    parser.add_argument("--method", default="salt")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=None)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    settings = {
        "dataset": arguments.dataset.name,
        "split": arguments.split,
        "method": arguments.method,
        "seed": arguments.seed,
        "base": base_hash(),
        "device": best_device(arguments.device).type,
        "bfloat16": has_bfloat16(best_device(arguments.device)),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    out = arguments.out or RESULTS / f"accuracy-{arguments.dataset.name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    before = json.loads(out.read_text()) if out.exists() else {"rows": []}
    known = before.pop("rows")
    rows = {_budget(row): row for row in known} if before == settings else {}
    for budget in arguments.budget:
        labels, seconds = budget.split(":")
        row = measure(arguments.dataset, int(labels), float(seconds), arguments)
        rows[_budget(row)] = row
        out.write_text(json.dumps({**settings, "rows": [rows[key] for key in sorted(rows)]}, indent=1) + "\n")
        print(json.dumps(row), flush=True)


def _budget(row: dict[str, Any]) -> tuple[int, float]:
    return row["labels"], row["budget_seconds"]


if __name__ == "__main__":
    main()
