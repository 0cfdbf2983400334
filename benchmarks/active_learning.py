"""Which image next? How many labels it takes if images are chosen by uncertainty, by vessel area, or at random.

Each run labels the training split's images one after the other, as the strategy of that name would hand them out. At
each count of labels the shipped base is adapted anew to those labelled, at equal steps, and scored on the test split;
the adapted model then scores the images that are left, for the next ones to be chosen by. What all labels give, at as
many steps, is the measure: the labels a run needs are the lowest count that reaches a share of it.

The strategies of one seed see the same random numbers, so they are compared in pairs; the intervals are bootstrapped
over seeds. A run that never gets there counts as the highest count. Rows that the result file holds already are not
repeated; delete the file to start anew.

    python benchmarks/active_learning.py ../shared/data/OCTA500_3M --seeds 0 1 2 3 4
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bases import base_hash
from scipy.stats import bootstrap

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.inference import Predictor, fresh_adapter
from salt_monailabel.inference.uncertainty import assess
from salt_monailabel.models import VesselSam
from salt_monailabel.models.precision import best_device
from salt_monailabel.serving.sampling.scores import Entry
from salt_monailabel.serving.sampling.strategies import choose, choose_foreground
from salt_monailabel.training import FitConfig, LabelledFrame, evaluate, fit, mean_score, read_cases, read_labelled
from salt_monailabel.whole_files import written_whole

RESULTS = Path(__file__).parent / "results" / "active_learning.json"
STRATEGIES = ("uncertain", "random_foreground", "random")
ALL = "all labels"
# What tells one row from another; the base by its weights.
KEYS = ("base", "dataset", "split", "steps", "counts", "strategy", "seed", "labels")
Pool = Mapping[str, Sequence[LabelledFrame]]


def adapt(pool: Pool, labelled: Sequence[str], steps: int, seed: int, device: torch.device) -> Predictor:
    """Return a model adapted to the labels of some images."""
    torch.manual_seed(seed)
    adapter = fresh_adapter("vessel_t", ("vessel",), AdapterConfig())
    assert isinstance(adapter.model, VesselSam)
    adapter.model.to(device)
    if labelled:
        fit(adapter, [frame for image in labelled for frame in pool[image]], FitConfig(steps=steps, seed=seed))
    model = adapter.merge()
    assert isinstance(model, VesselSam)
    return Predictor(model, device)


def look(predictor: Predictor, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the probability of vessel in a frame, and its embedding."""
    embedded = predictor.embed_input(pixels)
    return predictor.segment(embedded, "vessel"), embedded.embeddings.cpu().numpy()


def assessed(predictor: Predictor, pool: Pool) -> dict[str, Entry]:
    """Return what the model says of all images."""
    return {
        image: Entry(*assess(partial(look, predictor), frames[0].rgb), version="") for image, frames in pool.items()
    }


def next_images(
    strategy: str, known: Mapping[str, Entry], images: Sequence[str], labelled: Sequence[str], count: int,
    rng: np.random.Generator,
) -> list[str]:  # fmt: skip
    """Return the images to label until there are `count`, chosen one by one by what the model says of them now."""
    chosen: list[str] = []
    while len(labelled) + len(chosen) < count:
        done = [*labelled, *chosen]
        left = {image: known.get(image) for image in images if image not in done}
        if strategy == "uncertain":
            descriptors = [known[image].descriptor for image in done]
            chosen.append(choose(left, descriptors, len(done), rng)[0])
        elif strategy == "random_foreground":
            chosen.append(choose_foreground(left, rng)[0])
        else:
            chosen.append(str(rng.choice(list(left))))
    return chosen


