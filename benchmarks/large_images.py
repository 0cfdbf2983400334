"""How large a model should look at large images: DRIVE's photographs, enlarged, and made smaller again.

The base alone and adapted to a few labels, with images and labels brought to each shorter side; scored at the size of
the enlarged image, on the validation split, for this is a choice. Enlarging adds no detail: of vessels finer than those
of DRIVE this says nothing.

    python benchmarks/large_images.py ../shared/data/DRIVE --enlarge 2 4 --labels 0 4 --steps 60
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rows import write_rows

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.imaging import model_input, read_mask, read_study
from salt_monailabel.imaging.magnify import resized
from salt_monailabel.inference import Predictor, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.training import FitConfig, LabelledFrame, fit, mean_score, read_cases
from salt_monailabel.training.evaluate import Case, score
from salt_monailabel.training.samples import Augmentation

RESULTS = Path(__file__).parent / "results" / "large_images.json"


def enlarged(case: Case, factor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return an image (H, W, C), its truth and where that counts, bool (H, W), larger by a whole factor."""
    study = read_study(case.image)
    truth = read_mask(case.mask, study)[0] > 0
    inside = np.ones_like(truth) if case.fov is None else read_mask(case.fov, study)[0] > 0
    rows, columns = truth.shape
    pixels = _sized(study.frame(0).astype(np.float32), (rows * factor, columns * factor))
    block = np.ones((factor, factor), bool)
    return pixels, np.kron(truth, block), np.kron(inside, block)


def measure(dataset: Path, factor: int, side: int, labels: int, steps: int, seed: int) -> dict[str, Any]:
    """Return the Dice where images of which the shorter side is `side` are learned from, and looked at."""
    torch.manual_seed(seed)
    adapter = fresh_adapter("vessel_t", ("vessel",), AdapterConfig())
    frames = []
    for case in read_cases(dataset, "train")[:labels]:
        pixels, truth, _ = enlarged(case, factor)
        shape = _shape(truth.shape, side)
        small = _sized(truth[..., None].astype(np.float32), shape)[..., 0] > 0.5
        frames.append(LabelledFrame(model_input(_sized(pixels, shape)), small.astype(np.uint8), case.image.name))
    if frames:
        fit(adapter, frames, FitConfig(steps=steps, seed=seed, augmentation=Augmentation(magnify=1.0)))
    model = adapter.merge()
    assert isinstance(model, VesselSam)
    predictor, scores, seconds = Predictor(model, magnify=1.0), [], 0.0
    for case in read_cases(dataset, "val"):
        pixels, truth, inside = enlarged(case, factor)
        started = time.perf_counter()
        embedded = predictor.embed_input(model_input(_sized(pixels, _shape(truth.shape, side))))
        likely = _sized(predictor.segment(embedded, "vessel")[..., None], truth.shape)[..., 0]
        seconds += time.perf_counter() - started
        scores.append(score(case.image.name, likely > predictor.threshold, truth, inside))
    mean = mean_score(scores)
    return {
        "dataset": dataset.name, "enlarged": factor, "side": side, "labels": labels, "steps": steps if labels else 0,
        "seed": seed, "dice": round(mean.dice, 4), "cl_dice": round(mean.cl_dice, 4),
        "seconds_per_image": round(seconds / len(scores), 2),
    }  # fmt: skip


def _shape(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    rows, columns = shape
    return round(rows * side / min(shape)), round(columns * side / min(shape))


def _sized(pixels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    planes = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
    return np.ascontiguousarray(resized(planes, (shape[0], shape[1])).permute(1, 2, 0).numpy())


def main() -> None:
    """Measure each size and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--enlarge", nargs="+", type=int, default=[2, 4])
    parser.add_argument("--sides", nargs="+", type=int, default=[565, 680, 850, 1130, 1700])
    parser.add_argument("--labels", nargs="+", type=int, default=[0, 4])
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for labels in arguments.labels:
        for factor in arguments.enlarge:
            for side in arguments.sides:
                rows.append(measure(arguments.dataset, factor, side, labels, arguments.steps, arguments.seed))
                write_rows(RESULTS, rows)
                print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
