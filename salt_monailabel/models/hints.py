"""Clicks and a previous mask drawn as pictures, for the detail head to see where a user points."""

from __future__ import annotations

import torch
from torch import Tensor

CHANNELS = 3
# Deviation of the spot a click is drawn as, in pixels: about the radius of a thin vessel.
SPOT = 2.5


def draw_hints(
    size: int, points: Tensor | None, point_labels: Tensor | None, masks: Tensor | None, count: int
) -> Tensor:
    """Draw prompts at native resolution.

    SAM's prompt tokens reach the image at stride 16, too coarse to tell one thin vessel from the next.

    Parameters
    ----------
    size : int
        Side of the picture in pixels.
    points : Tensor, (B, N, 2), optional
        Clicks as (x, y).
    point_labels : Tensor, (B, N), optional
        1 foreground, 0 background, -1 padding.
    masks : Tensor, (B, 1, size, size), optional
        Probabilities of a previous mask.
    count : int
        B.

    Returns
    -------
    Tensor, (B, 3, size, size)
        Foreground and background clicks as spots in 0..1; the previous mask in -1..1, zero where there is none.
    """
    device = next((t.device for t in (points, masks) if t is not None), torch.device("cpu"))
    hints = torch.zeros(count, CHANNELS, size, size, device=device)
    if points is not None and point_labels is not None:
        along = torch.arange(size, device=device)
        # Separable: a spot is the product of its profiles along both axes.
        columns, rows = (torch.exp(-(((along - points[..., i, None]) / SPOT) ** 2) / 2) for i in (0, 1))
        spots = rows[..., :, None] * columns[..., None, :]
        for channel, kind in enumerate((1, 0)):
            hints[:, channel] = (spots * (point_labels == kind)[..., None, None]).amax(dim=1)
    if masks is not None:
        hints[:, 2:] = 2 * masks - 1
    return hints
