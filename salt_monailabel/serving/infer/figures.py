"""Measurements of a mask as a request is answered with: JSON, in which what is not known is null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from salt_monailabel.imaging import Study
from salt_monailabel.measure import Measurements, Profile, measure, summary_row


def measured(mask: np.ndarray, labels: Sequence[str], study: Study) -> list[dict[str, Any]]:
    """Return the summary of each label's vessels on each frame that has some.

    Parameters
    ----------
    mask : ndarray of uint8, (frames, rows, columns)
    labels : sequence of str
        Names of its values from 1.
    study : Study
    """
    return [
        summary(measure_frame(mask[k] == value, study), int(k), name)
        for k in np.flatnonzero(mask.any(axis=(1, 2)))
        for value, name in enumerate(labels, start=1)
        if (mask[k] == value).any()
    ]


def measure_frame(vessel: np.ndarray, study: Study) -> Measurements:
    """Measure the vessels of one frame, (rows, columns), within the field of view."""
    return measure(vessel, study.spacing, study.visible)


def summary(found: Measurements, frame: int, label: str) -> dict[str, Any]:
    """Return the summary of the vessels of one frame."""
    row = {"frame": frame, "label": label, **summary_row(found)}
    return {key: _known(value) for key, value in row.items()}


def curve(found: Profile) -> dict[str, Any]:
    """Return a profile; places are [i, j]."""
    return {
        "positions": found.positions.tolist(),
        "diameters": [_known(diameter) for diameter in found.diameters.tolist()],
        "points": found.points[:, ::-1].tolist(),
        "narrowest": found.narrowest,
        "reference": found.reference,
        "min_diameter": found.min_diameter,
        "stenosis": found.stenosis,
        "unit": found.unit,
    }


def _known(value: Any) -> Any:
    return None if value != value else value
