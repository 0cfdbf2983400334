"""How much clicks correct, with no label learned from: beside what clicks could correct that mend one region each.

A click is set in the middle of the largest wrong region, foreground or background, five times. `perfect` is the Dice if
each click had mended the whole of the region it is in, and nothing else: the most that following clicks by the letter
can reach. More than that is learned from the clicks about the image as a whole.

    python benchmarks/clicks.py ../shared/data/DRIVE ../shared/data/OCTA500_3M
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from salt_monailabel.imaging import read_mask, read_study
from salt_monailabel.inference import Edit, Embedded, Predictor
from salt_monailabel.models import load_base
from salt_monailabel.training import read_cases
from salt_monailabel.training.clicks import FOREGROUND, simulate_clicks
from salt_monailabel.training.metrics import dice

CLICKS = 5


def main() -> None:
    """Click, and write what it changed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--split", default="test")
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "clicks.json")
    arguments = parser.parse_args()
    predictor = Predictor(load_base("vessel_t", ("vessel",)))
    result: dict[str, Any] = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for dataset in arguments.datasets:
        cases = read_cases(dataset, arguments.split)[: arguments.images]
        rows = []
        for case in cases:
            study = read_study(case.image)
            truth = read_mask(case.mask, study)[0] > 0
            embedded = predictor.embed(study.frame(0))
            rows.append([_followed(predictor, embedded, truth), _perfect(predictor, embedded, truth)])
        followed, perfect = np.mean(rows, axis=0)
        result[f"{dataset.name} {arguments.split}"] = {
            "images": len(cases),
            "dice": followed.round(4).tolist(),
            "share of the error removed": _removed(followed),
            "perfect": perfect.round(4).tolist(),
            "share of the error removed if perfect": _removed(perfect),
        }
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def _followed(predictor: Predictor, embedded: Embedded, truth: np.ndarray) -> list[float]:
    """Return the Dice before and after each click, as the model follows it."""
    edit = Edit(foreground=[], background=[])
    scores = []
    for _ in range(CLICKS + 1):
        mask = predictor.edit(embedded, "vessel", edit) > predictor.threshold
        scores.append(dice(mask, truth))
        click = simulate_clicks(mask, truth, 1)
        (x, y), kind = click.points[0].tolist(), click.labels[0]
        edit = (
            Edit([*edit.foreground, (x, y)], edit.background)
            if kind == FOREGROUND
            else Edit(edit.foreground, [*edit.background, (x, y)])
        )
    return scores


def _perfect(predictor: Predictor, embedded: Embedded, truth: np.ndarray) -> list[float]:
    """Return the Dice before and after each click, each of which mends the region it is in."""
    mask = predictor.segment(embedded, "vessel") > predictor.threshold
    scores = [dice(mask, truth)]
    for _ in range(CLICKS):
        mask = np.where(simulate_clicks(mask, truth, 1).regions, truth, mask)
        scores.append(dice(mask, truth))
    return scores


def _removed(scores: np.ndarray) -> float:
    return round(float((scores[-1] - scores[0]) / (1 - scores[0])), 4)


if __name__ == "__main__":
    main()
