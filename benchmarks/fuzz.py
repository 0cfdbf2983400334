"""Requests made up from the server's own description of itself: none may be answered as an error of the server.

Schemathesis makes up half of them from the OpenAPI schema, some that fit it and some that do not. The others get past
the first checks: they name images, labels, tasks and jobs that are there, send images that can be read, and make up
what MONAI Label's schema does not describe, the parameters. The store has a small photograph, one of several tiles, and
a run of angiograms.

Run as `python -m benchmarks.fuzz`.
"""

from __future__ import annotations

import argparse
import io
import json
import socket
import sys
import tempfile
import threading
import time
import unittest
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import requests
import schemathesis
import SimpleITK as sitk
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from monailabel.config import settings as monai_label
from PIL import Image
from schemathesis import GenerationMode

from benchmarks.fuzz_params import FRAMES, PARAMS, SIDE
from benchmarks.moving import drawn_run
from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.imaging import synthesize
from salt_monailabel.inference import card_of, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.serving.launch import MAIN
from salt_monailabel.versions import VersionStore
from tests.dicom import written

# Pixels of a side of an image of several tiles.
LARGE, TIMEOUT = 300, 120
# So many times as many requests are made up for the tasks that segment and measure: these know most parameters.
OF_TASKS = 5
# Answers every training at once.
TRAINER = """
import json, sys
for line in sys.stdin:
    if '"learn"' in line:
        stats = {"promoted": False, "why_not": "it is none", "version": "none"}
        print(json.dumps({"event": "done", "id": json.loads(line)["id"], "stats": stats}), flush=True)
"""
KNOWN = {
    "image": ("one", "two", "run"),
    "id": ("one", "two", "run"),
    "label": ("one", "run"),
    "tag": ("final", "original"),
    "model": ("salt", "salt_edit", "salt_measure"),
    "strategy": ("first", "random", "random_foreground", "uncertain"),
    # Of a version, or of a job.
    "name": ("base", "0001", "job"),
    # In the background it would start a process for each.
    "run_sync": (True,),
}


