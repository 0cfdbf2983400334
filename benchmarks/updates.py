"""What an update costs and what it does: with many labels, with wrong ones, and against a refit.

- `scale`: time and memory of an update with 10 and with 500 labelled images of a datastore, one of them new: listing
  them, learning and judging, in the time an update has by default.
- `poison`: four labels that are wrong are given after 0, 1, 2, 4 and 8 good ones: is what is learned from them put in
  use, and if not, why? Those that are random, inverted or shifted by 25 pixels can be told at sight; those that are
  shifted by 3, far too broad, or lack half of the vessels, by what they do to the answers at best. Whatever is learned,
  from good ones too, is put in use then, and rolled back: the answer must be the one before, bit for bit.
- `placement`: how many labels are taken for moved, of those that lie well and of those moved by so many pixels?
- `refit`: Dice on the validation images after 16 labels, learned by four updates and by one refit.
- `growth`: good labels come 1, 1, 2, 4 and 8 at a time, in several orders: Dice on the validation images before the
  first and after each update, and whether its version was put in use.

DATASET is a folder with images/, masks/ and data_split.csv; the result file has each part by data set.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from salt_monailabel.imaging import ImageError, read_mask, read_study, write_mask
from salt_monailabel.serving.datastore import FINAL, VesselDatastore
from salt_monailabel.serving.host import ModelHost
from salt_monailabel.serving.learning.learner import Learner
from salt_monailabel.serving.learning.wish import Wish
from salt_monailabel.serving.options import Options
from salt_monailabel.training import evaluate, mean_score, read_cases, read_labelled
from salt_monailabel.training.placement import misplaced
from salt_monailabel.versions import VersionStore

GOOD, POISONED = (0, 1, 2, 4, 8), 4
COUNTS, ORDERS = (1, 2, 4, 8, 16), 3
MOVED = (0, 3, 6, 12, 25, 40)
# The neighbours of a pixel (frame, row, column) in its own frame.
ACROSS = np.ones((1, 3, 3))
# Of a mask (frames, rows, columns).
Change = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Run the parts asked for and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--parts", default="scale,poison,placement,refit,growth")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "updates.json")
    arguments = parser.parse_args()
    if arguments.alone:
        print(json.dumps(_one_update(arguments.dataset, arguments.alone)))
        return
    parts = {"scale": _scale, "poison": _poison, "placement": _placement, "refit": _refit, "growth": _growth}
    result = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for part in arguments.parts.split(","):
        found = parts[part](arguments.dataset)
        result.setdefault(part, {})[arguments.dataset.name] = found
        print(json.dumps({part: found}, indent=1), flush=True)
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _scale(dataset: Path) -> dict[str, Any]:
    """Measure each archive in a process of its own, for memory is only ever added to."""
    rows = {}
    for count in (10, 500):
        command = [sys.executable, __file__, str(dataset), "--alone", str(count)]
        reply = subprocess.run(command, check=True, capture_output=True, text=True)
        rows[count] = json.loads(reply.stdout.splitlines()[-1])
    ratios = {f"{key} ratio": round(rows[500][key] / rows[10][key], 3) for key in ("seconds", "memory_mb")}
    return {"10 labelled": rows[10], "500 labelled": rows[500], **ratios}


def _one_update(dataset: Path, count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = VesselDatastore(str(folder / "studies"), ("vessel",), auto_reload=False)
        for pair in archive(dataset, folder, count):
            newest = store.add_image(Path(pair["image"]).stem, pair["image"], {})
            store.save_label(newest, pair["label"], FINAL, {})
        learner = _learner(folder)
        learner.warm_up()
        learner.learn(Wish(seconds=1.0), [pair for pair in store.datalist() if pair["id"] != newest])
        started = time.perf_counter()
        result = learner.learn(Wish(), store.datalist())
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": round(seconds, 2), "steps": result["steps"], "memory_mb": round(peak)}


def _poison(dataset: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    spoil = {
        "random": lambda mask: (rng.random(mask.shape) < 0.5).astype(np.uint8),
        "inverted": lambda mask: 1 - mask,
        "shifted": lambda mask: np.roll(mask, (25, 25), (1, 2)),
        "shifted by 3 pixels": lambda mask: np.roll(mask, (3, 3), (1, 2)),
        "4 pixels broader": lambda mask: ndimage.binary_dilation(mask, ACROSS, 4).astype(np.uint8),
        "half missing": lambda mask: mask * (np.arange(mask.shape[2]) < mask.shape[2] // 2),
    }
    return {f"good labels: {good}": _spoilt(dataset, good, spoil) for good in GOOD}


def _spoilt(dataset: Path, good: int, spoil: Mapping[str, Change]) -> dict[str, Any]:
    """Give spoilt labels after so many good ones, each kind to the version that was learned from these."""
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = archive(dataset, folder, good + POISONED)
        learner = _learner(folder)
        if good:
            rows["good"] = _given(learner, pairs[:good])
            learner.host.store.promote(learner.host.store.versions()[-1])
        for kind, change in spoil.items():
            poisoned = [_changed(pair, change, folder / kind) for pair in pairs[good:]]
            rows[kind] = _given(learner, [*pairs[:good], *poisoned])
    return rows


def _given(learner: Learner, pairs: list[dict[str, Any]]) -> dict[str, Any]:
    """Learn, have what was learned put in use, and roll that back."""
    store, before = learner.host.store, _answer(learner, pairs[0])
    try:
        result = learner.learn(Wish(), pairs)
    except ImageError as error:
        return {"promoted": False, "why not": f"not learned from: {error}"}
    if not result["promoted"]:
        store.promote(result["version"])
    changed = not np.array_equal(before, _answer(learner, pairs[0]))
    store.roll_back()
    restored = np.array_equal(before, _answer(learner, pairs[0]))
    return {
        **_outcome(result),
        "answers change if it is put in use": changed,
        "after a rollback they are the ones before": restored,
    }


def _placement(dataset: Path) -> dict[str, Any]:
    predictor, _ = ModelHost(Options(), VersionStore(dataset / "none")).predictor()
    found = dict.fromkeys(MOVED, 0)
    cases = [*read_cases(dataset, "train"), *read_cases(dataset, "val")]
    for case in cases:
        (frame,) = read_labelled(str(case.image), str(case.mask), 1)
        for moved in MOVED:
            labels = np.roll(frame.labels, (moved, -moved), (0, 1))
            found[moved] += misplaced(predictor, replace(frame, labels=labels)) is not None
    return {"labels": len(cases), "taken for moved, by pixels": found}


def _refit(dataset: Path) -> dict[str, Any]:
    held_out = read_cases(dataset, "val")
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = archive(dataset, Path(folder), 16)
        for name, lessons in (("updates", [pairs[:n] for n in (4, 8, 12, 16)]), ("refit", [pairs])):
            learner = _learner(Path(folder) / name)
            results = [learner.learn(Wish(mode=name.removesuffix("s")), lesson) for lesson in lessons]
            mean = mean_score(list(evaluate(learner.host.predictor()[0], held_out, "vessel")))
            rows[name] = {"dice": round(mean.dice, 4), "cl_dice": round(mean.cl_dice, 4)}
            rows[name]["seconds"] = round(sum(result["seconds"] for result in results), 1)
    rows["difference"] = round(rows["refit"]["dice"] - rows["updates"]["dice"], 4)
    return rows


def _growth(dataset: Path) -> dict[str, Any]:
    held_out = read_cases(dataset, "val")
    rows = {}
    for order in range(ORDERS):
        with tempfile.TemporaryDirectory() as folder:
            pairs = archive(dataset, Path(folder), COUNTS[-1], np.random.default_rng(order))
            learner, outcomes = _learner(Path(folder)), []
            learner.warm_up()
            for count in (0, *COUNTS):
                outcome = _outcome(learner.learn(Wish(), pairs[:count])) if count else {}
                mean = mean_score(list(evaluate(learner.host.predictor()[0], held_out, "vessel")))
                outcomes.append({"labels": count, **outcome, "validation Dice": round(mean.dice, 4)})
        rows[f"order {order}"] = outcomes
    return rows


def _learner(folder: Path) -> Learner:
    return Learner(ModelHost(Options(), VersionStore(folder / "adapters")))


def archive(dataset: Path, folder: Path, count: int, rng: np.random.Generator | None = None) -> list[dict[str, Any]]:
    """Return `count` labelled images: those of the training split, over and over, in a random order if asked to."""
    cases = read_cases(dataset, "train")
    if rng is not None:
        cases = [cases[i] for i in rng.permutation(len(cases))]
    pairs = []
    for number in range(count):
        case = cases[number % len(cases)]
        image, label = folder / f"{number}_{case.image.name}", folder / f"{number}_label.nrrd"
        shutil.copyfile(case.image, image)
        study = read_study(image)
        mask = read_mask(case.mask, study)
        write_mask((mask > 0).astype(np.uint8), study, label)
        pairs.append({"id": image.name, "image": str(image), "label": str(label)})
    return pairs


def _changed(pair: dict[str, Any], change: Change, folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    study = read_study(pair["image"])
    label = folder / Path(pair["label"]).name
    write_mask(change(read_mask(pair["label"], study)), study, label)
    return {**pair, "label": str(label)}


def _answer(learner: Learner, pair: dict[str, Any]) -> np.ndarray:
    predictor, _ = learner.host.predictor()
    return predictor.segment(predictor.embed(read_study(pair["image"]).frame(0)), "vessel")


def _outcome(result: dict[str, Any]) -> dict[str, Any]:
    judged = result["held_back"]
    before, after = (round(judged[when]["dice"], 4) for when in ("before", "after"))
    return {
        "promoted": result["promoted"],
        **({} if result["promoted"] else {"why not": result["why_not"]}),
        **({"labels left out": len(result["skipped"])} if result["skipped"] else {}),
        "held-back Dice before": before,
        "after": after,
        "steps": result["steps"],
    }


if __name__ == "__main__":
    main()
