"""What each way of adapting gives in the loop itself: updates of the usual time, each from the version before.

Labels come in as a user would submit them, in an order that the seed decides; after 1, 2, 4, 8 and 16 there is an
update, judged and put in use as on the server, and the first test images are scored. Updates are timed: nothing else
should run meanwhile. It goes on where it stopped.

    python benchmarks/update_methods.py ../shared/data/DRIVE ../shared/data/OCTA500_3M --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import read_rows, spread, write_rows
from updates import archive

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.serving.host import ModelHost
from salt_monailabel.serving.learning.learner import Learner
from salt_monailabel.serving.learning.wish import Wish
from salt_monailabel.serving.options import Options
from salt_monailabel.training import evaluate, mean_score, read_cases
from salt_monailabel.versions import VersionStore

RESULTS = Path(__file__).parent / "results" / "update_methods.json"
LABELS = (1, 2, 4, 8, 16)
KEYS = ("dataset", "method", "seed", "images")


class NoAdapter(Options):
    """Options that leave the encoder's weights alone: head, norms and prompts are all that learns."""

    def adapter_config(self) -> AdapterConfig:
        """Return a configuration without a target."""
        return AdapterConfig(targets={})


METHODS: dict[str, Options] = {
    "none: head and norms": NoAdapter(),
    "LoRA": Options(method="lora"),
    "S-SAM": Options(method="ssam"),
    "SALT": Options(),
}


def learn(dataset: Path, method: str, seed: int, images: int) -> Iterator[dict[str, Any]]:
    """Yield what is reached after each update."""
    test = read_cases(dataset, "test")[:images]
    with tempfile.TemporaryDirectory() as folder:
        pairs = archive(dataset, Path(folder), max(LABELS), np.random.default_rng(seed))
        learner = Learner(ModelHost(METHODS[method], VersionStore(Path(folder) / "adapters")))
        torch.manual_seed(seed)
        learner.warm_up()
        for labels in LABELS:
            result = learner.learn(Wish(), pairs[:labels])
            predictor, _ = learner.host.predictor()
            score = mean_score(list(evaluate(predictor, test, "vessel")))
            yield {
                "dataset": dataset.name, "method": method, "seed": seed, "images": images, "labels": labels,
                "dice": round(score.dice, 4), "cl_dice": round(score.cl_dice, 4), "hd95": round(score.hd95, 2),
                **{key: result[key] for key in ("promoted", "share_of_the_way", "steps", "seconds")},
                "trained_parameters": sum(learner.host.trainable(None).trainable_parameters().values()),
            }  # fmt: skip


def table(rows: list[dict[str, Any]]) -> str:
    """Return mean Dice and deviation over the seeds after each update, as Markdown."""
    lines = [f"| data | method | {' | '.join(map(str, LABELS))} | trained |", "|" + "---|" * (3 + len(LABELS))]
    for dataset, method in itertools.product(sorted({row["dataset"] for row in rows}), METHODS):
        runs = [row for row in rows if (row["dataset"], row["method"]) == (dataset, method)]
        if not runs:
            continue
        cells = [spread([row["dice"] for row in runs if row["labels"] == labels], 3) for labels in LABELS]
        lines.append(f"| {dataset} | {method} | {' | '.join(cells)} | {runs[0]['trained_parameters']:,} |")
    return "\n".join(lines)


def main() -> None:
    """Fill the table and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--images", type=int, default=10, help="test images to score")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = read_rows(arguments.out)
    done = {tuple(row[key] for key in KEYS) for row in rows}
    for seed, dataset, method in itertools.product(arguments.seeds, arguments.datasets, arguments.methods):
        if (dataset.name, method, seed, arguments.images) in done:
            continue
        rows += list(learn(dataset, method, seed, arguments.images))
        write_rows(arguments.out, rows)
        print("\n".join(json.dumps(row) for row in rows[-len(LABELS) :]), flush=True)
    print(table([row for row in rows if row["images"] == arguments.images]))


if __name__ == "__main__":
    main()
