"""Memory that is freed is kept for the next prediction, not returned to the system and asked for again."""

from __future__ import annotations

import ctypes
import sys

# Of the C library's `mallopt`; see malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
# The most the C library takes, and about what one prediction frees.
LARGEST, KEPT = 32 << 20, 512 << 20


def keep_freed_memory() -> bool:
    """Have all threads share one heap that keeps what they free; return whether the C library can.

    A thread has a heap of its own otherwise, which returns what each layer frees, and every page of it is asked for and
    zeroed again for the next one. That is a tenth of the time of a prediction in another thread than the first.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    settings = ((ARENA_MAX, 1), (MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, KEPT))
    return mallopt is not None and all(mallopt(name, value) for name, value in settings)
