"""The page `salt demo` writes: images, masks before and after, truth, and how the training went."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from salt_monailabel.imaging import overlay, to_rgb
from salt_monailabel.training.metrics import cl_dice, dice

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>SALT vessels: what the loop does</title>
<style>
 body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; color: #1c2430; padding: 0 1rem }}
 figure {{ margin: 0; text-align: center }} figcaption {{ color: #5a6675; font-size: .85rem }}
 .row {{ display: grid; grid-template-columns: repeat({columns}, 1fr); gap: .75rem; margin: 1rem 0 }}
 img {{ width: 100%; border-radius: .3rem }}
 table {{ border-collapse: collapse }}
 td, th {{ padding: .25rem 1rem; text-align: left; border-bottom: 1px solid #d8dee6 }}
</style>
<h1>From a first guess to a model that has learned</h1>
<p>A server segmented images of a kind its base model had never seen. A reader, played here by the truth, submitted
corrected masks; the adapter was trained on them; the same test images, which were never labelled, were segmented
again.</p>
<table><tr><th>after</th><th>Dice</th><th>clDice</th></tr>{scores}</table>
{rows}
<h2>Training</h2>
<img src="{curve}" alt="Loss and Dice during the updates" style="max-width: 46rem">
</html>
"""


@dataclass
class Stage:
    """The masks of the test images at one point of the loop."""

    name: str
    masks: list[np.ndarray]
    seconds: float
    stats: dict[str, Any] = field(default_factory=dict)

    def scores(self, truths: list[np.ndarray]) -> tuple[float, float]:
        """Return mean Dice and mean clDice."""
        pairs = list(zip(self.masks, truths, strict=True))
        return float(np.mean([dice(m, t) for m, t in pairs])), float(np.mean([cl_dice(m, t) for m, t in pairs]))


def write_report(out: Path, images: Sequence[np.ndarray], truths: list[np.ndarray], stages: Sequence[Stage]) -> Path:
    """Write `out`/index.html, which needs no other file, and `out`/loop.png, its first row; returns the page's path."""
    rows = []
    for i, (image, truth) in enumerate(zip(images, truths, strict=True)):
        rgb = to_rgb(image)
        pictures = [("image", (rgb * 255).astype(np.uint8))]
        pictures += [(stage.name, overlay(rgb, stage.masks[i])) for stage in stages]
        pictures.append(("truth", overlay(rgb, truth)))
        if i == 0:
            Image.fromarray(_strip([picture for _, picture in pictures])).save(out / "loop.png")
        rows.append('<div class="row">' + "".join(_figure(name, picture) for name, picture in pictures) + "</div>")
    scores = "".join(_score_row(stage, truths) for stage in stages)
    page = PAGE.format(columns=len(stages) + 2, scores=scores, rows="\n".join(rows), curve=_curve(stages))
    path = out / "index.html"
    path.write_text(page)
    return path


def _strip(pictures: Sequence[np.ndarray], gap: int = 8) -> np.ndarray:
    """Set pictures (H, W, 3) side by side on white."""
    return np.hstack([np.pad(p, ((0, 0), (0, gap), (0, 0)), constant_values=255) for p in pictures])[:, :-gap]


def _score_row(stage: Stage, truths: list[np.ndarray]) -> str:
    score, centreline = stage.scores(truths)
    return f"<tr><td>{html.escape(stage.name)}</td><td>{score:.3f}</td><td>{centreline:.3f}</td></tr>"


def _figure(name: str, picture: np.ndarray) -> str:
    caption = html.escape(name)
    return f'<figure><img src="{_png(picture)}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'


def _png(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return _embedded(buffer)


def _curve(stages: Sequence[Stage]) -> str:
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    loss, score = figure.subplots(1, 2)
    for stage in stages:
        if stage.stats:
            share = np.linspace(0, 100, len(stage.stats["losses"]) + 1)[1:]
            loss.plot(share, stage.stats["losses"], marker="o", label=stage.name)
            score.plot(share, stage.stats["dices"], marker="o", label=stage.name)
    for axes, name in ((loss, "loss"), (score, "Dice on training crops")):
        axes.set(xlabel="% of the update", ylabel=name)
        axes.grid(alpha=0.3)
        axes.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return _embedded(buffer)


def _embedded(buffer: io.BytesIO) -> str:
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
