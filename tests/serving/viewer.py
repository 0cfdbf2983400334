"""What a viewer sends to a server, and what it makes of the answers."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from fastapi.testclient import TestClient
from monailabel.app import app
from monailabel.config import settings
from monailabel.interfaces.utils.app import clear_cache
from PIL import Image
from requests_toolbelt import MultipartDecoder

from salt_monailabel.imaging import synthesize
from salt_monailabel.serving.server import create_app

ROOT = Path(__file__).parents[2]
APP = ROOT / "apps" / "salt"
# A file's name and content, as both httpx and requests take them.
Upload = tuple[str, bytes]


def drawing(seed: int = 3, rows: int = 128, columns: int = 192) -> tuple[np.ndarray, np.ndarray]:
    """Return a drawn image (rows, columns, 3) and its vessels; not square, so that axes cannot be mixed up unseen."""
    image, mask, _ = synthesize(seed, max(rows, columns), "fundus")
    return image[:rows, :columns], mask[:rows, :columns]


def png(pixels: np.ndarray, name: str = "image.png") -> Upload:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return name, buffer.getvalue()


def nrrd(
    pixels: np.ndarray,
    spacing: Sequence[float] | None = None,
    origin: Sequence[float] | None = None,
    direction: Sequence[float] | None = None,
    name: str = "volume.nrrd",
) -> Upload:
    image = sitk.GetImageFromArray(pixels, isVector=False)
    for place, value in ((image.SetSpacing, spacing), (image.SetOrigin, origin), (image.SetDirection, direction)):
        if value is not None:
            place(value)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        sitk.WriteImage(image, str(path))
        return name, path.read_bytes()


def one_slice(mask: np.ndarray) -> Upload:
    """Return a mask of a flat image as Slicer submits it: a 3D NRRD of one slice, uint8."""
    return nrrd(mask[None].astype(np.uint8), name="label.nrrd")


def read(upload: Upload) -> sitk.Image:
    name, content = upload
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        return sitk.ReadImage(str(path))


def geometry(image: sitk.Image) -> tuple[float, ...]:
    """Return size, spacing, origin and direction, one after the other."""
    return (*image.GetSize(), *image.GetSpacing(), *image.GetOrigin(), *image.GetDirection())


def contents(folder: Path) -> dict[str, str]:
    """Return the hash of every file under a folder; the datastore's lock file says nothing."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@dataclass(frozen=True)
class Answer:
    """A mask as the server sent it, and what it said about it."""

    image: sitk.Image
    params: dict[str, Any]

    @property
    def labels(self) -> np.ndarray:
        """(rows, columns), or (frames, rows, columns) where there are several."""
        return np.squeeze(sitk.GetArrayFromImage(self.image))


@dataclass(frozen=True)
class Viewer:
    """Talk to a server through `send(method, path, ...)`, of httpx or of requests."""

    send: Callable[..., Any]

    def infer(
        self, model: str, image: str | Upload, /, mask: Upload | None = None, output: str = "all", **params: object
    ) -> Any:
        """Ask about an uploaded image, or one of the datastore by its id; return the raw reply."""
        query, files = {"output": output}, {}
        if isinstance(image, str):
            query["image"] = image
        else:
            files["file"] = image
        if mask is not None:
            files["label"] = mask
        data = {"params": json.dumps(params)}
        return self.send("POST", f"/infer/{model}", params=query, data=data, files=files or None)

    def segment(self, model: str, image: str | Upload, /, mask: Upload | None = None, **params: object) -> Answer:
        reply = self.infer(model, image, mask, **params)
        assert reply.status_code == 200, reply.text
        parts = {}
        for part in MultipartDecoder(reply.content, reply.headers["content-type"]).parts:
            disposition = part.headers[b"Content-Disposition"].decode()
            fields = dict(field.split("=", 1) for field in disposition.split("; ")[1:])
            parts[fields["name"].strip('"')] = (fields.get("filename", "").strip('"'), part.content)
        return Answer(read(parts["image"]), json.loads(parts["params"][1]))

    def put_image(self, image_id: str, image: Upload) -> Any:
        return self.send("PUT", "/datastore/image", params={"image": image_id}, files={"file": image})

    def put_label(
        self,
        image_id: str,
        label: Upload,
        info: object = ({"name": "vessel", "idx": 1},),
        tag: str = "final",
        **params: object,
    ) -> Any:
        query, data = {"image": image_id, "tag": tag}, {"params": json.dumps({"label_info": info, **params})}
        return self.send("PUT", "/datastore/label", params=query, data=data, files={"label": label})

    def next_sample(self, strategy: str = "first") -> Any:
        return self.send("POST", f"/activelearning/{strategy}", json={})

    def train(self, **params: object) -> Any:
        """Train inside the request; the reply holds the final stats."""
        return self.send("POST", "/train/salt", params={"run_sync": True}, json=params)

    def info(self) -> dict[str, Any]:
        return self.send("GET", "/info/").json()

    def status(self) -> dict[str, Any]:
        return self.send("GET", "/datastore/").json()


# A trainer that answers at once: what was asked for is in its reply.
STUB = (
    sys.executable,
    "-c",
    """
import json, sys
sys.stdin.readline()
print('{"event": "ready"}', flush=True)
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "learn":
        step = {"step": 1, "share": 1.0, "loss": 0.5, "dice": 0.7}
        print(json.dumps({"event": "step", "id": command["id"], **step}), flush=True)
        stats = {"promoted": False, "why_not": "it is none", "version": "none"}
        stats |= {"asked": command["request"], "pairs": command["pairs"]}
        print(json.dumps({"event": "done", "id": command["id"], "stats": stats}), flush=True)
""",
)
# One that never answers.
SILENT = (sys.executable, "-c", "import sys; sys.stdin.read()")


@contextmanager
def serving(studies: Path, **conf: str) -> Iterator[Viewer]:
    """Run the app on a folder, in this process, under MONAI Label's own server."""
    with _settings(studies, conf), TestClient(app, raise_server_exceptions=False) as client:
        yield Viewer(client.request)


@contextmanager
def our_server(studies: Path, host: str = "localhost", trainer: Sequence[str] = STUB, **conf: str) -> Iterator[Viewer]:
    """Run our server on a folder, in this process, with a trainer that learns nothing."""
    with _settings(studies, conf), pytest.MonkeyPatch.context() as patch:
        patch.setattr("salt_monailabel.serving.server.default_path", lambda: studies.parent / "tokens.json")
        server = create_app(trainer)
        with TestClient(server, base_url=f"http://{host}", raise_server_exceptions=False) as client:
            yield Viewer(client.request)


@contextmanager
def _settings(studies: Path, conf: dict[str, str]) -> Iterator[None]:
    values = {
        "MONAI_LABEL_APP_DIR": str(APP),
        "MONAI_LABEL_STUDIES": str(studies),
        "MONAI_LABEL_APP_CONF": conf,
        "MONAI_LABEL_DATASTORE_AUTO_RELOAD": False,
        "MONAI_LABEL_SESSION_PATH": str(studies.parent / "sessions"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        for name, value in values.items():
            patch.setattr(settings, name, value)
            patch.setenv(name, json.dumps(value) if isinstance(value, dict) else str(value))
        clear_cache()
        yield
        clear_cache()
