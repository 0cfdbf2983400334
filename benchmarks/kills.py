"""What is lost when a server, or its trainer, is killed at a random moment of learning and of saving: nothing may be.

Half of the kills are of the whole server, which is started anew; half of the trainer alone, which the server must
start anew. After each, every label that was acknowledged must be there and readable, every version whole, and the
one in use loadable.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import requests
from PIL import Image

from salt_monailabel.cli.client import Client, ServerError, server_process
from salt_monailabel.imaging import read_mask, read_study, synthesize
from salt_monailabel.inference import adapted_model
from salt_monailabel.versions import VersionStore

SIDE, IMAGES = 256, 6


def main() -> None:
    """Kill, look, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kills.json")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    faults: list[str] = []
    counts = {"server": 0, "trainer": 0}
    labels: dict[str, np.ndarray] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        while sum(counts.values()) < arguments.kills:
            with server_process(folder / "studies", folder / "log", "seconds=2") as client:
                _fill(client, folder, labels)
                # Some kills of the trainer before the one of the server.
                for victim in ("trainer", "server"):
                    _work(client, labels, rng)
                    _kill(client, victim)
                    counts[victim] += 1
                    if victim == "trainer":
                        faults += _learns_again(client)
            faults += _look(folder / "studies", labels)
        versions = len(VersionStore(folder / "studies" / "adapters").versions())
    result = {"kills": counts, "versions written": versions, "faults": faults}
    print(json.dumps(result, indent=1))
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _fill(client: Client, folder: Path, labels: dict[str, np.ndarray]) -> None:
    for number in range(IMAGES):
        image, mask, _ = synthesize(number, SIDE, "fundus")
        path = folder / "image.png"
        Image.fromarray(image).save(path)
        client.put_image(f"image_{number}", path)
        if number < IMAGES // 2 and f"image_{number}" not in labels:
            client.put_label(f"image_{number}", mask)
            labels[f"image_{number}"] = mask


def _work(client: Client, labels: dict[str, np.ndarray], rng: random.Random) -> None:
    """Learn and save labels, up to a random moment."""
    client.call("POST", "/train/salt", json={})
    end = time.monotonic() + rng.uniform(0.0, 5.0)
    while time.monotonic() < end:
        image, mask = f"image_{rng.randrange(IMAGES)}", np.zeros((SIDE, SIDE), bool)
        mask[rng.randrange(SIDE)] = True
        client.put_label(image, mask)
        labels[image] = mask


def _kill(client: Client, victim: str) -> None:
    assert client.process is not None
    server = psutil.Process(client.process)
    for process in server.children(recursive=True) if victim == "trainer" else [server]:
        os.kill(process.pid, signal.SIGKILL)


def _learns_again(client: Client) -> list[str]:
    """Wait until the trainer is back, and learn once."""
    end = time.monotonic() + 120
    while client.call("GET", "/train/").json()["status"] in ("SUBMITTED", "RUNNING"):
        if time.monotonic() > end:
            return ["a job of a killed trainer never ended"]
        time.sleep(0.1)
    try:
        client.train("salt", {})
    except (ServerError, requests.RequestException) as error:
        return [f"nothing was learned after the trainer was killed: {error}"]
    return []


def _look(studies: Path, labels: dict[str, np.ndarray]) -> list[str]:
    faults: list[str] = []
    known: dict[str, Any] = json.loads((studies / "datastore_v2.json").read_text())["objects"]
    for image, mask in labels.items():
        if "final" not in known[image]["labels"]:
            faults.append(f"the label of {image} is lost")
            continue
        kept = read_mask(studies / "labels" / "final" / f"{image}.nrrd", read_study(studies / f"{image}.png"))
        # A label that was on its way when the server died may have come through.
        if not np.array_equal(kept[0] > 0, mask) and kept.sum() != SIDE:
            faults.append(f"the label of {image} is not what was submitted")
    store = VersionStore(studies / "adapters")
    for version in store.versions():
        adapted_model(store.path(version))
    pointer = studies / "adapters" / "current"
    if pointer.exists() and store.current() is None and pointer.read_text().split()[:1] != ["base"]:
        faults.append(f"current names {pointer.read_text()!r}")
    return faults


if __name__ == "__main__":
    main()
