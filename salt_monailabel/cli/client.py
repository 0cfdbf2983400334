"""A small client of a MONAI Label server: what the demonstration needs of its REST interface."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import numpy as np
import requests
import SimpleITK as sitk

# Seconds until a server answers for the first time, at most.
LONGEST_START = 240


class ServerError(RuntimeError):
    """An answer other than success; the message is the server's."""


class Client:
    """Talk to the server at `url`, which may be a process of this computer."""

    def __init__(self, url: str, timeout: float = 300, process: int | None = None) -> None:
        self.url = url
        self.timeout = timeout
        self.process = process

    def wait(self, alive: Callable[[], bool]) -> None:
        """Wait until the server answers; raises `ServerError` if it ends or takes too long."""
        end = time.monotonic() + LONGEST_START
        while time.monotonic() < end:
            if not alive():
                raise ServerError("the server ended before it answered")
            try:
                requests.get(f"{self.url}/info/", timeout=5).raise_for_status()
                return
            except requests.RequestException:
                time.sleep(0.5)
        raise ServerError(f"the server did not answer within {LONGEST_START} s")

    def put_image(self, image_id: str, path: Path) -> None:
        """Add an image to the datastore."""
        with open(path, "rb") as file:
            self.call("PUT", f"/datastore/image?image={image_id}", files={"file": (path.name, file)})

    def put_label(self, image_id: str, mask: np.ndarray, name: str = "vessel") -> None:
        """Submit a finished mask (H, W) as the Slicer panel does: a stack of one slice."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{image_id}.nrrd"
            sitk.WriteImage(sitk.GetImageFromArray(mask[None].astype(np.uint8)), str(path))
            params = json.dumps({"label_info": [{"name": name, "idx": 1}]})
            with open(path, "rb") as file:
                files = {"label": (path.name, file)}
                self.call("PUT", f"/datastore/label?image={image_id}&tag=final", data={"params": params}, files=files)

    def next_sample(self, strategy: str = "first") -> str:
        """Return the id of the image the server would have labelled next."""
        return str(self.call("POST", f"/activelearning/{strategy}", json={}).json()["id"])

    def infer(self, model: str, image_id: str, params: dict[str, Any] | None = None) -> np.ndarray:
        """Return the mask (H, W) of an image of the datastore."""
        data = {"params": json.dumps({"result_extension": ".nrrd", **(params or {})})}
        reply = self.call("POST", f"/infer/{model}?image={image_id}&output=all", data=data)
        header = f"Content-Type: {reply.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(header + reply.content).walk()
        part = next(p for p in parts if p.get_param("name", header="content-disposition") == "image")
        with tempfile.NamedTemporaryFile(suffix=".nrrd") as file:
            file.write(bytes(part.get_payload(decode=True)))
            file.flush()
            return np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(file.name))) > 0

    def train(self, model: str, params: dict[str, Any]) -> dict[str, Any]:
        """Train until done and return the trainer's stats; raises `ServerError` if it fails."""
        self.call("POST", f"/train/{model}", json=params)
        while (task := self.call("GET", "/train/").json())["status"] in ("SUBMITTED", "RUNNING"):
            time.sleep(0.3)
        if task["status"] != "DONE":
            raise ServerError(f"training ended as {task['status']}: {list(task.get('details', []))[-1:]}")
        return dict(self.call("GET", "/info/").json()["train_stats"][model])

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Return the answer to a request; raises `ServerError` if it is no success."""
        reply = requests.request(method, self.url + path, timeout=self.timeout, **arguments)
        if not reply.ok:
            raise ServerError(f"{method} {path} was answered {reply.status_code}: {reply.text[:300]}")
        return reply


@contextmanager
def server_process(studies: Path, log: Path, *settings: str) -> Iterator[Client]:
    """Serve a folder on a free port, in a process of its own that ends with the block.

    Parameters
    ----------
    studies : path
    log : path
        What the server says is added to this file.
    *settings : str
        `NAME=VALUE`, as `salt serve --conf` takes them.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "salt_monailabel.cli", "serve", str(studies), "--port", str(port)]
    command += [part for setting in settings for part in ("--conf", setting)]
    with open(log, "a") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        client = Client(f"http://127.0.0.1:{port}", process=process.pid)
        client.wait(lambda: process.poll() is None)
        yield client
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
