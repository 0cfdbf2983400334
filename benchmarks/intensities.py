"""What the model makes of images whose light is evened, beside those that are scaled alone.

Both sides learn the same crops of the same images, by the same steps, and are asked about the same other images; none
of them is of the test split. Usage: intensities.py DATASET… [--labels 0 1 4] [--steps 60] [--seeds 0 1]

With --gray the green channel alone is shown, as of a red-free photograph.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.imaging import read_mask, read_study, to_rgb
from salt_monailabel.imaging.intensity import evened
from salt_monailabel.inference import Predictor, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.training import FitConfig, LabelledFrame, fit, mean_score, read_cases
from salt_monailabel.training.evaluate import Case, score

RESULTS = Path(__file__).parent / "results"
WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"scaled": to_rgb, "evened": evened}
# As many images are kept to learn from, whatever number of them is, so that the others are always the same.
KEPT = 4


def measure(
    name: str, learned: Sequence[Case], asked: Sequence[Case], steps: int, seed: int, gray: bool
) -> dict[str, float]:
    """Return the Dice of images that are shown to the model in one way, after learning from some shown so."""
    channels = slice(1, 2) if gray else slice(None)

    def way(pixels: np.ndarray) -> np.ndarray:
        return WAYS[name](pixels[..., channels])

    torch.manual_seed(seed)
    adapter = fresh_adapter("vessel_t", ("vessel",), AdapterConfig())
    if learned:
        frames = [LabelledFrame(way(_frame(case)), _mask(case.mask, case), case.image.name) for case in learned]
        fit(adapter, frames, FitConfig(steps=steps, seed=seed))
    model = adapter.merge()
    assert isinstance(model, VesselSam)
    predictor = Predictor(model)
    scores = []
    for case in asked:
        likely = predictor.segment(predictor.embed_input(way(_frame(case))), "vessel")
        inside = True if case.fov is None else _mask(case.fov, case) > 0
        scores.append(score(case.image.name, likely > predictor.threshold, _mask(case.mask, case) > 0, inside))
    mean = mean_score(scores)
    return {"dice": round(mean.dice, 4), "cl_dice": round(mean.cl_dice, 4)}


def _frame(case: Case) -> np.ndarray:
    return read_study(case.image).frame(0)


def _mask(path: Path, case: Case) -> np.ndarray:
    return read_mask(path, read_study(case.image))[0]


def main() -> None:
    """Compare both ways and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--labels", type=int, nargs="+", default=[0, 1, 4])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--gray", action="store_true")
    arguments = parser.parse_args()
    out = RESULTS / ("intensities-gray.json" if arguments.gray else "intensities.json")
    rows = []
    for dataset in arguments.datasets:
        cases = [*read_cases(dataset, "val"), *read_cases(dataset, "train")]
        for seed in arguments.seeds:
            order = [cases[i] for i in np.random.default_rng(seed).permutation(len(cases))]
            asked = order[KEPT : KEPT + arguments.images]
            for labels in arguments.labels:
                found = {
                    name: measure(name, order[:labels], asked, arguments.steps, seed, arguments.gray) for name in WAYS
                }
                rows.append({"dataset": dataset.name, "seed": seed, "labels": labels, "images": len(asked), **found})
                print(rows[-1], flush=True)
                out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
