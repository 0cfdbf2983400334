"""What the simulated radiologist finds of `salt serve`, and whether the goals are reached.

`annotator.py`, which lies beside the repository and knows nothing of the server's code, clicks on test images; then it
labels training images as the server hands them out, has it learn from them, and measures the test images again. It is
run as it is, against a server of a folder that is empty at first. Options that are not listed here are handed on to it,
such as `--batches 1,2,4,8,16`; what it says is shown.

    python benchmarks/annotator.py ../shared/acceptance/annotator.py ../shared/data/DRIVE
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from bases import base_hash

from salt_monailabel.cli.client import server_process

# What is to be reached, on two cores; the Dice of a data set after so many labels.
SECONDS, FALL = 20, 0.005
DICE = {"DRIVE": {1: 0.77, 16: 0.80}}


def main() -> None:
    """Serve, let it be annotated, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotator", type=Path, help="its script")
    parser.add_argument("dataset", type=Path, help="a folder with images/, masks/ and data_split.csv")
    parser.add_argument("--parts", default="click,learn", help="of the annotator, in this order")
    parser.add_argument("--out", type=Path, help="by default results/annotator-DATASET.json")
    arguments, others = parser.parse_known_args()
    name = arguments.dataset.resolve().name
    load = round(os.getloadavg()[0], 1)
    found = _annotate(arguments.annotator, arguments.dataset, ["--parts", arguments.parts, *others])
    result = {
        "dataset": name,
        "base": base_hash(),
        "cores": os.cpu_count(),
        "load before": load,
        "options of the annotator": others,
        **found,
        "goals": {
            **_learning(found.get("learn", {}).get("curve", ()), DICE.get(name, {})),
            **_clicking(found.get("click", {}).get("dice_after_clicks", ())),
        },
    }
    print(json.dumps(result["goals"], indent=1))
    out = arguments.out or Path(__file__).parent / "results" / f"annotator-{name}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")


def _annotate(script: Path, dataset: Path, options: Sequence[str]) -> dict[str, Any]:
    """Return what the annotator found of a new server."""
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name), Path(name) / "found.json"
        with server_process(folder / "studies", folder / "log") as client:
            command = [sys.executable, str(script), "--server", client.url, "--dataset", str(dataset)]
            subprocess.run([*command, "--out", str(out), *options], check=True)
        found: dict[str, Any] = json.loads(out.read_text())
    return found


def _learning(curve: Sequence[Mapping[str, Any]], wanted: Mapping[int, float]) -> dict[str, Any]:
    """Return the goals of learning; the curve begins with what is known before the first update."""
    updates = [row for row in curve if "update_seconds" in row]
    goals: dict[str, Any] = {}
    if updates:
        slowest = max(row["update_seconds"] for row in updates)
        goals["seconds of the slowest update"] = {"is": slowest, "at most": SECONDS, "reached": slowest <= SECONDS}
        fall = round(max(before["dice"] - after["dice"] for before, after in pairwise(curve)), 4)
        goals["largest fall of Dice by an update"] = {"is": fall, "at most": FALL, "reached": fall <= FALL}
    for row in updates:
        if (least := wanted.get(row["labels"])) is not None:
            reached = row["dice"] >= least
            goals[f"Dice, labels: {row['labels']}"] = {"is": row["dice"], "at least": least, "reached": reached}
    return goals


def _clicking(scores: Sequence[float]) -> dict[str, Any]:
    """Return the goal of clicks: no round of them lowers the mean Dice."""
    if len(scores) < 2:
        return {}
    fall = round(max(before - after for before, after in pairwise(scores)), 4)
    return {"largest fall of Dice by a round of clicks": {"is": fall, "at most": 0, "reached": fall <= 0}}


if __name__ == "__main__":
    main()
