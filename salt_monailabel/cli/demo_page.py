"""The page `salt demo` writes: images, masks before and after, truth, and how the training went."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from salt_monailabel.imaging import overlay, to_rgb
from salt_monailabel.serving.report.page import embedded, figure, page, table
from salt_monailabel.training.metrics import cl_dice, dice

TITLE = "SALT vessels: what the loop does"
INTRO = """<h1>From a first guess to a model that has learned</h1>
<p>A server segmented images of a kind its base model had never seen. A reader, played here by the truth, submitted
corrected masks; the adapter was trained on them; the same test images, which were never labelled, were segmented
again.</p>"""


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


def write_page(out: Path, images: Sequence[np.ndarray], truths: list[np.ndarray], stages: Sequence[Stage]) -> Path:
    """Write `out`/index.html, which needs no other file, and `out`/loop.png, its first row; returns the page's path."""
    rows = []
    for i, (image, truth) in enumerate(zip(images, truths, strict=True)):
        rgb = to_rgb(image)
        pictures = [("image", (rgb * 255).astype(np.uint8))]
        pictures += [(stage.name, overlay(rgb, stage.masks[i])) for stage in stages]
        pictures.append(("truth", overlay(rgb, truth)))
        if i == 0:
            Image.fromarray(_strip([picture for _, picture in pictures])).save(out / "loop.png")
        rows.append('<div class="row">' + "".join(figure(picture, name) for name, picture in pictures) + "</div>")
    scores = table(("after", "Dice", "clDice"), [_score_row(stage, truths) for stage in stages])
    curve = f'<h2>Training</h2>\n<img src="{_curve(stages)}" alt="Loss and Dice during the updates" class="curve">'
    style = f" .row {{ grid-template-columns: repeat({len(stages) + 2}, 1fr) }} .curve {{ max-width: 46rem }}\n"
    path = out / "index.html"
    path.write_text(page(TITLE, "\n".join([INTRO, scores, *rows, curve]), style), encoding="utf-8")
    return path


def _strip(pictures: Sequence[np.ndarray], gap: int = 8) -> np.ndarray:
    """Set pictures (H, W, 3) side by side on white."""
    return np.hstack([np.pad(p, ((0, 0), (0, gap), (0, 0)), constant_values=255) for p in pictures])[:, :-gap]


def _score_row(stage: Stage, truths: list[np.ndarray]) -> tuple[str, str, str]:
    score, centreline = stage.scores(truths)
    return stage.name, f"{score:.3f}", f"{centreline:.3f}"


def _curve(stages: Sequence[Stage]) -> str:
    chart = Figure(figsize=(8, 3.2), layout="constrained")
    loss, score = chart.subplots(1, 2)
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
    chart.savefig(buffer, format="png", dpi=130)
    return embedded(buffer.getvalue(), "image/png")