def main() -> None:
    """Fill the table and print how many labels were needed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--counts", nargs="+", type=int, default=[0, 1, 2, 3, 4, 6, 8, 12, 16])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--shares", nargs="+", type=float, default=[0.95, 0.98, 0.99], help="of what all labels give")
    parser.add_argument("--split", default="test")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    device, counts = best_device(arguments.device), sorted(set(arguments.counts))
    cases = {case.image.name: case for case in read_cases(arguments.dataset, "train")}
    pool = {name: read_labelled(str(case.image), str(case.mask), 1) for name, case in cases.items()}
    if counts[-1] > len(pool):
        parser.error(f"{arguments.dataset} has {len(pool)} images to learn from; {counts[-1]} are asked for")
    test = read_cases(arguments.dataset, arguments.split)
    settings = {
        "base": base_hash(),
        "dataset": arguments.dataset.name,
        "split": arguments.split,
        "steps": arguments.steps,
        "counts": " ".join(map(str, counts)),
    }
    rows: list[dict[str, Any]] = json.loads(arguments.out.read_text()) if arguments.out.exists() else []
    done = {tuple(row[key] for key in KEYS): row for row in rows}
    untouched: dict[str, Entry] = {}
    for seed in arguments.seeds:
        for strategy in (ALL, *arguments.strategies):
            labelled: list[str] = []
            predictor: Predictor | None = None
            for count in [len(pool)] if strategy == ALL else counts:
                row = {**settings, "strategy": strategy, "seed": seed, "labels": count}
                if finished := done.get(tuple(row[key] for key in KEYS)):
                    labelled, predictor = finished["images"], None
                    continue
                if strategy == ALL:
                    labelled = list(pool)
                elif count:
                    # After a row that was not repeated, the model it was made with is.
                    predictor = predictor or adapt(pool, labelled, arguments.steps, seed, device)
                    known: dict[str, Entry] = {}
                    if strategy != "random":
                        # What the base says is the same for all.
                        known = assessed(predictor, pool) if labelled or not untouched else untouched
                        untouched = untouched or ({} if labelled else known)
                    rng = np.random.default_rng([seed, count])
                    labelled = labelled + next_images(strategy, known, list(pool), labelled, count, rng)
                predictor = adapt(pool, labelled, arguments.steps, seed, device)
                mean = asdict(mean_score(list(evaluate(predictor, test, "vessel"))))
                row |= {key: round(value, 4) for key, value in mean.items() if key != "name"}
                rows.append({**row, "images": labelled, "device": device.type})
                _write(arguments.out, rows)
                print(json.dumps(rows[-1]), flush=True)
    wanted = [row for row in rows if settings.items() <= row.items() and row["seed"] in arguments.seeds]
    for share in arguments.shares:
        for measured in ("dice", "cl_dice"):
            summarize(wanted, arguments.strategies, measured, share)


def summarize(rows: Sequence[Mapping[str, Any]], strategies: Sequence[str], measured: str, share: float) -> None:
    """Print the labels each strategy needs for a share of what all labels give, and how many fewer than at random."""
    goals = {row["seed"]: share * row[measured] for row in rows if row["strategy"] == ALL}
    highest = max(row["labels"] for row in rows if row["strategy"] != ALL)
    needed = {
        strategy: [_needed(rows, strategy, seed, measured, goal) for seed, goal in goals.items()]
        for strategy in strategies
    }
    labels = {
        strategy: np.array([highest if n is None else n for n in runs], float) for strategy, runs in needed.items()
    }
    for strategy, runs in needed.items():
        cells = [f"{share:.0%} of {measured}", strategy, f"{labels[strategy].mean():.1f} labels {runs}"]
        if strategy != "random" and "random" in needed and len(goals) > 1:
            fewer = labels["random"] - labels[strategy]
            interval = bootstrap((fewer,), np.mean, method="percentile", rng=0).confidence_interval
            cells.append(f"{fewer.mean():+.1f} fewer than random, 95 % [{interval.low:+.1f}, {interval.high:+.1f}]")
        print(*cells, sep="  ")


def _needed(rows: Sequence[Mapping[str, Any]], strategy: str, seed: int, measured: str, goal: float) -> int | None:
    run = [row for row in rows if (row["strategy"], row["seed"]) == (strategy, seed)]
    return min((row["labels"] for row in run if row[measured] >= goal), default=None)


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
