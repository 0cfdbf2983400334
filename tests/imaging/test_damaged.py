"""Damaged files are read, or refused by name: nothing else comes of them, whatever the damage."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from salt_monailabel.imaging import read_study

from .damaged import whole_files
from .watched import FAULTLESS, outcomes

CASES = 200


def test_what_is_damaged_was_whole(tmp_path: Path) -> None:
    assert all(np.ptp(read_study(path).frame(0)) for path in whole_files(tmp_path / "whole").values())


def test_a_damaged_file_is_read_or_refused_by_name(tmp_path: Path) -> None:
    found = list(outcomes(tmp_path, CASES))
    assert [(case[:3], outcome) for case, outcome, _ in found if outcome not in FAULTLESS] == []
    # All of one kind would say that nothing was damaged, or everything beyond recognition.
    assert all(sum(outcome == kind for _, outcome, _ in found) > CASES // 10 for kind in FAULTLESS)
