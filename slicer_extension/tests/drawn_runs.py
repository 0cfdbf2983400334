"""Runs of an angiogram as DICOM, with contrast medium that comes and goes; drawn by the server's own generator."""

from __future__ import annotations

import subprocess
from pathlib import Path

from salt_server import SALT, SaltServer

REPOSITORY = Path(__file__).parents[2]
DRAW = """
import sys
from pathlib import Path
import numpy as np
from salt_monailabel.imaging import synthesize
from tests.dicom import written

name, images, truth = sys.argv[1:4]
seed, count, rows, columns = map(int, sys.argv[4:])
image, mask, *_ = synthesize(seed, columns, "angiogram")
peak = 9 * count / 16
arrival = np.exp(-(((np.arange(count) - peak) / (count / 4)) ** 2))[:, None, None]
frames = (3000 - 1600 * arrival * mask[None, :rows]).astype(np.uint16)
frames += np.random.default_rng(seed).integers(0, 40, frames.shape, np.uint16)
written(Path(images) / f"{name}.dcm", frames, FrameTime="66.7", ImagerPixelSpacing=["0.3", "0.3"])
np.save(Path(truth) / f"{name}.npy", mask[:rows] > 0)
"""


def draw_run(server: SaltServer, name: str, seed: int, frames: int, rows: int, columns: int) -> None:
    """Add a run to the images of a server, and the vessels on it, (rows, columns), to the truth."""
    sizes = (seed, frames, rows, columns)
    subprocess.run(
        [SALT.parent / "python", "-c", DRAW, name, server.images, server.truth, *map(str, sizes)],
        check=True,
        cwd=REPOSITORY,
    )
