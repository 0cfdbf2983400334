"""Damaged files of every format: what comes of reading each, and of writing a mask on those that can be read.

Small sound files of each kind are cut short, have bits flipped, or numbers in them, lengths as a rule, replaced. They
are read by a process that is watched: a file must be read, or refused by its name; nobody may wait for more than 10
seconds or lose more than 2 GB of memory. What is cut short, and read all the same, must have all of its pixels.

Run as `python -m benchmarks.fuzz_files`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.imaging.watched import FAULTLESS, outcomes


def main() -> None:
    """Damage and read, and write how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="0 is that of the tests")
    parser.add_argument("--keep", type=Path, help="a folder for the files at which something went wrong")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "fuzz_files.json")
    arguments = parser.parse_args()
    started, most = time.perf_counter(), 0
    by_format, by_damage = dict[str, Counter[str]](), dict[str, Counter[str]]()
    faults = []
    with tempfile.TemporaryDirectory() as folder:
        for case, outcome, memory in outcomes(Path(folder), arguments.cases, arguments.seed):
            kind = outcome if outcome in FAULTLESS else outcome.partition(":")[0]
            by_format.setdefault(case.format, Counter())[kind] += 1
            by_damage.setdefault(case.damage.replace("_", " "), Counter())[kind] += 1
            most = max(most, memory)
            if outcome not in FAULTLESS:
                faults.append({"file": case.name, "damage": case.damage.replace("_", " "), "outcome": outcome})
                print(faults[-1], flush=True)
                if arguments.keep:
                    arguments.keep.mkdir(exist_ok=True)
                    (arguments.keep / f"{len(faults)}-{case.name}").write_bytes(case.content)
    result = {
        "cases": arguments.cases,
        "seed": arguments.seed,
        "seconds": round(time.perf_counter() - started),
        "most memory of the process, MB": most >> 20,
        "by format": {name: dict(sorted(count.items())) for name, count in sorted(by_format.items())},
        "by damage": {name: dict(sorted(count.items())) for name, count in sorted(by_damage.items())},
        "faults": faults,
    }
    print(json.dumps(result, indent=1))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
