"""Centre lines of vessels and the graph they form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from skimage.morphology import skeletonize

EIGHT = np.ones((3, 3), bool)
# Of the centre lines, in pixels: at least so much, and half a radius in wide vessels, whose skeleton strays farther.
SMOOTHING = 2.0
# A pixel with a neighbour above and one to the right, and none opposite, links nothing these two do not.
_CORNER = np.array([[0, 1, 0], [0, 1, 1], [0, 0, 0]]), np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]])


@dataclass(frozen=True)
class CentreLines:
    """The centre lines of a mask as a graph; all places are (row, column) in pixels.

    Attributes
    ----------
    vertices : ndarray of float, (V, 2)
        Where lines end or meet.
    lines : tuple of ndarray of float, (N, 2) each
        From vertex to vertex, smoothed, about a pixel from point to point.
    joined : ndarray of int, (L, 2)
        The vertices each line begins and ends at; the same one if it is closed.
    """

    vertices: np.ndarray
    lines: tuple[np.ndarray, ...]
    joined: np.ndarray

    @property
    def degrees(self) -> np.ndarray:
        """How many ends of lines meet at each vertex: 1 at a free end, 3 or more at a branching point."""
        return np.bincount(self.joined.ravel(), minlength=len(self.vertices))


def centre_lines(mask: np.ndarray) -> CentreLines:
    """Find the centre lines of a mask.

    They are its skeleton, thinned to one pixel and traced. Where vessels cross or part three ways, a skeleton has two
    branching points side by side: they are one if the largest discs around them touch, for no wall is between. Spurs
    are pruned: branches that end within sqrt(2) r + 1 pixels of a vessel of radius r, as far as the corners of a square
    end are from its middle. So is the tail of a line that leads into a corner; it ends in the middle of the last disc,
    about a radius before the vessel does. A dot has no line.

    Parameters
    ----------
    mask : ndarray of bool, (H, W)

    Returns
    -------
    CentreLines
    """
    depth = ndimage.distance_transform_edt(mask)
    skeleton = _thinned(skeletonize(mask))
    while True:
        paths, places = _traced(skeleton, depth)
        if not paths:
            return CentreLines(np.zeros((0, 2)), (), np.zeros((0, 2), int))
        count = int(places.max())
        joined = np.array([[places[tuple(path[0])], places[tuple(path[-1])]] for path in paths]) - 1
        degrees = np.bincount(joined.ravel(), minlength=count)
        # What ndimage.maximum returns, without sorting the whole image.
        radii = np.zeros(count)
        np.maximum.at(radii, places[places > 0] - 1, depth[places > 0])
        spurs = [path for path, ends in zip(paths, joined, strict=True) if _is_spur(path, degrees[ends], radii[ends])]
        if not spurs:
            break
        rows, columns = np.concatenate(spurs).T
        forks = np.isin(places[rows, columns], np.flatnonzero(degrees > 2) + 1)
        skeleton[rows[~forks], columns[~forks]] = False
        skeleton = _thinned(skeletonize(skeleton))
    vertices = np.reshape(ndimage.center_of_mass(places > 0, places, np.arange(1, count + 1)), (-1, 2))
    lines = []
    for path, ends in zip(paths, joined, strict=True):
        free = degrees[ends] == 1
        trimmed = _trimmed(path, free, depth)
        vertices[ends[free]] = trimmed[[0, -1]][free]
        lines.append(_smoothed(trimmed, vertices[ends], degrees[ends], depth))
    return CentreLines(vertices, tuple(lines), joined)


def arc(points: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Return how far along a line each of its points (N, 2) lies, in units of the spacing (row, column): (N,)."""
    steps = np.diff(points, axis=0) * spacing
    return np.concatenate([[0.0], np.cumsum(np.hypot(*steps.T))])


