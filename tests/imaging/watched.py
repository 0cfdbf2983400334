"""A process that reads damaged files, and may die, hang or swell of it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from salt_monailabel.imaging import ImageError, Study, read_study, to_rgb, write_mask

from .damaged import Case, cases, whole_files

# Seconds and bytes that no file may take; and the address space of the reader, so that no other program goes without.
LONGEST, MOST, SPACE = 10, 2 << 30, 12 << 30
FAULTLESS = ("read", "refused")


def absurd(study: Study) -> str:
    """Return what cannot be true of a study, or nothing."""
    numbers = [*study.geometry.spacing, *study.geometry.origin, *study.geometry.direction, *(study.spacing or ())]
    times = study.acquisition.times
    if 0 in study.pixels.shape or study.pixels.shape[-1] not in (1, 3):
        return f"pixels of {study.pixels.shape}"
    if study.geometry.shape != study.shape:
        return f"a geometry of {study.geometry.shape} and frames of {study.shape}"
    if not np.isfinite(numbers).all() or min(study.geometry.spacing) <= 0:
        return f"the geometry {study.geometry}"
    if times and (len(times) != study.shape[0] or not np.isfinite(times).all() or (np.diff(times) < 0).any()):
        return f"the times {times}"
    if not all(np.isfinite(to_rgb(frame)).all() for frame in study.frames()):
        return "pixels that are not numbers"
    return ""


def judged(path: Path, whole: Path, damage: str) -> str:
    """Read a file, and write a mask on it; return 'read', 'refused', or what is wrong about either."""
    try:
        study = read_study(path)
        strange = absurd(study)
    except ImageError as error:
        return "refused" if path.name in str(error) else f"refused without its name: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:300]
    if strange:
        return f"absurd: {strange}"
    if damage == "cut_short" and not _alike(study, read_study(whole)):
        return "absurd: cut short, and read as if it were not"
    try:
        write_mask(np.ones(study.shape, np.uint8), study, path.with_name("mask.nrrd"))
    except Exception as error:
        return f"no mask: {type(error).__name__}: {error}"[:300]
    return "read"


def _alike(study: Study, other: Study) -> bool:
    return study.shape == other.shape and all(
        np.array_equal(here, there) for here, there in zip(study.frames(), other.frames(), strict=True)
    )


class Reader:
    """A process that reads one file after the other, and another one when it has ended."""

    def __init__(self) -> None:
        self._process: Any = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def judge(self, path: Path, whole: Path, damage: str) -> tuple[str, int]:
        """Return what comes of reading a file, and the most memory of the process meanwhile, in bytes."""
        if self._process is None:
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            theirs.close()
            self._pipe.recv()
        self._pipe.send((path, whole, damage))
        try:
            outcome, memory = self._pipe.recv() if self._pipe.poll(LONGEST) else (f"hangs: more than {LONGEST} s", 0)
        except EOFError:
            self._process.join()
            outcome, memory = f"dies: {self._process.exitcode}", 0
        if memory > MOST:
            outcome = f"swells: {memory >> 20} MB"
        # What was lost to one file is no fault of the next.
        if outcome.startswith(("hangs", "dies", "swells")):
            self._end()
        return outcome, memory

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(pipe: Any) -> None:
    # The libraries complain there of what they read.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    pipe.send("ready")
    while True:
        try:
            path, whole, damage = pipe.recv()
        except EOFError:
            return
        _forget_peak()
        outcome = judged(path, whole, damage)
        pipe.send((outcome, _peak()))


def _forget_peak() -> None:
    """Have the most memory counted from now on, where the system can."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def outcomes(folder: Path, count: int, seed: int = 0) -> Iterator[tuple[Case, str, int]]:
    """Yield damaged files, what came of reading each, and the memory it took."""
    whole = whole_files(folder / "whole")
    with Reader() as reader:
        for case in cases(whole, count, seed):
            path = folder / f"damaged-{case.name}"
            path.write_bytes(case.content)
            outcome, memory = reader.judge(path, whole[case.name], case.damage)
            yield case, outcome, memory
