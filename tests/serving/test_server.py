"""The server as its own process, ours and MONAI Label's, driven over HTTP from the first image to a new version."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from .viewer import APP, ROOT, Viewer, drawing, one_slice, png

START_SECONDS = 900
TRAIN_SECONDS = 900
IMAGE, VESSELS = drawing(rows=128, columns=128)
TAUGHT = np.pad(np.zeros((88, 88), bool), 20, constant_values=True)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(address: str, method: str, path: str, **arguments: Any) -> requests.Response:
    return requests.request(method, address + path, timeout=TRAIN_SECONDS, **arguments)


@pytest.fixture(params=["ours", "MONAI Label's"])
def viewer(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Viewer]:
    """Connect to a server process, which is ended with all that it started."""
    port = free_port()
    if request.param == "ours":
        command = [sys.executable, "-m", "salt_monailabel.cli", "serve", str(tmp_path / "studies")]
        command += ["--port", str(port), "--conf", "seconds=3"]
    else:
        # MONAI Label makes folders beside main.py.
        made = shutil.ignore_patterns("model", "lib", "logs", "bin", "__pycache__")
        shutil.copytree(APP, tmp_path / "app", ignore=made)
        command = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(tmp_path / "app")]
        command += ["--studies", str(tmp_path / "studies"), "--host", "127.0.0.1", "--port", str(port)]
        command += ["--conf", "seconds", "3"]
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "MONAI_LABEL_SESSION_PATH": str(tmp_path / "sessions"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
    }
    log = tmp_path / "server.log"
    with open(log, "w") as output:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        viewer = Viewer(partial(ask, f"http://127.0.0.1:{port}"))
        wait_for(viewer, process, log)
        yield viewer
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=30)


def wait_for(viewer: Viewer, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-3000:]
        with suppress(requests.ConnectionError):
            viewer.info()
            return
        time.sleep(0.5)
    pytest.fail(f"no answer within {START_SECONDS} s: {log.read_text()[-3000:]}")


def finished(viewer: Viewer) -> dict[str, Any]:
    """Wait for the training task to end, and return it."""
    end = time.monotonic() + TRAIN_SECONDS
    while time.monotonic() < end:
        task = viewer.send("GET", "/train/").json()
        if task["status"] not in ("SUBMITTED", "RUNNING"):
            return dict(task)
        time.sleep(0.5)
    pytest.fail(f"training did not end within {TRAIN_SECONDS} s")


def test_a_user_segments_clicks_labels_trains_and_gets_the_new_version(viewer: Viewer) -> None:
    assert viewer.put_image("one", png(IMAGE)).json() == {"image": "one"}
    assert viewer.next_sample("random").json()["id"] == "one"

    automatic = viewer.segment("salt", "one", result_extension=".nrrd")
    assert automatic.params["version"] == "base"
    clicked = viewer.segment("salt_edit", "one", foreground=[[10, 100, 0]], background=[[100, 20, 0]])
    assert clicked.labels.shape == automatic.labels.shape == VESSELS.shape
    refused = viewer.infer("salt_edit", "one", foreground=[[1000, 1000, 0]])
    assert (refused.status_code, "outside" in refused.json()["detail"]) == (400, True)

    # Nothing can be learned yet, and the reason reaches the user through the task's last lines.
    assert viewer.send("POST", "/train/salt", json={}).status_code == 200
    failed = finished(viewer)
    assert failed["status"] == "ERROR"
    assert "submit a label first" in " ".join(failed["details"])

    assert viewer.put_label("one", one_slice(TAUGHT)).json() == {"image": "one", "label": "one"}
    assert viewer.next_sample("random").json() == {}
    viewer.send("POST", "/train/salt", json={"learning_rate": 0.01})
    assert viewer.info()["datastore"]["completed"] == 1
    trained = finished(viewer)
    assert trained["status"] == "DONE", trained["details"]

    info = viewer.info()
    assert info["adapter"] == info["train_stats"]["salt"]["version"] == "0001"
    assert info["train_stats"]["salt"]["epoch"] == info["train_stats"]["salt"]["total_epochs"]
    taught = viewer.segment("salt", "one")
    assert taught.params["version"] == "0001"
    assert not np.array_equal(taught.labels, automatic.labels)
