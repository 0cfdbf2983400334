"""How often text that is drawn into images is found, and how often there is said to be some where there is none.

One to three lines of names, numbers and dates are drawn at a corner, in letters of 10 to 28 pixels on a shorter side of
512, in white, yellow or black, whichever can be read there; half of them outlined as devices do, a third compressed to
JPEG afterwards. The thresholds were chosen on other drawn images, with other text, and on some of the real ones.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib.font_manager import findfont
from PIL import Image, ImageDraw, ImageFont

from salt_monailabel.imaging import ImageError, read_study, synthesize
from salt_monailabel.imaging.burned_in import has_text

LINES = (
    "SCHMIDT, ERIKA", "Pat.-ID 0071332", "DOB 12-Nov-1938", "2019/06/28 14:07", "Univ.-Augenklinik", "Rossi^Paolo",
    "LAO 30 CRA 20", "Acc# R5567812", "M 081Y", "Dr. van den Berg",
)  # fmt: skip
FONTS = ("DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif", "DejaVu Sans:bold")
# Pixels of a letter on a shorter side of `SIDE`; upper ends of what is told apart.
SMALLEST, LARGEST, SIDE = 10, 28, 512
SIZES = (13, 19, LARGEST)
FIRST_SEED, DRAWN = 5000, 60


def main() -> None:
    """Measure, print and write the figures, and draw a sheet of what was missed and what was a false alarm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path, nargs="*", help="real images, or folders of them")
    parser.add_argument("--sheet", type=Path, help="a .png to draw")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "burned_in.json")
    arguments = parser.parse_args()
    rng = np.random.default_rng(1)
    rows: dict[str, list[tuple[bool, bool, int]]] = defaultdict(list)
    wrong: list[np.ndarray] = []
    looked = 0.0
    for kind, image in (*_drawn(), *_real(arguments.images)):
        with_text, size = _written_on(image, rng)
        started = time.process_time()
        alarm, hit = has_text(image), has_text(with_text)
        looked += time.process_time() - started
        rows[kind].append((alarm, hit, size))
        wrong += [image] * alarm + [with_text] * (not hit)
    result = {
        "kinds": {kind: _figures(found) for kind, found in rows.items()},
        "hit rate by height of letters": {
            f"up to {upper} pixels": _share(
                [hit for found in rows.values() for _, hit, size in found if lower < size <= upper]
            )
            for lower, upper in zip((0, *SIZES), SIZES, strict=False)
        },
        "processor seconds for one image": round(looked / (2 * sum(map(len, rows.values()))), 3),
    }
    print(json.dumps(result, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.sheet:
        cells = [_cell(image) for image in wrong[:40]]
        cells += [np.zeros_like(cells[0])] * (-len(cells) % 8)
        Image.fromarray(np.vstack([np.hstack(cells[i : i + 8]) for i in range(0, len(cells), 8)])).save(arguments.sheet)


def _figures(found: list[tuple[bool, bool, int]]) -> dict[str, float]:
    alarms, hits, _ = zip(*found, strict=True)
    return {"images": len(found), "hit rate": _share(hits), "false alarm rate": _share(alarms)}


def _share(of: object) -> float:
    return round(float(np.mean(of)), 3)


def _drawn() -> Iterator[tuple[str, np.ndarray]]:
    for style in ("angiogram", "fundus", "octa"):
        for seed in range(FIRST_SEED, FIRST_SEED + DRAWN):
            yield f"drawn, {style}", synthesize(seed, SIDE, style).image


def _real(places: list[Path]) -> Iterator[tuple[str, np.ndarray]]:
    for place in places:
        for path in sorted(place.iterdir()) if place.is_dir() else [place]:
            try:
                study = read_study(path)
            except ImageError:
                continue
            # Of a run, a frame in eight.
            for index in range(0, len(study.pixels), 8):
                frame = np.asarray(study.pixels[index]).astype(np.float32)
                scaled = 255 * (frame - frame.min()) / (frame.max() - frame.min())
                yield f"real, {place.parent.name if place.is_dir() else place.stem}", scaled.astype(np.uint8)


def _written_on(image: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Return an image with text on it, and the height of its font in pixels of an image of `SIDE`."""
    rgb = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    picture = Image.fromarray(rgb)
    size = int(rng.integers(SMALLEST, LARGEST + 1))
    pixels = max(SMALLEST, round(size * min(picture.size) / SIDE))
    family, _, weight = str(rng.choice(FONTS)).partition(":")
    font = ImageFont.truetype(findfont(f"{family}:{weight}" if weight else family), pixels)
    lines = [str(line) for line in rng.choice(LINES, rng.integers(1, 4), replace=False)]
    draw, text = ImageDraw.Draw(picture), "\n".join(lines)
    _, _, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
    place = [
        6 if rng.random() < 0.5 else max(6, free) for free in (picture.width - right - 6, picture.height - bottom - 6)
    ]
    under = rgb[int(place[1]) : int(place[1] + bottom), int(place[0]) : int(place[0] + right)].mean()
    ends = [(255, 255, 255), (255, 255, 0)] if under < 140 else [(0, 0, 0)]
    fill = ends[int(rng.integers(len(ends)))]
    outline = tuple(255 - value for value in fill)
    draw.multiline_text(tuple(place), text, fill, font, stroke_width=int(rng.integers(2)), stroke_fill=outline)
    if rng.random() < 1 / 3:
        buffer = io.BytesIO()
        picture.save(buffer, "jpeg", quality=int(rng.integers(80, 96)))
        picture = Image.open(buffer)
    written = np.asarray(picture)
    # Gray images hold gray text.
    return (np.asarray(picture.convert("L"))[..., None] if image.shape[-1] == 1 else written), size


def _cell(image: np.ndarray) -> np.ndarray:
    rgb = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    return np.asarray(Image.fromarray(rgb).resize((320, 320)))


if __name__ == "__main__":
    main()
