"""A real server on drawn images, as its own process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SALT = Path(os.environ.get("SALT") or Path(__file__).parents[2] / ".venv" / "bin" / "salt")
START_SECONDS = 240
# Columns, rows and frames differ, so that axes cannot be mixed up unseen.
DRAW = """
import sys
from pathlib import Path
import numpy as np
import SimpleITK as sitk
from PIL import Image
from salt_monailabel.imaging import synthesize

folder = Path(sys.argv[1])
for seed, name in enumerate(("fundus", "fundus_2", "fundus_3"), start=1):
    drawn = synthesize(seed, 192, "fundus")
    Image.fromarray(drawn[0][:160]).save(folder / f"{name}.png")
    np.save(folder.parent / f"{name}.npy", drawn[1][None, :160])
for seed, name in enumerate(("gray", "gray_2"), start=4):
    drawn = synthesize(seed, 192, "angiogram")
    Image.fromarray(drawn[0][:176, :, 0]).save(folder / f"{name}.png")
    np.save(folder.parent / f"{name}.npy", drawn[1][None, :176])
image, mask, *_ = synthesize(6, 192, "angiogram")
vessels = np.linspace(0, 1, 12)[:, None, None] * (255.0 - image[:144, :, 0])
run = sitk.GetImageFromArray((1000 + 4 * (255 - vessels)).astype(np.uint16))
run.SetSpacing((0.25, 0.5, 1.0))
run.SetOrigin((10.0, -20.0, 30.0))
run.SetDirection((0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
sitk.WriteImage(run, str(folder / "run.nrrd"))
np.save(folder.parent / "run.npy", np.repeat(mask[None, :144], 12, axis=0))
"""
# Frames, rows and columns of what was drawn.
SHAPES = {
    "fundus": (1, 160, 192),
    "fundus_2": (1, 160, 192),
    "fundus_3": (1, 160, 192),
    "gray": (1, 176, 192),
    "gray_2": (1, 176, 192),
    "run": (12, 144, 192),
}


@dataclass(frozen=True)
class SaltServer:
    """A running server: where it listens, its folder of images, and the folder with the truth, `NAME.npy`."""

    address: str
    images: Path
    truth: Path


@contextmanager
def salt_server(folder: Path, *settings: str) -> Iterator[SaltServer]:
    """Draw six images into a folder and serve them until the block ends; `settings` are those of `--conf`."""
    images = folder / "images"
    images.mkdir()
    subprocess.run([SALT.parent / "python", "-c", DRAW, images], check=True)
    port = free_port()
    command = [SALT, "serve", images, "--port", str(port)]
    command += [part for setting in settings for part in ("--conf", setting)]
    # Its own files are not those of whoever runs the tests.
    homes = {f"XDG_{kind}_HOME": str(folder / kind.lower()) for kind in ("DATA", "CONFIG", "STATE")}
    log = folder / "server.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **homes}, start_new_session=True
        )
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(address, process, log)
        yield SaltServer(address, images, folder)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(f"{address}/info/", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
        else:
            return
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")
