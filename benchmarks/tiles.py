"""By how much the tiles of an image overlap: fewer tiles take less time, more of them are more opinions.

The base alone and adapted to a few labels, once for all overlaps; scored on the validation split: these are choices.

    python benchmarks/tiles.py ../shared/data/DRIVE ../shared/data/OCTA500_3M --labels 0 4
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rows import write_rows
from tasks import real

from salt_monailabel.adapters import AdapterConfig, attach
from salt_monailabel.inference import Predictor
from salt_monailabel.models import VesselSam, load_base
from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig, fit, mean_score
from salt_monailabel.training.evaluate import score

RESULTS = Path(__file__).parent / "results" / "tiles.json"


def adapted(dataset: Path, labels: int, steps: int, device: torch.device) -> VesselSam:
    """Return the base, adapted to the first labels of the training split if there are to be any."""
    model = load_base("vessel_t")
    if labels:
        torch.manual_seed(0)
        adapter = attach(model, AdapterConfig())
        model.to(device)
        fit(adapter, [frame for frame, _ in real(dataset).frames("train", labels)], FitConfig(steps=steps))
        adapter.merge()
    return model


def measure(model: VesselSam, dataset: Path, overlap: int, device: torch.device) -> dict[str, Any]:
    """Return means over the validation split, the tiles of an image and its seconds."""
    predictor, held_out = Predictor(model, device, overlap), real(dataset).frames("val", None)
    scores, tiles, started = [], 0, time.perf_counter()
    for frame, inside in held_out:
        embedded = predictor.embed_input(frame.rgb)
        found = predictor.segment(embedded, "vessel") > predictor.threshold
        scores.append(score(frame.name, found, frame.labels > 0, inside))
        tiles = len(embedded.pixels)
    seconds = (time.perf_counter() - started) / len(held_out)
    means = {key: round(value, 4) for key, value in asdict(mean_score(scores)).items() if key != "name"}
    return {"overlap": overlap, "tiles": tiles, "seconds_per_image": round(seconds, 2), **means}


def main() -> None:
    """Measure every overlap and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--overlaps", nargs="+", type=int, default=[32, 48, 64, 96])
    parser.add_argument("--labels", nargs="+", type=int, default=[0, 4])
    parser.add_argument("--steps", type=int, default=90)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    device, rows = best_device(arguments.device), []
    for dataset in arguments.datasets:
        for labels in arguments.labels:
            model = adapted(dataset, labels, arguments.steps, device)
            for overlap in arguments.overlaps:
                rows.append({"dataset": dataset.name, "labels": labels, **measure(model, dataset, overlap, device)})
                print(json.dumps(rows[-1]), flush=True)
    write_rows(arguments.out, rows)


if __name__ == "__main__":
    main()
