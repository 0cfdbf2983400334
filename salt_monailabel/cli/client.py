"""A small client of a MONAI Label server: what the demonstration needs of its REST interface."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import numpy as np
import requests
import SimpleITK as sitk


class ServerError(RuntimeError):
    """An answer other than success; the message is the server's."""


class Client:
    """Talk to the server at `url`."""

    def __init__(self, url: str, timeout: float = 300) -> None:
        self.url = url
        self.timeout = timeout

    def wait(self, alive: Callable[[], bool], seconds: float = 240) -> None:
        """Wait until the server answers; raises `ServerError` if it ends or takes too long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not alive():
                raise ServerError("the server ended before it answered")
            try:
                requests.get(f"{self.url}/info/", timeout=5).raise_for_status()
                return
            except requests.RequestException:
                time.sleep(0.5)
        raise ServerError(f"the server did not answer within {seconds:.0f} s")

    def put_image(self, image_id: str, path: Path) -> None:
        """Add an image to the datastore."""
        with open(path, "rb") as file:
            self._call("PUT", f"/datastore/image?image={image_id}", files={"file": (path.name, file)})

    def put_label(self, image_id: str, mask: np.ndarray, name: str = "vessel") -> None:
        """Submit a finished mask (H, W) as the Slicer panel does: a stack of one slice."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{image_id}.nrrd"
            sitk.WriteImage(sitk.GetImageFromArray(mask[None].astype(np.uint8)), str(path))
            params = json.dumps({"label_info": [{"name": name, "idx": 1}]})
            with open(path, "rb") as file:
                files = {"label": (path.name, file)}
                self._call("PUT", f"/datastore/label?image={image_id}&tag=final", data={"params": params}, files=files)

    def next_sample(self, strategy: str = "first") -> str:
        """Return the id of the image the server would have labelled next."""
        return str(self._call("POST", f"/activelearning/{strategy}", json={}).json()["id"])

    def infer(self, model: str, image_id: str, params: dict[str, Any] | None = None) -> np.ndarray:
        """Return the mask (H, W) of an image of the datastore."""
        data = {"params": json.dumps({"result_extension": ".nrrd", **(params or {})})}
        reply = self._call("POST", f"/infer/{model}?image={image_id}&output=all", data=data)
        header = f"Content-Type: {reply.headers['content-type']}\r\n\r\n".encode()
        parts = BytesParser().parsebytes(header + reply.content).walk()
        part = next(p for p in parts if p.get_param("name", header="content-disposition") == "image")
        with tempfile.NamedTemporaryFile(suffix=".nrrd") as file:
            file.write(bytes(part.get_payload(decode=True)))
            file.flush()
            return np.squeeze(sitk.GetArrayFromImage(sitk.ReadImage(file.name))) > 0

    def train(self, model: str, params: dict[str, Any]) -> dict[str, Any]:
        """Train until done and return the trainer's stats; raises `ServerError` if it fails."""
        self._call("POST", f"/train/{model}", json=params)
        while (task := self._call("GET", "/train/").json())["status"] in ("SUBMITTED", "RUNNING"):
            time.sleep(0.3)
        if task["status"] != "DONE":
            raise ServerError(f"training ended as {task['status']}: {list(task.get('details', []))[-1:]}")
        return dict(self._call("GET", "/info/").json()["train_stats"][model])

    def _call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        reply = requests.request(method, self.url + path, timeout=self.timeout, **arguments)
        if not reply.ok:
            raise ServerError(f"{method} {path} was answered {reply.status_code}: {reply.text[:300]}")
        return reply
