"""Result files of many rows, one row a line, so that a difference between two runs is read as lines; means of rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from salt_monailabel.whole_files import written_whole


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a result file; none if there is no such file yet."""
    return json.loads(path.read_text()) if path.exists() else []


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write all rows anew: whoever stops a benchmark between two rows loses none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as file:
        file.write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")


def spread(values: Sequence[float], digits: int) -> str:
    """Return a mean, with the standard deviation if there are several values."""
    mean = f"{np.mean(values):.{digits}f}"
    return f"{mean} ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else mean
