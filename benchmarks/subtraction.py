"""How well vessels stand out of an angiogram before and after subtraction: contrast-to-noise along their course.

A run has no outline of its vessels, so their course is found in each frame: the centre lines of dark ridges in the
logarithm of the raw frame, where no frame before the contrast medium has a ridge. What noise has to say in that favours
the raw frame. The background is a band beside the course, and the same pixels are measured whatever was subtracted:
contrast is the mean of the band minus that of the course, noise the standard deviation in the band. This is measured
over the whole frame and in tiles, of which the median counts: nearly what an eye sees that adapts to brightness.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold, sato
from skimage.morphology import skeletonize

from salt_monailabel.imaging.projection import logarithm, minimum_intensity, peak_opacification, shadow, thin_and_dark
from salt_monailabel.imaging.subtraction import averaged, mask_frame, registered, shifted, subtract

# In pixels: half-widths of vessels, distances of the band from the course, the side of a tile, the shortest course.
WIDTHS, BAND, TILE, SHORTEST = (2, 3, 4), (12, 24), 64, 40
# Of the ridge filter, in logarithms of brightness: where a course is certain, and how far it is followed from there.
CERTAIN, FOLLOWED = 0.06, 0.03
DRAWN = (
    "raw", "mask frame found", "mask frame found, registered elastically", "percentile 75 of all frames",
)  # fmt: skip
CELL = 384


def main() -> None:
    """Measure a run, print and write the figures, and draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="DICOM, X-ray angiography of several frames")
    parser.add_argument("--every", type=int, default=4, help="measure every n-th frame with contrast medium")
    parser.add_argument("--sheet", type=Path, help="a .png to draw")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "subtraction.json")
    arguments = parser.parse_args()
    dataset = pydicom.dcmread(arguments.run)
    frames = dataset.pixel_array
    started = time.process_time()
    before, peak = mask_frame(frames), peak_opacification(frames)
    seconds = {"find mask and peak": time.process_time() - started}
    started = time.process_time()
    subtract(frames, frames[before])
    seconds["subtract all frames"] = time.process_time() - started
    started = time.process_time()
    registered(frames[before], frames[peak])
    seconds["register one frame"] = time.process_time() - started
    filling = thin_and_dark(frames).mean(axis=(1, 2))
    filled = np.flatnonzero(filling >= (filling[before] + filling[peak]) / 2)
    chosen = sorted({peak, *filled[:: arguments.every].tolist()})
    courses = _courses(frames, chosen, before)
    rows, pictures = {}, {}
    for name, images in _ways(frames, chosen, before, dataset):
        pictures[name] = images
        measured = [course.contrast_to_noise(image) for course, image in zip(courses, images, strict=True)]
        rows[name] = {
            place: {
                "peak": round(measured[chosen.index(peak)][place], 2),
                "mean": round(float(np.mean([one[place] for one in measured])), 2),
            }
            for place in ("whole", "tiles")
        }
    result = {
        "run": {"frames": list(frames.shape), "mask tags": _tags(dataset), "mask": before, "peak": peak},
        "measured frames": chosen,
        "processor seconds": {name: round(value, 2) for name, value in seconds.items()},
        "contrast to noise": rows,
        "times the raw frame's": {
            name: {place: round(row[place]["mean"] / rows["raw"][place]["mean"], 1) for place in row}
            for name, row in rows.items()
        },
    }
    print(json.dumps(result, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.sheet:
        _sheet(frames, chosen, before, pictures, courses).save(arguments.sheet)


def _tags(dataset: pydicom.Dataset) -> list[dict[str, str]]:
    items = dataset.get("MaskSubtractionSequence") or []
    return [{element.keyword: str(element.value) for element in item} for item in items]


class Course:
    """Where the vessels of a frame run, and the background beside them."""

    def __init__(self, ridges: np.ndarray, before: np.ndarray, lit: np.ndarray) -> None:
        new = np.where(lit & (ridges > 2 * ndimage.maximum_filter(before, 9)), ridges, 0)
        lines = skeletonize(apply_hysteresis_threshold(new, FOLLOWED, CERTAIN))
        pieces, _ = ndimage.label(lines, np.ones((3, 3)))
        self.vessel = lines & (np.bincount(pieces.ravel()) >= SHORTEST)[pieces]
        distance = ndimage.distance_transform_edt(~self.vessel)
        self.band = lit & (distance >= BAND[0]) & (distance < BAND[1])

    def contrast_to_noise(self, image: np.ndarray) -> dict[str, float]:
        """Measure an image, over the whole and as the median of tiles."""
        tiles = []
        for row, column in np.ndindex(image.shape[0] // TILE, image.shape[1] // TILE):
            tile = np.s_[row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
            if self.vessel[tile].sum() >= TILE // 4 and self.band[tile].sum() >= TILE:
                tiles.append(_ratio(image[tile], self.vessel[tile], self.band[tile]))
        return {"whole": _ratio(image, self.vessel, self.band), "tiles": float(np.median(tiles))}


def _ratio(image: np.ndarray, vessel: np.ndarray, band: np.ndarray) -> float:
    beside = image[band].astype(np.float64)
    return float((beside.mean() - image[vessel].mean()) / max(beside.std(), 1e-6))


def _courses(frames: np.ndarray, chosen: list[int], before: int) -> list[Course]:
    darkest = shadow(frames)

    def ridges(index: int) -> np.ndarray:
        return sato(logarithm(frames[index], darkest), sigmas=WIDTHS, black_ridges=True)

    resting = np.max([ridges(index) for index in range(0, before + 1, 2)], axis=0)
    lit = ndimage.binary_erosion(np.median(frames[:: len(frames) // 8], axis=0) > darkest, iterations=BAND[1])
    return [Course(ridges(index), resting, lit) for index in chosen]


def _ways(
    frames: np.ndarray, chosen: list[int], before: int, dataset: pydicom.Dataset
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what each way makes of the chosen frames, by its name."""
    some = frames[chosen]
    yield "raw", some
    yield "raw, logarithm", logarithm(some, shadow(frames))
    for item in dataset.get("MaskSubtractionSequence") or []:
        if item.MaskOperation == "AVG_SUB":
            numbers = np.atleast_1d(item.MaskFrameNumbers)
            mask = averaged(frames, [int(number) - 1 for number in numbers])
            yield "mask by tag", subtract(some, shifted(mask, *(item.get("MaskSubPixelShift") or (0, 0))))
    yield "mask frame found", subtract(some, frames[before])
    earlier = range(before + 1)
    yield "mean of the frames before", subtract(some, averaged(frames, earlier))
    alike = np.stack([frames[_most_alike(frame, frames[: before + 1])] for frame in some])
    yield "of the frames before the most alike", subtract(some, alike)
    same = np.broadcast_to(frames[before], some.shape)
    yield "mask frame found, registered rigidly", _registered(some, same, elastic=False)
    yield "mask frame found, registered elastically", _registered(some, same)
    yield "the most alike, registered elastically", _registered(some, alike)
    for percentile in (50, 75, 90):
        mask = np.percentile(frames, percentile, axis=0).astype(np.float32)
        yield f"percentile {percentile} of all frames", subtract(some, mask)
    yield "percentile 90 of all frames, registered elastically", _registered(some, np.broadcast_to(mask, some.shape))


def _registered(frames: np.ndarray, masks: np.ndarray, elastic: bool = True) -> np.ndarray:
    moved = [registered(mask, frame, elastic) for mask, frame in zip(masks, frames, strict=True)]
    return subtract(frames, np.stack(moved))


def _most_alike(frame: np.ndarray, masks: np.ndarray) -> int:
    """Return the index of the mask that leaves the smallest differences; vessels are too few to count in a median."""
    return int(np.argmin([np.median(np.abs(subtract(frame[None], mask))) for mask in masks]))


def _sheet(
    frames: np.ndarray, chosen: list[int], before: int, pictures: dict[str, np.ndarray], courses: list[Course]
) -> Image.Image:
    """Draw a column for each of five frames and a row for each of some ways; then projections, and the courses."""
    columns = np.linspace(0, len(chosen) - 1, 5).astype(int)
    rows = [[_cell(pictures[name][column], f"{name}, {chosen[column]}") for column in columns] for name in DRAWN]
    subtracted = subtract(frames, frames[before])
    peaks = [(name, peak_opacification(run), run) for name, run in (("raw", frames), ("subtracted", subtracted))]
    rows.append(
        [_cell(frames[before], f"mask, {before}")]
        + [_cell(run[peak], f"peak of {name}, {peak}") for name, peak, run in peaks]
        + [_cell(minimum_intensity(run), f"darkest of {name}") for name, _, run in peaks]
    )
    rows.append([_cell(np.where(courses[c].vessel, 255, frames[chosen[c]]), "measured course") for c in columns])
    return Image.fromarray(np.vstack([np.hstack(row) for row in rows]))


def _cell(image: np.ndarray, title: str) -> np.ndarray:
    """Draw an image; subtracted ones alike, others between percentiles of what is lit."""
    low, high = (-0.5, 0.3) if image.min() < 0 else np.percentile(image[image > image.min()], (0.5, 99.5))
    scaled = np.clip((image - low) / (high - low), 0, 1) * 255
    cell = Image.fromarray(scaled.astype(np.uint8)).resize((CELL, CELL), Image.Resampling.LANCZOS)
    ImageDraw.Draw(cell).text((4, 2), title, 255, stroke_width=1, stroke_fill=0)
    return np.asarray(cell)


if __name__ == "__main__":
    main()
