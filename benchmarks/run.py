"""A whole run as one request: how long it takes, what is seen of it meanwhile, and the memory of the server.

The run is opened, segmented through `salt serve` by one request to `salt`, and its masks are written as a DICOM
segmentation. Meanwhile its progress is asked for twice a second. Each attempt has a fresh server, whose first request
loads the model on another image. The best attempt counts where the machine has other work to do; its load is told.

    python benchmarks/run.py ../shared/data/XA/rca_cine_96f.dcm
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from salt_monailabel.cli.client import Client, ServerError, server_process
from salt_monailabel.imaging import read_study, synthesize
from salt_monailabel.imaging.segmentation import write_segmentation

# What is to be reached, on two cores.
GOALS = {"seconds for all frames": 60, "peak memory of the server, MB": 2048, "seconds to open": 2}
JOB, EVERY = "run", 0.5
# Seconds that are waited for, on a machine that has much else to do.
PATIENCE = 1800


def main() -> None:
    """Segment a run, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="DICOM of several frames")
    parser.add_argument("--attempts", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "run.json")
    arguments = parser.parse_args()
    attempts = [_attempt(arguments.run) for _ in range(arguments.attempts)]
    best = min(attempts, key=lambda attempt: attempt["seconds for all frames"])
    shape = read_study(arguments.run).shape
    result = {
        "run": {"file": arguments.run.name, "frames, rows, columns": shape},
        "cores": os.cpu_count(),
        "load before each attempt": [attempt["load before"] for attempt in attempts],
        "seconds for all frames, each attempt": [attempt["seconds for all frames"] for attempt in attempts],
        "best": best,
        "goals": {name: {"at most": goal, "reached": best[name] <= goal} for name, goal in GOALS.items()},
    }
    print(json.dumps(result, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _attempt(run: Path) -> dict[str, Any]:
    load = round(os.getloadavg()[0], 1)
    started = time.perf_counter()
    read_study(run)
    opening = time.perf_counter() - started
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "studies").mkdir()
        shutil.copy(run, folder / "studies" / "run.dcm")
        Image.fromarray(synthesize(0, 256, "angiogram").image).save(folder / "studies" / "other.png")
        with server_process(folder / "studies", folder / "log") as client:
            client.timeout = PATIENCE
            client.infer("salt", "other")
            before = _peak(client)
            with _Watching(client) as watching:
                started = time.perf_counter()
                mask = client.infer("salt", "run", {"job": JOB})
                seconds = time.perf_counter() - started
            memory = _peak(client)
        started = time.perf_counter()
        write_segmentation(mask.astype(np.uint8), ["vessel"], run, folder / "mask.dcm")
        writing = time.perf_counter() - started
    return {
        "load before": load,
        "seconds to open": round(opening, 2),
        "seconds for all frames": round(seconds, 1),
        "frames with vessels": int(mask.any(axis=(1, 2)).sum()),
        "progress": watching.summary(),
        "memory of the server before, MB": before,
        "peak memory of the server, MB": memory,
        "seconds to write the DICOM segmentation": round(writing, 2),
    }


class _Watching:
    """Ask for the progress of a job again and again."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ended = threading.Event()
        self.seen: list[int] = []
        self.waited: list[float] = []
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self) -> _Watching:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def summary(self) -> dict[str, float]:
        """Return how often it was asked for, how many numbers of frames were seen, and the longest wait for one."""
        return {
            "asked for": len(self.seen),
            "numbers of frames seen": len(set(self.seen)),
            "longest answer, s": round(max(self.waited), 3),
        }

    def _watch(self) -> None:
        while not self.ended.wait(EVERY):
            started = time.perf_counter()
            # There is no job before its file is read.
            with suppress(ServerError):
                self.seen.append(self.client.call("GET", f"/salt/jobs/{JOB}").json()["done"])
            self.waited.append(time.perf_counter() - started)


def _peak(client: Client) -> int:
    """Return the most memory the server ever had, in MB."""
    status = Path(f"/proc/{client.process}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+)", status)
    assert match is not None
    return int(match[1]) // 1024


if __name__ == "__main__":
    main()
