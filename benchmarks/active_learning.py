"""Which image next? How many labels it takes if images are chosen by uncertainty, by vessel area, or at random.

Each run labels the training split's images one after the other, as the strategy of that name would hand them out. At
each count of labels the shipped base is adapted anew to those labelled, at equal steps, and scored on the test split;
the adapted model then scores the images that are left, for the next ones to be chosen by. What all labels give, at as
many steps, is the measure: the labels a run needs are the lowest count that reaches a share of it.

The strategies of one seed see the same random numbers, so `uncertain` is compared with the others in pairs: the 95 %
intervals are Student's t, of the differences of the seeds. A run that never gets there counts as the highest count, and
as one that `never` did. As one label may be enough, Dice and clDice are compared at every count, too.

Rows that the result file holds already are not repeated; delete the file to start anew. Its summary is of the seeds
that have all rows.

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
from scipy.stats import t as student

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.inference import Predictor, fresh_adapter
from salt_monailabel.inference.uncertainty import assess
from salt_monailabel.models import VesselSam
from salt_monailabel.models.precision import best_device
from salt_monailabel.serving.sampling.scores import Entry
from salt_monailabel.serving.sampling.strategies import choose, choose_foreground
from salt_monailabel.training import (
    Case,
    FitConfig,
    LabelledFrame,
    evaluate,
    fit,
    mean_score,
    read_cases,
    read_labelled,
)
from salt_monailabel.whole_files import written_whole

RESULTS = Path(__file__).parent / "results" / "active_learning.json"
STRATEGIES = ("uncertain", "random_foreground", "random")
ALL = "all labels"
MEASURED = ("dice", "cl_dice")
# What tells one row from another; the base by its weights.
SETTINGS = ("base", "dataset", "split", "steps", "counts")
KEYS = (*SETTINGS, "strategy", "seed", "labels")
Pool = Mapping[str, Sequence[LabelledFrame]]
Rows = Sequence[Mapping[str, Any]]


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


def scored(predictor: Predictor, cases: Sequence[Case]) -> dict[str, float]:
    """Return the mean scores of some images."""
    mean = asdict(mean_score(list(evaluate(predictor, cases, "vessel"))))
    return {key: round(value, 4) for key, value in mean.items() if key != "name"}


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
    """Fill the table, and write how many labels were needed."""
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
    rows: list[dict[str, Any]] = json.loads(arguments.out.read_text())["rows"] if arguments.out.exists() else []
    done = {tuple(row[key] for key in KEYS): row for row in rows}
    untouched: dict[str, Entry] = {}
    unlearned: dict[str, float] = {}
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
                found = unlearned if unlearned and not labelled else scored(predictor, test)
                unlearned = unlearned if labelled else found
                rows.append({**row, **found, "images": labelled, "device": device.type})
                _write(arguments.out, rows, arguments.shares)
                print(json.dumps(rows[-1]), flush=True)
    # With other shares, it says something else of the same rows.
    _write(arguments.out, rows, arguments.shares)
    print(json.dumps(summaries(rows, arguments.shares), indent=1))


def summaries(rows: Rows, shares: Sequence[float]) -> list[dict[str, Any]]:
    """Return what the rows of the same settings say, for each of the settings with a seed that has all rows."""
    alike: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        alike.setdefault(tuple(row[key] for key in SETTINGS), []).append(row)
    return [
        {**dict(zip(SETTINGS, settings, strict=True)), "seeds": seeds, **_summary(some, seeds, shares)}
        for settings, some in alike.items()
        if (seeds := _complete(some))
    ]


def _complete(rows: Rows) -> list[int]:
    """Return the seeds that have all rows of all strategies there are."""
    there = {(row["strategy"], row["seed"], row["labels"]) for row in rows if row["strategy"] != ALL}
    needed = [(strategy, count) for strategy in _strategies(rows) for count in _counts(rows)]
    seeds = sorted({row["seed"] for row in rows if row["strategy"] == ALL})
    return [seed for seed in seeds if needed and all((name, seed, count) in there for name, count in needed)]


def _summary(rows: Rows, seeds: Sequence[int], shares: Sequence[float]) -> dict[str, Any]:
    """Return means over seeds and differences between strategies, for both measures."""
    counts = np.array(_counts(rows))
    by_row = {(row["strategy"], row["seed"], row["labels"]): row for row in rows}
    best = {row["seed"]: row for row in rows if row["strategy"] == ALL}
    found = {}
    for measured in MEASURED:
        runs = {
            name: np.array([[by_row[name, seed, count][measured] for count in counts] for seed in seeds])
            for name in _strategies(rows)
        }
        whole = np.array([best[seed][measured] for seed in seeds])
        found[measured] = {
            ALL: round(float(whole.mean()), 4),
            "at each count": {name: scores.mean(axis=0).round(4).tolist() for name, scores in runs.items()}
            | {name: [_paired(column) for column in apart.T] for name, apart in _differences(runs).items()},
            "labels needed": {f"{share:.0%}": _needed(runs, counts, share * whole) for share in shares},
        }
    return found


def _needed(runs: Mapping[str, np.ndarray], counts: np.ndarray, goals: np.ndarray) -> dict[str, Any]:
    """Return the labels each strategy needs for the goal of each seed; the highest count where it is never reached."""
    labels, found = {}, {}
    for name, scores in runs.items():
        reached = scores >= goals[:, None]
        ever = reached.any(axis=1)
        labels[name] = np.where(ever, counts[reached.argmax(axis=1)], counts[-1])
        found[name] = {"mean": float(labels[name].mean()), "runs": labels[name].tolist(), "never": int((~ever).sum())}
    return found | {name: _paired(apart) for name, apart in _differences(labels).items()}


def _differences(values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return `uncertain` less each of the other strategies."""
    first, *others = STRATEGIES
    there = [other for other in others if {first, other} <= values.keys()]
    return {f"{first} - {other}": values[first] - values[other] for other in there}


def _paired(differences: np.ndarray) -> dict[str, Any]:
    """Return the mean of the differences of all seeds, and its 95 % interval if there are several."""
    mean, count = float(differences.mean()), len(differences)
    if count < 2:
        return {"mean": round(mean, 4)}
    half = float(student.ppf(0.975, count - 1) * differences.std(ddof=1) / np.sqrt(count))
    return {"mean": round(mean, 4), "interval": [round(mean - half, 4), round(mean + half, 4)]}


def _strategies(rows: Rows) -> list[str]:
    return [name for name in STRATEGIES if any(row["strategy"] == name for row in rows)]


def _counts(rows: Rows) -> list[int]:
    return [int(count) for count in rows[0]["counts"].split()]


def _write(path: Path, rows: Rows, shares: Sequence[float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(json.dumps(row) for row in rows)
    with written_whole(path) as file:
        file.write_text(f'{{"summary": {json.dumps(summaries(rows, shares), indent=1)},\n"rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
