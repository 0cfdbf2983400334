"""How long a server keeps its users waiting: clicks, and everything else while it segments and learns.

Drawn images of the size of DRIVE's. `/info/` and clicks are timed on an idle server, then while other images are
segmented and an update runs; then two annotators click at once, and each answer is compared with the one that a single
annotator got. In the end the next image is asked for by `uncertain`, so that the server looks at all images without a
label while somebody clicks; how busy its processor is after the last click says whether it still did.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from salt_monailabel.cli.client import Client, server_process
from salt_monailabel.imaging import synthesize

ROWS, COLUMNS = 584, 565
LABELLED, OTHERS = 4, 30
CLICKS = 40
# Seconds: as fast as a hand that knows where to click.
BETWEEN_CLICKS = 0.5


def main() -> None:
    """Time a server and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "server.json")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        server_process(Path(folder) / "studies", Path(folder) / "log") as client,
    ):
        _fill(client, Path(folder))
        result: dict[str, Any] = {"idle": _idle(client)}
        result["while segmenting and learning"] = _busy(client)
        result["clicks while learning"] = _clicks_while_learning(client)
        result["two annotators"] = _two(client)
        # Last, for it goes on when the clicks have ended.
        result["clicks while looking for the least sure images"] = _clicks_while_scoring(client)
    print(json.dumps(result, indent=1))
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _fill(client: Client, folder: Path) -> None:
    for number in range(LABELLED + OTHERS):
        image, mask, _ = synthesize(number, max(ROWS, COLUMNS), "fundus")
        path = folder / "image.png"
        Image.fromarray(image[:ROWS, :COLUMNS]).save(path)
        client.put_image(f"image_{number}", path)
        if number < LABELLED:
            client.put_label(f"image_{number}", mask[:ROWS, :COLUMNS])


def _idle(client: Client) -> dict[str, Any]:
    client.infer("salt", "image_5")
    return {
        "info": _summary([_timed(lambda: client.call("GET", "/info/")) for _ in range(50)]),
        "click": _summary([_timed(lambda n=n: _click(client, "image_5", n)) for n in range(CLICKS)]),
    }


def _busy(client: Client) -> dict[str, Any]:
    done = threading.Event()

    def segment() -> int:
        number = LABELLED
        while not done.is_set():
            client.infer("salt", f"image_{number % (LABELLED + OTHERS)}")
            number += 1
        return number - LABELLED

    times: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        segmented = pool.submit(segment)
        client.call("POST", "/train/salt", json={})
        while _learning(client):
            times.append(_timed(lambda: client.call("GET", "/info/")))
            time.sleep(0.02)
        done.set()
        return {"info": _summary(times), "images segmented": segmented.result(), **_learned(client)}


def _clicks_while_learning(client: Client) -> dict[str, Any]:
    client.infer("salt", "image_5")
    client.call("POST", "/train/salt", json={})
    times = []
    while _learning(client):
        times.append(_timed(lambda: _click(client, "image_5", len(times))))
        time.sleep(BETWEEN_CLICKS)
    return {"click": _summary(times), **_learned(client)}


def _clicks_while_scoring(client: Client) -> dict[str, Any]:
    client.infer("salt", "image_5")
    client.next_sample("uncertain")
    times = []
    for n in range(CLICKS):
        times.append(_timed(lambda n=n: _click(client, "image_5", n)))
        time.sleep(BETWEEN_CLICKS)
    busy = psutil.Process(client.process).cpu_percent(interval=2.0)
    return {"click": _summary(times), "processor of the server after the last click, %": round(busy)}


def _two(client: Client) -> dict[str, Any]:
    """Let two users click, each on an image of their own, and compare with the answers one gets alone."""
    images = ("image_6", "image_7")
    alone = {image: [_click(client, image, n) for n in range(10)] for image in images}

    def annotate(image: str) -> tuple[list[float], int]:
        times, wrong = [], 0
        for n in range(100):
            started = time.perf_counter()
            mask = _click(client, image, n % 10)
            times.append(time.perf_counter() - started)
            wrong += not np.array_equal(mask, alone[image][n % 10])
        return times, wrong

    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(annotate, images))
    return {
        "click": _summary([t for times, _ in both for t in times]),
        "wrong answers": sum(wrong for _, wrong in both),
    }


def _click(client: Client, image: str, number: int) -> np.ndarray:
    x, y = 150 + 7 * number % 250, 150 + 13 * number % 250
    return client.infer("salt_edit", image, {"foreground": [[x, y, 0]], "background": [], "label": "vessel"})


def _learning(client: Client) -> bool:
    return client.call("GET", "/train/").json()["status"] in ("SUBMITTED", "RUNNING")


def _learned(client: Client) -> dict[str, Any]:
    stats = client.call("GET", "/info/").json()["train_stats"]["salt"]
    return {"steps learned meanwhile": stats["steps"], "seconds of the update": stats["seconds"]}


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _summary(seconds: list[float]) -> dict[str, float]:
    p50, p99 = (round(1000 * float(np.percentile(seconds, p)), 1) for p in (50, 99))
    return {"requests": len(seconds), "p50_ms": p50, "p99_ms": p99}


if __name__ == "__main__":
    main()
