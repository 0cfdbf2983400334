"""The panel of the MONAI Label extension works with our server, too: its requests, as it sends them."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image
from salt_server import SHAPES, SaltServer
from SALTVesselsLib.multipart import decode
from SALTVesselsLib.pixels import mask_from_nrrd_by_steps, mask_to_nrrd
from SALTVesselsLib.steps import at_once

# It sends no boundary but this, and names a file by its whole path.
BOUNDARY = "----------lImIt_of_THE_fIle_eW_$"
PATHS = (
    "/tmp/slicer-ab12/tmpq7_x1.nrrd",
    "C:\\Users\\ann\\AppData\\Local\\Temp\\slicer-ab12\\tmpq7_x1.nrrd",
)
LABEL = {"label_info": [{"name": "vessel", "idx": 1}]}
WHO = {"client_id": "user-xyz"}


class Panel:
    """Sends what the panel sends."""

    def __init__(self, address: str) -> None:
        self.address = address

    def send(self, method: str, path: str, **options: Any) -> requests.Response:
        return requests.request(method, f"{self.address}{path}", timeout=120, **options)

    def form(
        self, method: str, path: str, params: dict[str, object], files: dict[str, tuple[str, bytes]]
    ) -> requests.Response:
        parts = [f'Content-Disposition: form-data; name="params"\r\n\r\n{json.dumps(params | WHO)}'.encode()]
        for key, (name, content) in files.items():
            head = f'Content-Disposition: form-data; name="{key}"; filename="{name}"\r\n'
            parts.append(head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + content)
        body = b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY.encode(), part) for part in parts)
        body += b"--%s--\r\n\r\n" % BOUNDARY.encode()
        return self.send(method, path, data=body, headers={"content-type": f"multipart/form-data; boundary={BOUNDARY}"})

    def infer(self, model: str, image: str, **params: object) -> tuple[np.ndarray, dict[str, Any]]:
        wanted = {"result_extension": ".nrrd", "result_dtype": "uint8"}
        reply = self.form("POST", f"/infer/{model}?image={image}", params | wanted, {})
        assert reply.status_code == 200, reply.text
        parts = decode(reply.content, reply.headers["content-type"])
        return at_once(mask_from_nrrd_by_steps(parts["image"])), json.loads(parts["params"])


@pytest.fixture
def panel(server: SaltServer) -> Iterator[Panel]:
    panel = Panel(server.address)
    yield panel
    # Whatever was begun is over before the next test.
    panel.send("DELETE", "/train/")


def test_it_learns_what_there_is(panel: Panel) -> None:
    info = panel.send("GET", "/info/").json()
    assert {name: model["type"] for name, model in info["models"].items()}.items() >= {
        "salt": "segmentation",
        "salt_edit": "deepgrow",
    }.items()
    assert info["models"]["salt"]["dimension"] == 2
    assert {"salt"} == info["trainers"].keys()
    assert {"random", "first"} <= info["strategies"].keys()
    assert info["labels"] == ["vessel"]


def test_it_fetches_the_next_image(panel: Panel, server: SaltServer) -> None:
    sample = panel.send("POST", "/activelearning/random", json=WHO).json()
    assert (server.images / Path(sample["path"]).name).is_file()
    assert Path(sample["path"]).name.split(".")[0] == sample["id"]
    image = panel.send("GET", "/datastore/image", params={"image": "gray"})
    assert (image.status_code, "gray.png" in image.headers["content-disposition"]) == (200, True)
    assert np.asarray(Image.open(io.BytesIO(image.content))).shape == SHAPES["gray"][1:]


def test_its_automatic_segmentation(panel: Panel) -> None:
    mask, params = panel.infer("salt", "gray")
    assert (mask.shape, params["label_names"]) == (SHAPES["gray"], {"vessel": 1})
    assert 0.001 < mask.mean() < 0.5


def test_its_clicks_in_both_ways_it_sends_them(panel: Panel) -> None:
    before, _ = panel.infer("salt", "gray")
    k, j, i = np.argwhere(before)[0].tolist()
    away = [[i, j, k]]
    grown, _ = panel.infer("salt_edit", "gray", label="vessel", foreground=[], background=away, slice=0)
    edited, _ = panel.infer("salt_edit", "gray", label="vessel", vessel=[], background=away)
    assert (grown == edited).all()
    assert grown[k, j, i] == 0
    some, _ = panel.infer("salt_edit", "gray", label="vessel", vessel=[[60, 70, 0]], background=[])
    same, _ = panel.infer("salt_edit", "gray", label="vessel", foreground=[[60, 70, 0]], background=[], slice=0)
    assert (some == same).all()
    boxed, _ = panel.infer(
        "salt_edit", "gray", label="vessel", foreground=[], background=[], roi=[20, 90, 20, 90, 0, 0]
    )
    assert boxed.shape == SHAPES["gray"]


@pytest.mark.parametrize("name", PATHS)
def test_it_submits_a_label_of_one_slice(panel: Panel, server: SaltServer, name: str) -> None:
    mask = (np.load(server.truth / "fundus_3.npy") > 0).astype(np.uint8)
    reply = panel.form("PUT", "/datastore/label?image=fundus_3", LABEL, {"label": (name, mask_to_nrrd(mask))})
    assert reply.status_code == 200, reply.text
    assert reply.json() == {"image": "fundus_3", "label": "fundus_3"}
    stored = panel.send("GET", "/datastore/label", params={"label": "fundus_3", "tag": "final"})
    assert (at_once(mask_from_nrrd_by_steps(stored.content)) == mask).all()


def test_it_says_with_a_label_which_model_was_used(panel: Panel, server: SaltServer) -> None:
    # Since December 2025.
    mask = (np.load(server.truth / "fundus_3.npy") > 0).astype(np.uint8)
    file = {"label": ("label.nrrd", mask_to_nrrd(mask))}
    assert panel.form("PUT", "/datastore/label?image=fundus_3", {**LABEL, "model": "salt"}, file).status_code == 200


@pytest.mark.parametrize("name", PATHS)
def test_it_uploads_an_image_and_opens_a_session(panel: Panel, server: SaltServer, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (1, 40, 50)).astype(np.uint8)
    file = mask_to_nrrd(pixels)
    reply = panel.form("PUT", "/datastore/?image=uploaded", {}, {"file": (name, file)})
    assert (reply.status_code, reply.text) == (200, '{"image":"uploaded"}')
    reply = panel.send("PUT", "/session/", data=WHO, files=[("files", (Path(name).name, file))])
    assert reply.status_code == 200, reply.text
    session = reply.json()["session_id"]
    mask = panel.form("POST", f"/infer/salt?image=x&session_id={session}", {"result_extension": ".nrrd"}, {})
    assert mask.status_code == 200, mask.text
    panel.send("DELETE", f"/session/{session}")
    panel.send("DELETE", "/datastore/image", params={"id": "uploaded"})


def test_it_trains_asks_how_far_it_is_and_stops(panel: Panel, server: SaltServer) -> None:
    mask = (np.load(server.truth / "fundus_3.npy") > 0).astype(np.uint8)
    panel.form("PUT", "/datastore/label?image=fundus_3", LABEL, {"label": ("label.nrrd", mask_to_nrrd(mask))})
    task = panel.send("POST", "/train/salt", json={"seconds": 30, **WHO}).json()
    assert task["status"] in ("SUBMITTED", "RUNNING")
    assert panel.send("GET", "/train/?check_if_running=true").json()["id"] == task["id"]
    assert panel.send("GET", "/train/").json()["status"] in ("SUBMITTED", "RUNNING")
    assert panel.send("DELETE", "/train/").status_code == 200
