"""What is lost when a server, or its trainer, is killed at a random moment of learning and of saving: nothing may be.

Half of the kills are of the whole server, which is started anew; half of the trainer alone, which the server must
start anew. Meanwhile labels are saved from another thread, so that a kill falls into a save if chance has it so; half
of the kills wait for the first step of learning. When the server is back, each label must be the last one that was
acknowledged, or the one that was under way when it was killed; every version must be whole, and the one in use
loadable.

`by phase` says what went on at each kill: `start` is a training before its first step, `update` one after it, `save` a
label that was sent and not yet acknowledged.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import requests
import SimpleITK as sitk
from PIL import Image

from salt_monailabel.cli.client import Client, ServerError, server_process
from salt_monailabel.imaging import synthesize
from salt_monailabel.inference import adapted_model
from salt_monailabel.versions import VersionStore

SIDE, IMAGES = 256, 6
# Seconds at most: from the start of a training, or from its first step, to a kill; and between two saves.
DELAY, LATER, PAUSE = 5.0, 3.0, 0.05
VICTIMS = ("trainer", "server")


def main() -> None:
    """Kill, look, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "kills.json")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    phases: dict[str, Counter[str]] = {victim: Counter() for victim in VICTIMS}
    faults: list[str] = []
    labels = Labels(arguments.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = VersionStore(folder / "studies" / "adapters")
        for number in range(-(-arguments.kills // len(VICTIMS))):
            with server_process(folder / "studies", folder / "log", "seconds=2") as client:
                faults += labels.look(client)
                _fill(client, folder, labels)
                # The trainer before the server.
                for victim in VICTIMS:
                    phases[victim][_kill(client, victim, labels, rng, learning=number % 2 == 0)] += 1
                    if victim == "trainer":
                        faults += _learns_again(client)
            faults += _versions(store)
        with server_process(folder / "studies", folder / "log", "seconds=2") as client:
            faults += labels.look(client)
        versions = len(store.versions())
    result = {
        "kills": {victim: count.total() for victim, count in phases.items()},
        "by phase": {victim: dict(sorted(count.items())) for victim, count in phases.items()},
        "labels acknowledged": labels.count,
        "labels under way that came through": labels.came_through,
        "versions written": versions,
        "faults": faults + labels.refused,
    }
    print(json.dumps(result, indent=1))
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


class Labels:
    """What was saved of each image: the last label that was acknowledged, and one that is under way; and its truth."""

    def __init__(self, seed: int) -> None:
        self.acknowledged: dict[str, np.ndarray] = {}
        self.under_way: dict[str, np.ndarray] = {}
        self.count = self.came_through = 0
        self.refused: list[str] = []
        self.truths: dict[str, np.ndarray] = {}
        self._rng = random.Random(seed)
        self._drawn = 0

    def save(self, client: Client, image: str, mask: np.ndarray) -> None:
        """Save a label; it stays under way if there is no answer."""
        self.under_way[image] = mask
        client.put_label(image, mask)
        self.acknowledged[image] = self.under_way.pop(image)
        self.count += 1

    @contextmanager
    def saving(self, client: Client) -> Iterator[None]:
        """Save one label after the other from a thread, until the block ends or the server does."""
        ended = threading.Event()

        def work() -> None:
            try:
                while not ended.wait(self._rng.uniform(0, PAUSE)):
                    image = f"image_{self._rng.randrange(IMAGES)}"
                    self.save(client, image, self._another(image))
            except ServerError as error:
                self.refused.append(f"a label was refused: {error}")
            except requests.RequestException:
                # The server was killed.
                pass

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def look(self, client: Client) -> list[str]:
        """Return which labels are neither the last ones acknowledged nor those that were under way."""
        faults = []
        for image in sorted({*self.acknowledged, *self.under_way}):
            known, sent, kept = self.acknowledged.get(image), self.under_way.pop(image, None), _stored(client, image)
            if kept is not None and sent is not None and np.array_equal(kept, sent):
                self.acknowledged[image] = sent
                self.came_through += 1
            elif known is not None and kept is None:
                faults.append(f"the label of {image} is lost")
            elif known is not None and not np.array_equal(kept, known):
                faults.append(f"the label of {image} is neither the last one acknowledged nor the one under way")
            elif known is None and kept is not None:
                faults.append(f"the first label of {image} is not what was submitted")
        return faults

    def _another(self, image: str) -> np.ndarray:
        """Return a mask unlike all before, and right but for a pixel: a wrong one would be named, and none learned."""
        mask = self.truths[image].copy()
        mask.flat[self._drawn % mask.size] ^= True
        self._drawn += 1
        return mask


def _stored(client: Client, image: str) -> np.ndarray | None:
    """Return the final label that the server has of an image, (SIDE, SIDE) bool; None if it has none."""
    try:
        reply = client.call("GET", "/datastore/label", params={"label": image, "tag": "final"})
    except ServerError:
        return None
    with tempfile.NamedTemporaryFile(suffix=".nrrd") as file:
        file.write(reply.content)
        file.flush()
        return np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(file.name))) > 0


def _fill(client: Client, folder: Path, labels: Labels) -> None:
    for number in range(IMAGES):
        image, mask, _ = synthesize(number, SIDE, "fundus")
        path = folder / "image.png"
        Image.fromarray(image).save(path)
        client.put_image(f"image_{number}", path)
        labels.truths[f"image_{number}"] = mask > 0
        if number < IMAGES // 2 and f"image_{number}" not in labels.acknowledged:
            labels.save(client, f"image_{number}", mask > 0)


def _kill(client: Client, victim: str, labels: Labels, rng: random.Random, learning: bool) -> str:
    """Learn and save, kill at a random moment, of learning if that is asked for, and return what went on."""
    client.call("POST", "/train/salt", json={})
    with labels.saving(client):
        while learning and _phase(client) == "start":
            time.sleep(0.02)
        time.sleep(rng.uniform(0.0, LATER if learning else DELAY))
        assert client.process is not None
        server = psutil.Process(client.process)
        killed = server.children(recursive=True) if victim == "trainer" else [server]
        phases = [_phase(client), *(["save"] if labels.under_way else [])]
        for process in killed:
            os.kill(process.pid, signal.SIGKILL)
    return " and ".join(phase for phase in phases if phase != "idle") or "idle"


def _phase(client: Client) -> str:
    """Return how far the last training is."""
    task = client.call("GET", "/train/").json()
    if task["status"] not in ("SUBMITTED", "RUNNING"):
        return "idle"
    return "update" if any(detail.startswith("step ") for detail in task.get("details", ())) else "start"


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


def _versions(store: VersionStore) -> list[str]:
    """Return which versions cannot be loaded, and whether the one in use is none."""
    faults: list[str] = []
    for version in store.versions():
        try:
            adapted_model(store.path(version))
        except Exception as error:
            faults.append(f"the version {version} cannot be loaded: {error}")
    pointer = store.folder / "current"
    if pointer.exists() and store.current() is None and pointer.read_text().split()[:1] != ["base"]:
        faults.append(f"current names {pointer.read_text()!r}")
    return faults


if __name__ == "__main__":
    main()
