"""What was measured, drawn over the image, to be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from salt_monailabel.imaging import to_rgb
from salt_monailabel.whole_files import written_whole

from .measurements import Measurements
from .profile import Profile

# Inches: of the image's longer side, at least of its shorter, of a profile's height, and of what stands beside.
SIDE, SHORTEST, PROFILE, BESIDE, DPI = 9.0, 2.0, 2.2, 1.0, 150
GROUND, INK, MARK = "#111111", "#e8e8e8", "#35e0ff"
# From purple on: what is darker is not seen on gray.
COLOURS = ListedColormap(colormaps["plasma"](np.linspace(0.22, 1, 256)))


def write_picture(pixels: np.ndarray, measured: Measurements, path: Path, profile: Profile | None = None) -> None:
    """Write the image in gray, with the centre lines coloured by diameter and the branching points as circles.

    Stretches without a diameter are gray. A profile is drawn below, its ends named A and B, its narrowest point marked
    in both.

    Parameters
    ----------
    pixels : ndarray, (H, W, 1) or (H, W, 3)
        The image, or the mask where there is none. Of colours, green is shown: vessels of the retina stand out in it.
    measured : Measurements
        Of a mask of this image.
    path : Path
        A .png.
    profile : Profile, optional
        Between two places of the same mask.

    Raises
    ------
    OSError
        If there is no room or no permission.
    """
    sides = np.multiply(pixels.shape[:2], measured.spacing)
    height, width = np.maximum(SIDE * sides / sides.max(), SHORTEST)
    below = 0 if profile is None else PROFILE
    figure = Figure((width + BESIDE, height + below), dpi=DPI, facecolor=GROUND, layout="constrained")
    ratios = [height] if profile is None else [height, below]
    axes = figure.subplots(len(ratios), 1, squeeze=False, height_ratios=ratios)[:, 0]
    # Dimmed, so that the lines stand out where the image is bright.
    green, aspect = to_rgb(pixels)[..., 1], measured.spacing[0] / measured.spacing[1]
    axes[0].imshow(green, cmap="gray", vmin=0, vmax=1.35, aspect=aspect)
    axes[0].set_axis_off()
    _draw_lines(axes[0], measured)
    if profile is not None:
        _draw_way(axes[0], profile)
        _plot_profile(axes[1], profile)
    with written_whole(path, durable=False) as partial:
        figure.savefig(partial, format="png")


def _draw_lines(axes: Axes, measured: Measurements) -> None:
    pairs = [np.stack([s.points[:-1, ::-1], s.points[1:, ::-1]], axis=1) for s in measured.segments]
    steps = np.concatenate([np.zeros((0, 2, 2)), *pairs])
    across = np.concatenate([np.zeros(0), *((s.diameters[:-1] + s.diameters[1:]) / 2 for s in measured.segments)])
    known = ~np.isnan(across)
    axes.add_collection(LineCollection(list(steps[~known]), colors="#bbbbbb", linewidths=0.8))
    if known.any():
        # A few extremes would leave one colour to all others.
        limits = Normalize(*np.percentile(across[known], (2, 98)))
        lines = LineCollection(list(steps[known]), cmap=COLOURS, norm=limits, linewidths=1.6, capstyle="round")
        lines.set_array(across[known])
        axes.add_collection(lines)
        bar = axes.figure.colorbar(lines, ax=axes, fraction=0.035, pad=0.015, extend="both")
        bar.set_label(f"diameter ({measured.unit})", color=INK)
        bar.ax.tick_params(colors=INK)
    y, x = measured.branching_points.T
    axes.scatter(x, y, s=14, facecolors="none", edgecolors="white", linewidths=0.7, zorder=3)


def _draw_way(axes: Axes, profile: Profile) -> None:
    y, x = profile.points.T
    axes.plot(x, y, color=MARK, linewidth=4.5, alpha=0.55, solid_capstyle="round", zorder=1.5)
    axes.plot(x[profile.narrowest], y[profile.narrowest], "o", mfc="none", mec=MARK, ms=16, mew=2)
    for name, end in (("A", 0), ("B", -1)):
        axes.text(x[end], y[end], name, color="white", weight="bold", ha="center", va="center", fontsize=9, zorder=4,
                  bbox={"boxstyle": "circle,pad=0.2", "facecolor": MARK, "edgecolor": "none"})  # fmt: skip


def _plot_profile(axes: Axes, profile: Profile) -> None:
    axes.set_facecolor(GROUND)
    axes.plot(profile.positions, profile.diameters, color=INK, linewidth=1.4)
    axes.axhline(profile.reference, color=INK, linewidth=0.8, linestyle="--")
    axes.plot(profile.positions[profile.narrowest], profile.min_diameter, "o", mfc="none", mec=MARK, ms=10, mew=2)
    narrowest, reference = (f"{width:.2f} {profile.unit}" for width in (profile.min_diameter, profile.reference))
    title = f"narrowest {narrowest}, reference {reference} (dashed): diameter stenosis {profile.stenosis:.0f} %"
    axes.set_title(title, color=INK, fontsize=10, loc="left")
    axes.set_xlabel(f"A to B ({profile.unit})", color=INK)
    axes.set_ylabel(f"diameter ({profile.unit})", color=INK)
    axes.set_xlim(0, profile.positions[-1])
    axes.set_ylim(bottom=0)
    axes.tick_params(colors=INK)
    for side in axes.spines.values():
        side.set_color("#666666")