def is_closed(ends: np.ndarray, degrees: np.ndarray) -> bool:
    """Whether a line that joins vertices `ends`, at each of which `degrees` ends of lines meet, is a ring."""
    return bool(ends[0] == ends[1] and degrees[0] == 2)


def _thinned(skeleton: np.ndarray) -> np.ndarray:
    """Remove corners of stairs, which would look like branching points, and pixels without a neighbour."""
    thin = skeleton.copy()
    for turn in range(4):
        thin &= ~ndimage.binary_hit_or_miss(thin, *(np.rot90(part, turn) for part in _CORNER))
    return thin & (ndimage.convolve(thin.astype(np.uint8), EIGHT.astype(np.uint8), mode="constant") > 1)


def _traced(skeleton: np.ndarray, depth: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the pixels (N, 2) of each path between ends and branching points, and an image of these, numbered from 1.

    Neighbouring pixels at which lines branch are one point; paths within it, and around a single pixel, are left out.
    """
    if not skeleton.any():
        return [], np.zeros(skeleton.shape, int)
    # It compiles its walk when it is first used, for seconds.
    from skan import Skeleton

    graph = Skeleton(skeleton, keep_images=False)
    paths = [graph.path_coordinates(number) for number in range(graph.n_paths)]
    ends, forks = np.zeros(skeleton.shape, bool), np.zeros(skeleton.shape, bool)
    ends[tuple(np.concatenate([path[[0, -1]] for path in paths]).T)] = True
    forks[tuple(graph.coordinates[graph.degrees > 2].T)] = True
    for path in paths:
        first, last = map(tuple, path[[0, -1]])
        if forks[first] and forks[last] and arc(path, (1, 1))[-1] <= depth[first] + depth[last]:
            forks[tuple(path.T)] = True
    places, count = ndimage.label(forks, EIGHT)
    alone = ends & ~forks
    places[alone] = count + 1 + np.arange(alone.sum())

    def within(path: np.ndarray) -> bool:
        numbers = places[tuple(path.T)]
        return bool(numbers[0] == numbers[-1] and (len(path) <= 5 or numbers.all()))

    return [path for path in paths if not within(path)], places


def _corner(radius: float) -> float:
    """Return how far the corners of the square end of a vessel are from its middle, in pixels, with one to spare."""
    return np.sqrt(2) * radius + 1


def _is_spur(path: np.ndarray, degrees: np.ndarray, radii: np.ndarray) -> bool:
    if degrees.min() != 1 or degrees.max() < 3:
        return False
    return bool(arc(path, (1, 1))[-1] <= _corner(radii[degrees.argmax()]))


def _trimmed(path: np.ndarray, free: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Cut a path (N, 2) off at the largest disc near each end that is free, so that it does not bend into a corner."""
    position, radii = arc(path, (1, 1)), depth[tuple(path.T)]
    reach = min(_corner(float(np.median(radii))), position[-1] / 2)
    first = radii[position <= reach].argmax() if free[0] else 0
    last = len(path) - (radii[::-1][position[::-1] >= position[-1] - reach].argmax() if free[1] else 0)
    return path[first:last] if last - first > 1 else path


def _smoothed(path: np.ndarray, ends: np.ndarray, degrees: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Smooth a path (N, 2); it keeps its ends, or stays closed."""
    sigma = max(SMOOTHING, float(np.median(depth[tuple(path.T)])) / 2)
    points = path.astype(float)
    if np.array_equal(path[0], path[-1]) and degrees[0] == 2:
        ring = ndimage.gaussian_filter1d(points[:-1], sigma, axis=0, mode="wrap")
        return np.concatenate([ring, ring[:1]])
    points[[0, -1]] = ends
    # Mirrored in its ends, a line passes through them.
    margin = int(4 * sigma) + 1
    padded = np.pad(points, ((margin, margin), (0, 0)), mode="reflect", reflect_type="odd")
    return ndimage.gaussian_filter1d(padded, sigma, axis=0)[margin:-margin]
