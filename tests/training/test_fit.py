"""Fitting: the adapter alone learns, within its budget, or nothing is kept."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from importlib import import_module
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from salt_monailabel.adapters import Adapter, AdapterConfig, attach
from salt_monailabel.imaging import ImageError
from salt_monailabel.inference import Predictor
from salt_monailabel.models import VesselSam
from salt_monailabel.training import Augmentation, FitConfig, LabelledFrame, Progress, TrainingError, fit
from salt_monailabel.training.metrics import dice

SHORT = FitConfig(steps=2, batch_size=2, clicks=0.0)


def parameters_are_numbers(adapter: Adapter) -> bool:
    return all(bool(parameter.isfinite().all()) for _, parameter in adapter.parameters())


def test_only_the_adapter_learns(adapter: Adapter, frame: LabelledFrame) -> None:
    before = deepcopy(adapter.model.state_dict())
    fit(adapter, [frame], SHORT)
    changed = {name for name, tensor in adapter.model.state_dict().items() if not torch.equal(tensor, before[name])}
    trained = {name for name, _ in adapter.parameters()}
    assert changed <= trained
    assert {name for name in trained if ".parametrizations." in name or "detail_head.residual" in name} <= changed


def test_every_step_is_told_and_returned(adapter: Adapter, frame: LabelledFrame) -> None:
    told: list[Progress] = []
    history = fit(adapter, [frame], replace(SHORT, steps=4), told.append)
    assert told == history
    assert [progress.step for progress in history] == [1, 2, 3, 4]
    assert [progress.share for progress in history] == [0.25, 0.5, 0.75, 1.0]
    assert all(np.isfinite(progress.loss) and 0 <= progress.dice <= 1 for progress in history)
    assert all(later.seconds > earlier.seconds for earlier, later in pairwise(history))
    assert not adapter.model.training


def test_the_budget_of_seconds_is_kept(adapter: Adapter, frame: LabelledFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    clock = SimpleNamespace(perf_counter=lambda: float(next(ticks)))
    monkeypatch.setattr(import_module("salt_monailabel.training.fit"), "time", clock)
    history = fit(adapter, [frame], replace(SHORT, steps=None, seconds=2.5))
    assert [progress.seconds for progress in history] == [1, 2, 3]
    assert [progress.share for progress in history] == [0.4, 0.8, 1.0]


def test_the_same_seed_learns_the_same(tiny_sam: VesselSam, frame: LabelledFrame) -> None:
    losses = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        adapter = attach(deepcopy(tiny_sam), AdapterConfig("bias"))
        losses.append([progress.loss for progress in fit(adapter, [frame], replace(SHORT, seed=seed))])
    assert losses[0] == pytest.approx(losses[1])
    assert losses[0] != pytest.approx(losses[2])


@pytest.mark.parametrize(
    "change",
    [
        {"clicks": 1.0},
        {"coarse": 0.0, "regularization": 0.0},
        {"warmup": 0.0},
        {"augmentation": Augmentation(rotation=0, scale=(1.0, 1.0))},
    ],
)
def test_training_runs_in_any_configuration(adapter: Adapter, frame: LabelledFrame, change: dict[str, Any]) -> None:
    history = fit(adapter, [frame], replace(SHORT, **change))
    assert np.isfinite([progress.loss for progress in history]).all()
    assert parameters_are_numbers(adapter)


@pytest.mark.parametrize("method", ["salt", "ssam", "bias", "full"])
def test_every_method_learns(
    tiny_sam: VesselSam, frame: LabelledFrame, method: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    adapter = attach(tiny_sam, AdapterConfig(method, lora_rank=2), cache=tmp_path_factory.getbasetemp() / "bases")
    before = {name: parameter.detach().clone() for name, parameter in adapter.parameters()}
    fit(adapter, [frame], SHORT)
    changed = [name for name, parameter in adapter.parameters() if not torch.equal(parameter, before[name])]
    assert len(changed) > len(before) / 2


def test_an_image_that_was_learned_is_segmented_better(tiny_sam: VesselSam, frame: LabelledFrame) -> None:
    truth = frame.labels > 0

    def score() -> float:
        predictor = Predictor(tiny_sam, overlap=16, magnify=1)
        return dice(predictor.segment(predictor.embed_input(frame.rgb), "vessel") > 0.5, truth)

    before = score()
    adapter = attach(tiny_sam, AdapterConfig("full"))
    still = Augmentation(rotation=0, scale=(1.0, 1.0), magnify=1, brightness=0, contrast=0, gamma=0, shading=0)
    fit(adapter, [frame], FitConfig(steps=60, batch_size=4, clicks=0.0, augmentation=still))
    assert score() > max(before + 0.1, 0.6)


def test_a_loss_that_is_no_number_ends_training(adapter: Adapter, frame: LabelledFrame) -> None:
    with torch.no_grad():
        next(parameter for _, parameter in adapter.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss became nan at step 0; lower the learning rate"):
        fit(adapter, [frame], SHORT)


def test_a_gradient_that_is_no_number_ends_training_and_is_not_learned(adapter: Adapter, frame: LabelledFrame) -> None:
    parameter = next(parameter for _, parameter in adapter.parameters())
    handle = parameter.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(TrainingError):
        fit(adapter, [frame], replace(SHORT, steps=1))
    handle.remove()
    assert parameters_are_numbers(adapter)


def test_without_labelled_frames_there_is_no_training(adapter: Adapter) -> None:
    with pytest.raises(ImageError, match="no labelled image"):
        fit(adapter, [], SHORT)


@pytest.mark.parametrize("settings", [{"seconds": 0.0}, {"seconds": -5.0}, {"steps": -1}])
def test_a_configuration_that_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="budget is empty"):
        FitConfig(**settings)
