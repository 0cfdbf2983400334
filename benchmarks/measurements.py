"""How far measured diameters of tubes are from how wide they were drawn, and how long a retina takes."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from salt_monailabel.imaging import read_mask, read_study
from salt_monailabel.measure import Profile, measure, profile

WIDTHS = (3, 4, 5, 6, 8, 10, 12, 15, 20)
ANGLES = 24
# Radii of the middle of the tube, in pixels; a retinal vessel rarely turns faster than the last.
RADII = (np.inf, 200.0, 60.0)
# At these, in degrees, the rows of pixels along a straight wall begin and end all at once.
STAIRLESS = (0.0, 45.0)
# Samples along the side of a pixel; of an odd number, half is never covered.
FINER = 9


def tube(
    width: float,
    angle: float,
    radius: float = np.inf,
    length: float = 150.0,
    shift: tuple[float, float] = (0.0, 0.0),
    narrowing: float = 0.0,
) -> np.ndarray:
    """Draw a straight or curved tube: a mask (H, W) of the pixels that are at least half covered.

    Parameters
    ----------
    width : float
        In pixels.
    angle : float
        Of its middle, in degrees.
    radius : float
        Of the circle its middle line is part of; a full turn at most.
    length : float
        Of its middle line, from one straight end to the other.
    shift : tuple of float
        Row and column by which its middle lies off the middle of the mask.
    narrowing : float
        By what share it is narrower in its middle; a Gaussian whose standard deviation is the width.
    """
    size = int(length + width) + 12
    fine = (np.arange(size * FINER) + 0.5) / FINER - size / 2
    y, x = fine[:, None] - shift[0], fine[None, :] - shift[1]
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = x * cosine + y * sine, y * cosine - x * sine
    if np.isfinite(radius):
        along, across = np.arctan2(along, radius - across) * radius, np.hypot(along, radius - across) - radius
    half = width / 2 * (1 - narrowing * np.exp(-((along / width) ** 2) / 2))
    covered = (abs(across) <= half) & (abs(along) <= min(length, 2 * np.pi * radius) / 2)
    return covered.reshape(size, FINER, size, FINER).mean(axis=(1, 3)) >= 0.5


def main() -> None:
    """Measure tubes of every width, angle and bend, and write how far off that is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mask", type=Path, nargs="?", help="A mask to be timed on.")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "measurements.json")
    arguments = parser.parse_args()
    chance = np.random.default_rng(0)
    rows = []
    for width in WIDTHS:
        for bend in ("straight", "curved"):
            radii = [r for r in RADII if np.isinf(r) == (bend == "straight")]
            tubes = [
                _errors(width, angle, radius, (chance.uniform(-0.5, 0.5), chance.uniform(-0.5, 0.5)))
                for radius in radii
                for angle in np.arange(ANGLES) * 180 / ANGLES
            ]
            mean, point, drawn, length = np.array(tubes).T
            rows.append({
                "width": width,
                "tubes": bend,
                "bias": round(float(mean.mean()), 3),
                "mean_error": round(float(abs(mean).mean()), 3),
                "largest_error_of_a_tube": round(float(abs(mean).max()), 3),
                "mean_error_of_a_point": round(float(point.mean()), 3),
                "mean_error_of_the_mask_itself": round(float(abs(drawn).mean()), 3),
                "largest_error_of_the_mask_itself": round(float(abs(drawn).max()), 3),
                "mean_error_of_the_length_percent": round(float(100 * abs(length).mean()), 2),
            })  # fmt: skip
    narrowed = [_narrowed(width, chance) for width in WIDTHS]
    alike = [
        {"width": width, **{f"at {angle:g} degrees": _alike(width, angle) for angle in STAIRLESS}} for width in (3, 20)
    ]
    result: dict[str, object] = {
        "unit": "pixels",
        "angles": ANGLES,
        "tubes": rows,
        "narrowed": narrowed,
        "how much wider the tube of the same mask may be": alike,
    }
    if arguments.mask is not None:
        result["seconds"] = _seconds(arguments.mask)
    print(json.dumps(result, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _errors(width: float, angle: float, radius: float, shift: tuple[float, float]) -> tuple[float, float, float, float]:
    """Return the error of a tube's mean diameter, the mean error at a point, that of the mask, and of the length.

    A mask is itself as much wider or narrower than what it was drawn from as its pixels make it: its area over its
    length, which no measurement can see behind.
    """
    length = 150.0
    mask = tube(width, angle, radius, length, shift)
    measured = measure(mask)
    longest = max(measured.segments, key=lambda segment: segment.length)
    known = longest.diameters[~np.isnan(longest.diameters)]
    # The centre line ends about a radius before the tube does.
    ends = length - width
    return (
        float(known.mean()) - width,
        float(abs(known - width).mean()),
        float(mask.sum()) / length - width,
        longest.length / ends - 1,
    )


def _alike(width: float, angle: float) -> float:
    """Return how much wider than `width` a straight tube may be that has the very same mask, if both may lie anywhere.

    No reading of that mask can be nearer to both than half of it.
    """
    y, x = np.cos(np.radians(angle)), -np.sin(np.radians(angle))
    masks = {
        wider: {
            _cropped(tube(wider, angle, length=60.0, shift=(y * shift, x * shift))) for shift in np.arange(0, 1, 1 / 16)
        }
        for wider in np.arange(width, width + 2, 0.1)
    }
    return round(float(max(wider for wider in masks if masks[wider] & masks[width]) - width), 1)


def _cropped(mask: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    """Return what tells a mask from all others but those moved by whole pixels."""
    rows, columns = np.nonzero(mask)
    drawn = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return drawn.shape, drawn.tobytes()


def _narrowed(width: float, chance: np.random.Generator) -> dict[str, float]:
    """Return how far the smallest diameter and the percent stenosis are off, of tubes narrowed by half and by nothing.

    The smallest of many diameters is a little too small, so there is some stenosis where there is none.
    """
    found: dict[float, list[Profile]] = {0.5: [], 0.0: []}
    for narrowing, profiles in found.items():
        for angle in np.arange(ANGLES) * 180 / ANGLES:
            shift = (chance.uniform(-0.5, 0.5), chance.uniform(-0.5, 0.5))
            measured = measure(tube(width, angle, RADII[1], 240.0, shift, narrowing))
            longest = max(measured.segments, key=lambda segment: segment.length)
            (y, x), (last_y, last_x) = longest.points[[0, -1]].tolist()
            profiles.append(profile(measured, (x, y), (last_x, last_y)))
    smallest = np.array([p.min_diameter for p in found[0.5]]) - width / 2
    stenosis = np.array([p.stenosis for p in found[0.5]]) - 50
    return {
        "width": width,
        "bias_of_the_smallest_diameter": round(float(smallest.mean()), 3),
        "mean_error_of_the_smallest_diameter": round(float(abs(smallest).mean()), 3),
        "bias_of_the_stenosis_percent": round(float(stenosis.mean()), 2),
        "mean_error_of_the_stenosis_percent": round(float(abs(stenosis).mean()), 2),
        "stenosis_where_there_is_none_percent": round(float(np.mean([p.stenosis for p in found[0.0]])), 2),
    }


def _seconds(path: Path) -> float:
    mask = read_mask(path, read_study(path))[0] > 0
    # The first call compiles.
    measure(mask)
    started = time.process_time()
    measure(mask)
    return round(time.process_time() - started, 2)


if __name__ == "__main__":
    main()
