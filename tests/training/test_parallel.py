"""Several processes: each draws images of its own, and all take the same step."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from salt_monailabel.models import VesselSam
from salt_monailabel.training.drawn import DrawnVessels
from salt_monailabel.training.parallel import place, together
from salt_monailabel.training.pretrain import LABELS, PretrainConfig, pretrain

CONFIG = PretrainConfig(steps=2, batch_size=4, crops=2, image_size=96, warmup=0, workers=0, clicks=0, boxes=0, blind=0)


def train(model: VesselSam, folder: Path) -> None:
    """Train a copy and keep the weights under the number of the process."""
    own = deepcopy(model)
    pretrain(own, replace(CONFIG, coarse=0.5), torch.device("cpu"), folder / "base.pt")
    torch.save(own.state_dict(), folder / f"{place()[0]}.pt")


def fail_in_one(folder: Path) -> None:
    """Fail in the second process only."""
    if place()[0] == 1:
        raise ValueError("the disk is full")


def test_two_processes_come_to_the_weights_one_comes_to_with_the_whole_batch(
    tiny_sam: VesselSam, tmp_path: Path
) -> None:
    two, one = tmp_path / "two", tmp_path / "one"
    two.mkdir()
    one.mkdir()
    together(2, train, tiny_sam, two)
    together(1, train, tiny_sam, one)
    first, second, alone = (torch.load(path, weights_only=True) for path in (two / "0.pt", two / "1.pt", one / "0.pt"))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())
    before = tiny_sam.state_dict()
    name = "image_encoder.neck.0.weight"
    # AdamW's first steps have the size of the rate, whatever the gradient; what is left is rounding.
    assert (first[name] - alone[name]).abs().mean() < 0.1 * (first[name] - before[name]).abs().mean()


def test_processes_that_cannot_share_a_batch_say_so(
    tiny_sam: VesselSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("salt_monailabel.training.pretrain.place", lambda: (0, 3))
    with pytest.raises(ValueError, match="3 processes cannot share batches of 4"):
        pretrain(tiny_sam, CONFIG, torch.device("cpu"), tmp_path / "base.pt")


def test_a_failure_in_one_process_ends_all_with_its_message(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the disk is full"):
        together(2, fail_in_one, tmp_path)


def test_processes_share_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [image for image, *_ in islice(DrawnVessels(CONFIG, 64, LABELS), 8)]
    for rank in range(2):
        monkeypatch.setattr("salt_monailabel.training.drawn.place", lambda rank=rank: (rank, 2))
        mine = [image for image, *_ in islice(DrawnVessels(CONFIG, 64, LABELS), 4)]
        expected = [alone[i] for i in (2 * rank, 2 * rank + 1, 2 * rank + 4, 2 * rank + 5)]
        assert all(torch.equal(image, again) for image, again in zip(mine, expected, strict=True))
