"""How steady the outlines of a run are: frame by frame, and carried from key frames.

On drawn runs, whose truth is known: the Dice of the frames in between, and what appears or vanishes for one frame only.
Key frames hold the truth, as an annotator would have corrected them. A mask is carried as the server carries it; beside
that, the model is prompted with it, from frame to frame: with clicks where its own answer differs from the mask of the
frame before, and with that mask as well. On a real run, of which nobody has drawn the truth, key frames hold what the
model itself found, and only the flicker is known.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from moving import drawn_run
from PIL import Image
from scipy import ndimage
from steadiness import flicker

from salt_monailabel.imaging import Kind, overlay, read_study, to_rgb
from salt_monailabel.imaging.subtraction import mask_frame
from salt_monailabel.inference import Edit, Embedded, Predictor
from salt_monailabel.inference.carrying import carry
from salt_monailabel.models import load_base
from salt_monailabel.training.metrics import dice

SIZE, FRAMES, LABEL = 512, 22, "vessel"
# Clicks for a frame, each in one of the largest regions that differ, which are at least so many pixels large.
CLICKS, LARGE = 10, 30
# Frames of a real run.
MOST = 36
Masks = dict[int, np.ndarray]


class Run:
    """A run that is embedded frame by frame, each frame once."""

    def __init__(self, predictor: Predictor, frames: Sequence[np.ndarray]) -> None:
        self.predictor = predictor
        self.frames = frames
        self._embedded: dict[int, Embedded] = {}

    def embed(self, k: int) -> Embedded:
        """Return what the encoder saw of a frame."""
        if k not in self._embedded:
            self._embedded[k] = self.predictor.embed(self.frames[k], Kind(single=False))
        return self._embedded[k]

    def own(self, k: int) -> np.ndarray:
        """Return what the model finds on a frame."""
        return self.predictor.segment(self.embed(k), LABEL) > self.predictor.threshold

    def carried(self, keys: Masks, wanted: range) -> Masks:
        """Return the masks of key frames, carried to the others."""
        return keys | dict(carry(self.predictor, self.embed, LABEL, keys, wanted))

    def prompted(self, keys: Masks, wanted: range, given: bool) -> Masks:
        """Return masks of which each is prompted with that of its neighbour, on the side of the nearest key frame."""
        masks = dict(keys)
        for k in sorted(wanted, key=lambda k: min(abs(k - key) for key in keys)):
            if k not in masks:
                nearest = min(keys, key=lambda key: abs(k - key))
                before = masks[k + (1 if nearest > k else -1)]
                clicks = Edit(*_clicks(before, self.own(k)), mask=before if given else None)
                masks[k] = self.predictor.edit(self.embed(k), LABEL, clicks) > self.predictor.threshold
        return masks


def main() -> None:
    """Measure, print and write the figures, and draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("real", type=Path, nargs="?", help="DICOM, X-ray angiography of several frames")
    parser.add_argument("--runs", type=int, default=3, help="drawn ones")
    parser.add_argument("--sheet", type=Path, help="a .png to draw, of the first run")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "flicker.json")
    arguments = parser.parse_args()
    predictor, started = Predictor(load_base("vessel_t")), time.perf_counter()
    result: dict[str, Any] = {"drawn": _drawn(predictor, arguments.runs, arguments.sheet)}
    if arguments.real:
        result["real"] = _real(predictor, arguments.real)
    result["seconds"] = round(time.perf_counter() - started)
    print(json.dumps(result, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _drawn(predictor: Predictor, runs: int, sheet: Path | None) -> dict[str, Any]:
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(runs):
        frames, truth = drawn_run(seed, FRAMES, SIZE)
        run = Run(predictor, frames)
        # From the first frame with contrast medium on.
        wanted = range(int(np.flatnonzero(truth.any(axis=(1, 2)))[0]), FRAMES)
        full = int(truth.sum(axis=(1, 2)).argmax())
        found = {"truth": dict(enumerate(truth)), "frame by frame": {k: run.own(k) for k in wanted}}
        for name, keys in (("1 key frame", [full]), ("3 key frames", [wanted[0] + 2, full, wanted[-1]])):
            marked = {k: truth[k] for k in keys}
            found[f"{name}, carried"] = run.carried(marked, wanted)
        for name, given in (("clicks", False), ("clicks and the mask", True)):
            found[f"3 key frames, prompted with {name}"] = run.prompted(marked, wanted, given)
        # The same frames for all: none that is a key frame of any.
        scored = [k for k in wanted if k not in keys]
        for name, masks in found.items():
            steady = flicker([masks[k] for k in wanted])
            scores = [dice(masks[k], truth[k]) for k in scored]
            rows.setdefault(name, []).append({"dice": float(np.mean(scores)), **steady._asdict()})
        if sheet and not seed:
            _sheet(frames, found, np.linspace(wanted[0], wanted[-1], 6).astype(int)).save(sheet)
    return {"runs": runs, "frames": FRAMES, "side": SIZE, "means": {name: _mean(row) for name, row in rows.items()}}


def _real(predictor: Predictor, path: Path) -> dict[str, Any]:
    study = read_study(path)
    frames = np.asarray(study.pixels)[..., 0]
    # From before contrast medium arrives on.
    first = mask_frame(frames)
    wanted = range(first, min(first + MOST, len(frames)))
    run = Run(predictor, [study.frame(k) for k in range(len(frames))])
    own = {k: run.own(k) for k in wanted}
    found = {"frame by frame": own}
    # Where the model itself finds most, and a few frames in between.
    full = max(wanted, key=lambda k: own[k].sum())
    for name, keys in (("1 key frame", [full]), ("3 key frames", wanted[6::12])):
        found[f"{name}, carried"] = run.carried({k: own[k] for k in keys}, wanted)
    return {
        "file": path.name,
        "frames": [wanted[0], wanted[-1]],
        "means": {name: _mean([flicker([masks[k] for k in wanted])._asdict()]) for name, masks in found.items()},
    }


def _clicks(before: np.ndarray, own: np.ndarray) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return clicks (x, y) on what is missed of a mask, and on what is too much."""
    return tuple(list(_middles(region)) for region in (before & ~own, own & ~before))


def _middles(wrong: np.ndarray) -> Iterator[tuple[float, float]]:
    """Yield the inmost pixel of each of the largest regions."""
    regions, _ = ndimage.label(wrong)
    sizes = np.bincount(regions.ravel())[1:]
    depth = ndimage.distance_transform_edt(wrong)
    for region in np.argsort(-sizes)[: CLICKS // 2]:
        if sizes[region] >= LARGE:
            y, x = np.unravel_index(np.argmax(np.where(regions == region + 1, depth, 0)), wrong.shape)
            yield float(x), float(y)


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]}


def _sheet(frames: np.ndarray, found: dict[str, Masks], chosen: Sequence[int]) -> Image.Image:
    """Draw a row for each way, and a column for each of some frames."""
    rows = [[overlay(to_rgb(frames[k]), masks[k].astype(np.uint8)) for k in chosen] for masks in found.values()]
    return Image.fromarray(np.vstack([np.hstack(row) for row in rows])[::2, ::2])


if __name__ == "__main__":
    main()