def main() -> None:
    """Send requests to every route, and write how they were answered."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=20, help="of each kind, for each route")
    parser.add_argument("--routes", default="", help="only those whose path contains this")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "fuzz.json")
    arguments = parser.parse_args()
    started = time.perf_counter()
    answers: dict[str, Counter[str]] = {}
    errors: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, _server(Path(folder)) as address:
        schema = schemathesis.openapi.from_dict(requests.get(f"{address}/openapi.json", timeout=TIMEOUT).json())
        for found in schema.get_all_operations():
            operation = found.ok()
            if arguments.routes not in operation.path:
                continue
            _fill(address)
            route = f"{operation.method.upper()} {operation.path}"
            answers[route] = Counter()
            for note in _requests(operation, address, arguments.examples, arguments.seed):
                answers[route][note["status"]] += 1
                if not note["status"].startswith(("2", "3", "4")):
                    errors.append({"route": route, **json.loads(json.dumps(note).replace(folder, "FOLDER"))})
            print(route, dict(answers[route]), flush=True)
        alive = requests.get(f"{address}/info/", timeout=TIMEOUT).ok
    result = {
        "schemathesis": schemathesis.__version__,
        "examples of each kind": arguments.examples,
        "seconds": round(time.perf_counter() - started),
        "requests": sum(count.total() for count in answers.values()),
        "answers by route": {route: dict(sorted(count.items())) for route, count in answers.items()},
        "errors": errors,
        "alive after all": alive,
    }
    print(json.dumps({name: result[name] for name in ("requests", "seconds", "errors", "alive after all")}, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _requests(operation: Any, address: str, examples: int, number: int) -> list[dict[str, Any]]:
    """Send the requests to one route, and return their answers."""
    notes: list[dict[str, Any]] = []
    few = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for mode in GenerationMode:

        @seed(number)
        @few
        @given(operation.as_strategy(mode))
        def as_described(case: schemathesis.Case) -> None:
            request = {"query": str(case.query)[:500], "body": str(case.body)[:500], "path": case.formatted_path[:500]}
            with _noted(notes, request) as note:
                note["status"] = str(case.call(base_url=address, timeout=TIMEOUT).status_code)

        # What has no parameters cannot be called wrongly.
        with suppress(Unsatisfiable, unittest.SkipTest):
            as_described()

    @seed(number)
    @settings(few, max_examples=examples * (OF_TASKS if operation.path.startswith("/infer") else 1))
    @given(operation.as_strategy(GenerationMode.POSITIVE), st.data())
    def deeper(case: schemathesis.Case, data: st.DataObject) -> None:
        request = _deeper(case, data)
        with _noted(notes, {name: repr(value)[:500] for name, value in request.items()}) as note:
            reply = requests.request(case.method, address + case.formatted_path, timeout=TIMEOUT, **request)
            note["status"] = str(reply.status_code)

    deeper()
    return notes


def _deeper(case: schemathesis.Case, data: st.DataObject) -> dict[str, Any]:
    """Return a request that names what is there, with made-up parameters."""
    query = dict(case.query or {})
    for values in (case.path_parameters or {}, query):
        values |= {name: data.draw(st.sampled_from(KNOWN[name])) for name in values.keys() & KNOWN.keys()}
    if case.operation.path.startswith("/infer") and data.draw(st.integers(0, 3)):
        query["image"] = data.draw(st.sampled_from(KNOWN["image"]))
        # A session of no known name would be all that is answered.
        query.pop("session_id", None)
    if case.operation.path.startswith(("/batch", "/train")):
        query["run_sync"] = True
    if case.media_type is None or not case.media_type.startswith(("multipart", "application/x-www")):
        body = {"data": json.dumps(data.draw(PARAMS)), "headers": {"Content-Type": "application/json"}}
        return {"params": query, **(body if case.media_type else {})}
    form = {name: json.dumps(data.draw(PARAMS)) for name in ("params", "info")}
    of_run = {"run.nrrd": _run()[1], "run.dcm": _run()[0]}
    fitting = query.get("image") == "run" and data.draw(st.booleans())
    name = data.draw(st.sampled_from([*of_run] if fitting else [*of_run, "a.png", "a.nrrd", "a.nii.gz", "a.dcm"]))
    file = (name, of_run[name] if name in of_run else _picture(data.draw(st.integers(1, 3))))
    names = data.draw(st.sampled_from([("file",), ("label",), ("files",), ("file", "label")]))
    return {"params": query, "data": form, "files": dict.fromkeys(names, file)}


@contextmanager
def _noted(notes: list[dict[str, Any]], request: dict[str, str]) -> Iterator[dict[str, str]]:
    note = {"status": "no answer", **request}
    try:
        yield note
    except requests.RequestException as error:
        note["status"] = f"no answer: {type(error).__name__}"
    finally:
        notes.append(note)


def _picture(number: int, side: int = SIDE) -> bytes:
    """Return a drawn image as PNG; the first two are masks."""
    image, mask, _ = synthesize(number, side, "fundus")
    buffer = io.BytesIO()
    Image.fromarray(mask.astype("uint8") if number < 3 else image).save(buffer, "PNG")
    return buffer.getvalue()


@cache
def _run() -> tuple[bytes, bytes]:
    """Return a drawn run as DICOM, and its mask as NRRD, with strokes in the last frame."""
    run, truth = drawn_run(0, FRAMES, SIDE)
    mask = truth.astype(np.uint8)
    mask[-1, :4], mask[-1, 4:8] = 2, 3
    with tempfile.TemporaryDirectory() as folder:
        image, label = Path(folder) / "run.dcm", Path(folder) / "run.nrrd"
        written(image, run[..., 0].astype(np.uint16) << 4)
        sitk.WriteImage(sitk.GetImageFromArray(mask), str(label))
        return image.read_bytes(), label.read_bytes()


def _fill(address: str) -> None:
    """Put three images into an empty store, two of them labelled, and have a job done."""
    images = {"one": ("a.png", _picture(3)), "two": ("a.png", _picture(4, LARGE)), "run": ("a.dcm", _run()[0])}
    labels = {"one": ("a.png", _picture(1)), "run": ("a.nrrd", _run()[1])}

    def send(method: str, path: str, **arguments: Any) -> None:
        requests.request(method, address + path, timeout=TIMEOUT, **arguments).raise_for_status()

    for image in requests.get(f"{address}/datastore/?output=all", timeout=TIMEOUT).json()["objects"]:
        send("DELETE", "/datastore/image", params={"id": image})
    for image, file in images.items():
        send("PUT", "/datastore/image", params={"image": image}, files={"file": file})
    for image, file in labels.items():
        # The strokes are none of a label.
        said = {"params": json.dumps({"label_info": [{"name": "vessel", "idx": 1}]})}
        send("PUT", "/datastore/label", params={"image": image}, data=said, files={"label": file})
    send("POST", "/infer/salt", params={"image": "one"}, data={"params": json.dumps({"job": "job"})})


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Serve a folder from a thread of this process, with a trainer that learns nothing."""
    (folder / "app").mkdir()
    (folder / "app" / "main.py").write_text(MAIN)
    adapter = fresh_adapter("vessel_t", ["vessel"], AdapterConfig(method="bias"))
    assert isinstance(adapter.model, VesselSam)
    VersionStore(folder / "studies" / "adapters").add(adapter, card_of("vessel_t", adapter.model), None)
    monai_label.MONAI_LABEL_APP_DIR = str(folder / "app")
    monai_label.MONAI_LABEL_STUDIES = str(folder / "studies")
    monai_label.MONAI_LABEL_SESSION_PATH = str(folder / "sessions")
    from salt_monailabel.serving.server import create_app

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app((sys.executable, "-c", TRAINER))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.1)
        try:
            yield address
        finally:
            server.should_exit = True
            thread.join()


if __name__ == "__main__":
    main()
