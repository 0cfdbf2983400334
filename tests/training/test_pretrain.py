"""Pretraining: drawn images without end, runs that go on after they were killed, and a file to ship."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from salt_monailabel.imaging.synthetic import Drawing
from salt_monailabel.models import BASES, VesselSam, load_base
from salt_monailabel.models.registry import Base
from salt_monailabel.training import TrainingError
from salt_monailabel.training.drawn import DrawnVessels
from salt_monailabel.training.pretrain import (
    LABELS,
    PretrainConfig,
    PretrainProgress,
    export,
    initialize,
    pretrain,
    start_from,
)
from salt_monailabel.training.prompts import random_boxes

CPU = torch.device("cpu")
TINY = PretrainConfig(steps=4, batch_size=2, crops=2, image_size=96, warmup=0, workers=0)


class Killed(Exception):
    """What ends a run in the middle."""


def run(model: VesselSam, checkpoint: Path, config: PretrainConfig = TINY, kill_after: int | None = None) -> list[int]:
    """Train and return the steps that were made; the checkpoint is saved at every second one."""
    steps: list[int] = []

    def on_step(progress: PretrainProgress) -> None:
        assert np.isfinite(progress.loss)
        steps.append(progress.step)
        if kill_after is not None and progress.step > kill_after:
            raise Killed

    try:
        pretrain(model, config, CPU, checkpoint, on_step, save_every=2)
    except Killed:
        assert kill_after is not None
    return steps


def seen(model: VesselSam) -> list[Tensor]:
    """Listen to the images a model is trained on."""
    images: list[Tensor] = []
    encode = model.encode

    def listening(batch: Tensor) -> Tensor:
        images.append(batch)
        return encode(batch)

    model.encode = listening  # type: ignore[method-assign]
    return images


def test_a_killed_run_goes_on_where_it_was_saved(tiny_sam: VesselSam, tmp_path: Path) -> None:
    whole, killed, resumed = (deepcopy(tiny_sam) for _ in range(3))
    all_images = seen(whole)
    assert run(whole, tmp_path / "whole.pt") == [1, 2, 3, 4]

    checkpoint = tmp_path / "base.pt"
    assert run(killed, checkpoint, kill_after=2) == [1, 2, 3]
    stored = torch.load(checkpoint, weights_only=True)
    assert stored["step"] == 2

    images = seen(resumed)
    assert run(resumed, checkpoint) == [3, 4]
    assert all(torch.equal(again, image) for again, image in zip(images, all_images[2:], strict=True))
    finished = torch.load(checkpoint, weights_only=True)
    assert finished["step"] == 4
    assert finished["seconds"] > stored["seconds"]
    assert finished["optimizers"][1]["state"][0]["step"] == 4
    name = "image_encoder.blocks.0.attn.qkv.weight"
    assert not torch.equal(finished["model"][name], stored["model"][name])
    assert torch.equal(finished["model"][name], resumed.state_dict()[name])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base.pt", "whole.pt"]


def test_a_resumed_run_starts_from_the_saved_weights_and_optimiser(tiny_sam: VesselSam, tmp_path: Path) -> None:
    checkpoint = tmp_path / "base.pt"
    run(deepcopy(tiny_sam), checkpoint)
    assert run(model := deepcopy(tiny_sam), checkpoint) == []
    stored = torch.load(checkpoint, weights_only=True)
    assert all(torch.equal(tensor, stored["model"][name]) for name, tensor in model.state_dict().items())
    assert not model.training


def test_a_run_goes_on_with_another_number_of_processes(tiny_sam: VesselSam, tmp_path: Path) -> None:
    run(deepcopy(tiny_sam), tmp_path / "base.pt", kill_after=2)
    assert run(tiny_sam, tmp_path / "base.pt", replace(TINY, workers=1)) == [3, 4]


@pytest.mark.parametrize("change", [{"steps": 6}, {"seed": 1}, {"learning_rate": 1e-4}])
def test_a_checkpoint_of_another_configuration_is_refused_and_kept(
    tiny_sam: VesselSam, tmp_path: Path, change: dict[str, Any]
) -> None:
    checkpoint = tmp_path / "base.pt"
    run(deepcopy(tiny_sam), checkpoint, replace(TINY, steps=1))
    before = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=r"base\.pt was made with another configuration"):
        run(tiny_sam, checkpoint, replace(TINY, **change))
    assert checkpoint.read_bytes() == before


def test_a_full_disk_keeps_the_checkpoint_before(
    tiny_sam: VesselSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = tmp_path / "base.pt"
    run(deepcopy(tiny_sam), checkpoint, kill_after=2)
    before = checkpoint.read_bytes()

    def full(state: dict[str, Any], path: Path) -> NoReturn:
        Path(path).write_bytes(b"half of it")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("salt_monailabel.training.pretrain.torch.save", full)
        with pytest.raises(OSError, match="No space left"):
            run(deepcopy(tiny_sam), checkpoint)
    assert checkpoint.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["base.pt"]


@pytest.mark.parametrize("prompts", [{"clicks": 1.0, "boxes": 0.0}, {"clicks": 0.0, "boxes": 1.0}])
def test_every_kind_of_prompt_is_trained(tiny_sam: VesselSam, tmp_path: Path, prompts: dict[str, float]) -> None:
    before = deepcopy(tiny_sam.state_dict())
    run(tiny_sam, tmp_path / "base.pt", replace(TINY, steps=1, **prompts))
    kind = "point_embeddings.1" if prompts["clicks"] else "point_embeddings.2"
    name = f"prompt_encoder.{kind}.weight"
    assert not torch.equal(tiny_sam.state_dict()[name], before[name])


def test_the_encoder_learns_alone_before_the_detail_head_does(tiny_sam: VesselSam, tmp_path: Path) -> None:
    before = deepcopy(tiny_sam.state_dict())
    run(tiny_sam, tmp_path / "base.pt", replace(TINY, steps=2, coarse=1.0))
    changed = {
        name.split(".")[0] for name, tensor in tiny_sam.state_dict().items() if not torch.equal(tensor, before[name])
    }
    assert {"image_encoder", "mask_decoder", "label_prompts"} <= changed
    head = {name for name in before if name.startswith("detail_head")}
    gained = (tiny_sam.state_dict()[name] - before[name] for name in head)
    assert max(float(change.abs().max()) for change in gained) == 0


def test_an_encoder_that_says_the_same_of_all_images_ends_the_run(tiny_sam: VesselSam, tmp_path: Path) -> None:
    def constant(images: Tensor) -> Tensor:
        return torch.zeros(len(images), 256, 4, 4)

    tiny_sam.encode = constant  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match="same for all images"):
        run(tiny_sam, tmp_path / "base.pt", replace(TINY, clicks=0, boxes=0))
    assert not (tmp_path / "base.pt").exists()


def test_an_encoder_starts_small(tiny_sam: VesselSam) -> None:
    initialize(tiny_sam)
    block = tiny_sam.image_encoder.blocks[0]
    assert float(block.attn.qkv.weight.detach().std()) == pytest.approx(0.02, rel=0.1)
    assert not block.attn.qkv.bias.any()


@pytest.fixture
def exported(tiny_sam: VesselSam, tmp_path: Path) -> SimpleNamespace:
    """Train and export a base."""
    run(tiny_sam, tmp_path / "base.pt", replace(TINY, steps=1))
    path = tmp_path / "shipped" / "tiny.safetensors"
    return SimpleNamespace(
        path=path, model=tiny_sam, card=export(tmp_path / "base.pt", path, {"base": "tiny", "labels": ["vessel"]})
    )


def test_an_exported_base_is_half_precision_with_its_card_inside_and_beside(exported: SimpleNamespace) -> None:
    with safe_open(exported.path, framework="pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118
        inside = json.loads(file.metadata()["card"])
    assert inside == json.loads(exported.path.with_suffix(".json").read_text()) == exported.card
    assert inside["base"] == "tiny"
    assert inside["steps"] == 1
    assert inside["config"] == asdict(replace(TINY, steps=1))
    assert sorted(path.name for path in exported.path.parent.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_an_exported_base_is_loaded_as_it_was_trained(
    exported: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BASES, "tiny", Base(exported.model.architecture))
    loaded, trained = load_base("tiny", weights=exported.path).state_dict(), exported.model.state_dict()
    assert loaded.keys() == trained.keys()
    assert all(torch.equal(loaded[name], tensor.half().float()) for name, tensor in trained.items())


def test_training_on_keeps_known_labels_and_parts_new_ones(
    exported: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BASES, "tiny", Base(exported.model.architecture))
    known = exported.model.label_prompts.tokens.detach().half().float()
    tokens = start_from("tiny", exported.path).label_prompts.tokens.detach()
    assert tokens.shape == (len(LABELS), 256)
    assert len(tokens.unique(dim=0)) == len(LABELS)
    assert torch.equal(tokens[:1], known)


def test_crops_are_images_from_0_to_1_with_their_masks() -> None:
    for image, mask, label in islice(DrawnVessels(TINY, 64, LABELS), 6):
        assert (image.shape, image.dtype) == ((3, 64, 64), torch.float32)
        assert (mask.shape, mask.dtype) == ((1, 64, 64), torch.float32)
        assert image.min() >= 0
        assert image.max() <= 1
        assert set(mask.unique().tolist()) <= {0, 1}
        assert 0 <= label < len(LABELS)


def test_image_and_mask_are_turned_together(monkeypatch: pytest.MonkeyPatch) -> None:
    def pattern(seed: int, size: int) -> Drawing:
        mask = np.random.default_rng(seed).random((size, size)) < 0.3
        return Drawing(np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 255, mask, {})

    monkeypatch.setattr("salt_monailabel.training.drawn.synthesize", pattern)
    for image, mask, _ in islice(DrawnVessels(TINY, 64, LABELS), 20):
        assert torch.equal(image[:1], mask)


def test_parts_are_asked_for_where_they_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    half, other = np.zeros((2, 96, 96), bool)
    half[:48], other[48:] = True, True
    drawing = Drawing(np.zeros((96, 96, 3), np.uint8), half | other, {"artery": half, "vein": other, "stent": half})
    monkeypatch.setattr("salt_monailabel.training.drawn.synthesize", lambda seed, size: drawing)
    crops = list(islice(DrawnVessels(replace(TINY, parts=0.5), 96, LABELS), 60))
    assert {row for *_, row in crops} == {0, 1, 2}
    assert all(mask.mean() == (1 if row == 0 else 0.5) for _, mask, row in crops)
    assert 15 < sum(row > 0 for *_, row in crops) < 45
    assert {row for *_, row in islice(DrawnVessels(TINY, 96, ("vessel",)), 8)} == {0}


def test_drawing_goes_on_from_any_image_and_never_repeats() -> None:
    stream = [image for image, *_ in islice(DrawnVessels(TINY, 64, LABELS), 8)]
    later = [image for image, *_ in islice(DrawnVessels(TINY, 64, LABELS, start=2), 4)]
    assert all(torch.equal(image, again) for image, again in zip(stream[4:], later, strict=True))
    assert len({image.numpy().tobytes() for image in stream}) == 8
    other = next(iter(DrawnVessels(replace(TINY, seed=1), 64, LABELS)))[0]
    assert not torch.equal(other, stream[0])


def test_workers_share_the_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [image for image, *_ in islice(DrawnVessels(TINY, 64, LABELS), 8)]
    for number in range(2):
        monkeypatch.setattr("torch.utils.data.get_worker_info", lambda n=number: SimpleNamespace(id=n, num_workers=2))
        mine = [image for image, *_ in islice(DrawnVessels(TINY, 64, LABELS), 4)]
        expected = [alone[i] for i in (2 * number, 2 * number + 1, 2 * number + 4, 2 * number + 5)]
        assert all(torch.equal(image, again) for image, again in zip(mine, expected, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_boxes_are_inside_the_image_and_at_least_a_quarter_wide(seed: int) -> None:
    boxes, inside = random_boxes(np.random.default_rng(seed), 20, 64)
    assert boxes.min() >= 0
    assert boxes.max() <= 63
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 16
    for (x0, y0, x1, y1), mask in zip(boxes.int().tolist(), inside[:, 0], strict=True):
        assert mask[y0 : y1 + 1, x0 : x1 + 1].all()
        assert mask.sum() == (y1 - y0 + 1) * (x1 - x0 + 1)
