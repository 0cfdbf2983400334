"""How long an image of drawn vessels takes on one core: the generator must not hold up training."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from salt_monailabel.imaging.synthetic import STYLES, synthesize


def main() -> None:
    """Time every style and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "synthetic.json")
    arguments = parser.parse_args()
    times: dict[str, list[float]] = {style: [] for style in (*STYLES, "any")}
    for seed in range(arguments.images):
        for style, durations in times.items():
            started = time.process_time()
            synthesize(seed, arguments.size, None if style == "any" else style)
            durations.append(1000 * (time.process_time() - started))
    rows = {
        style: {"median_ms": round(statistics.median(t), 1), "max_ms": round(max(t), 1)} for style, t in times.items()
    }
    result = {"size": arguments.size, "images": arguments.images, "processor_time": rows}
    print(json.dumps(result, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
