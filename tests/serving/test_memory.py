"""What a thread frees is kept for what it needs next."""

from __future__ import annotations

import subprocess
import sys

import pytest

ASK = """
import resource, sys, threading
import numpy as np
from salt_monailabel.serving.memory import keep_freed_memory

if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit("no mallopt")
faults = []

def work():
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        held = [np.ones(20 << 20, np.uint8) for _ in range(8)]
        del held
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
print(faults[-1])
"""


def faults(how: str) -> int:
    """Return how often a thread had to ask for a page of what it had freed just before."""
    done = subprocess.run([sys.executable, "-c", ASK, how], capture_output=True, text=True, timeout=120)
    if "no mallopt" in done.stderr:
        pytest.skip("this C library cannot be told to keep what is freed")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_what_a_thread_frees_is_kept() -> None:
    assert faults("kept") < 0.1 * faults("returned")
