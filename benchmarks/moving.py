"""Drawn coronary runs with their truth: a beating heart, and contrast medium that arrives and leaves."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, shift

from salt_monailabel.imaging.synthetic.angiogram import SIDE, chest, coronary
from salt_monailabel.imaging.synthetic.annotator import Annotator
from salt_monailabel.imaging.synthetic.drawing import per_tree, shadow
from salt_monailabel.imaging.synthetic.raster import View
from salt_monailabel.imaging.synthetic.tree import TRAVEL, grow

# Frames of a heart beat, 75 a minute at 15 frames a second; by how much it contracts and turns; and by how many pixels
# breath moves everything in a frame.
BEAT, CONTRACTION, TWIST, DRIFT = 12, 0.06, 0.04, 0.3
# The frame contrast medium arrives at, and for how many it flows in; how far it gets in a frame and the length of its
# front, in pixels; and the share of it that is left a frame later once none flows in.
ARRIVES, INFLOW, SPEED, FRONT, LEFT = 3, 12, 60, 80, 0.9
# Deviation of the noise of a white pixel, before it spreads over so many pixels.
NOISE, SPREAD = 0.1, 0.6
# Strength below which nobody marks a vessel.
SEEN = 0.06


def drawn_run(seed: int, frames: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a run.

    Returns
    -------
    run : ndarray of uint8, (frames, size, size, 1)
    truth : ndarray of bool, (frames, size, size)
    """
    rng = np.random.default_rng(seed)
    segments = grow(rng, SIDE, *coronary(rng), 2400)
    view = View(size, size / SIDE)
    ground, strength = chest(rng, view), per_tree(rng, segments, 0.4, 0.7)
    sigma, fading = rng.uniform(0.6, 1.0), rng.uniform(0.3, 1.0)
    run, truth = [], []
    for t in range(frames):
        # Strengths in one more column, for what lies outside of the picture is left out.
        placed = view.place(np.column_stack([_beating(segments, t), strength * _filling(segments, t)]))
        filled = placed[placed[:, -1] > 0]
        vessels = shadow(filled, size, filled[:, -1], fading, sigma) if len(filled) else 0
        # The chest moves with the breath only.
        image = shift(ground, (DRIFT * t, 0), order=1, mode="nearest") * (1 - vessels)
        noise = gaussian_filter(rng.standard_normal((size, size)), SPREAD) * np.sqrt(np.clip(image, 0, 1))
        run.append((np.clip(image + NOISE * noise, 0, 1) * 255).astype(np.uint8)[..., None])
        truth.append(Annotator().mark(filled[filled[:, -1] > SEEN], size) > 0)
    return np.stack(run), np.stack(truth)


def _beating(segments: np.ndarray, t: int) -> np.ndarray:
    """Return where the vessels are in frame `t`."""
    phase = (1 - np.cos(2 * np.pi * t / BEAT)) / 2
    scale, angle = 1 - CONTRACTION * phase, TWIST * phase
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    ends = segments[:, :4].reshape(-1, 2)
    moved = segments.copy()
    moved[:, :4] = ((ends - ends.mean(axis=0)) @ turn.T + ends.mean(axis=0) + [0, DRIFT * t]).reshape(-1, 4)
    return moved


def _filling(segments: np.ndarray, t: int) -> np.ndarray:
    """Return how much contrast medium is in each vessel in frame `t`, (N,) in 0..1."""
    arrived = np.clip((SPEED * (t - ARRIVES) - segments[:, TRAVEL]) / FRONT, 0, 1)
    return arrived * LEFT ** max(0, t - ARRIVES - INFLOW)
