"""Weight files: where they are, that they are whole, and how they are read."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.request
from pathlib import Path
from typing import Any

import platformdirs
import torch
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import SafetensorError, safe_open
from torch import Tensor

from salt_monailabel.whole_files import written_whole

CHUNK = 1 << 20


class WeightsError(RuntimeError):
    """Weights that cannot be had or used; the message names the file and the remedy."""


def weights_folder() -> Path:
    """Return the folder for downloaded checkpoints: `SALT_WEIGHTS`, or one in the user's cache."""
    return Path(os.environ.get("SALT_WEIGHTS") or platformdirs.user_cache_path("salt") / "weights")


def fetch(url: str, sha256: str) -> Path:
    """Return the local copy of a checkpoint, downloading it with a progress bar if there is none.

    Raises
    ------
    WeightsError
        If the download fails or what was downloaded has another hash; a file that is there already is taken as it is.
    """
    path = weights_folder() / url.rsplit("/", 1)[-1]
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as partial:
                _download(url, partial)
                verify(partial, sha256)
        except (OSError, http.client.HTTPException) as error:
            raise WeightsError(
                f"{path.name} could not be downloaded ({error}). Offline: fetch {url} on another computer and place "
                f"it at {path}, or name its place in the option `weights`"
            ) from error
    return path


def verify(path: Path, sha256: str) -> None:
    """Check a file's SHA-256; raises `WeightsError`."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    found = digest.hexdigest()
    if found != sha256:
        raise WeightsError(f"{path} is damaged or another file: its SHA-256 is {found}, not {sha256}; fetch it again")


def read_sam_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a checkpoint as Meta publishes it, without running code from it."""
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint at {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A file that is no pickle fails in as many ways as there are first bytes.
        raise WeightsError(f"{path} is truncated or no checkpoint ({error}); delete it and fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsError(f"{path} is no checkpoint: it holds no table of tensors; fetch the right file")
    return state


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors, as float32, and the JSON card in the header."""
    if not path.is_file():
        raise WeightsError(f"there are no weights at {path}; install the package again, or run `salt pretrain`")
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {}).get("card", "{}"))
            return {name: file.get_tensor(name).float() for name in file.keys()}, card  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{path} is truncated or no safetensors file ({error}); restore it") from error


def _download(url: str, path: Path) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with urllib.request.urlopen(url, timeout=30) as reply, open(path, "wb") as file, Progress(*columns) as bar:  # noqa: S310
        size = int(reply.headers.get("Content-Length", 0))
        task = bar.add_task(url.rsplit("/", 1)[-1], total=size or None)
        while chunk := reply.read(CHUNK):
            file.write(chunk)
            bar.advance(task, len(chunk))
