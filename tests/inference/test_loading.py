"""From an adapter file back to the model it was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from salt_monailabel.adapters import Adapter, AdapterConfig, AdapterError, save
from salt_monailabel.inference import adapted_model, card_of, fresh_adapter
from salt_monailabel.models import BASES, Prompts, VesselSam, WeightsError
from salt_monailabel.models.registry import Base


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def answer(model: VesselSam, row: int = 0) -> Tensor:
    size = model.input_size
    with torch.no_grad():
        return model(noise(1, 3, size, size).sigmoid(), Prompts(torch.tensor([row])))[0]


def network(adapter: Adapter) -> VesselSam:
    assert isinstance(adapter.model, VesselSam)
    return adapter.model


@pytest.fixture
def weights(tiny_sam: VesselSam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Register `tiny`, a base, and return its checkpoint; no test fills the user's cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(BASES, "tiny", Base(tiny_sam.architecture))
    save_file(tiny_sam.state_dict(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


def trained(path: Path, weights: Path, method: str = "lora", **options: Any) -> Adapter:
    """Write an adapter as training would, and return it."""
    config = AdapterConfig(method, lora_rank=1)
    adapter = fresh_adapter("tiny", options.pop("labels", ("vessel",)), config, weights=weights, **options)
    with torch.no_grad():
        for seed, (_, parameter) in enumerate(adapter.parameters()):
            parameter.add_(0.05 * noise(*parameter.shape, seed=seed))
    save(adapter, path, card_of("tiny", network(adapter)))
    return adapter


OPTIONS = {
    "as it is": {},
    "several labels": {"labels": ("vessel", "stenosis")},
    "another input size": {"input_size": 96},
    "text prompts": {"labels": ("vessel", "stenosis"), "text_embeddings": noise(2, 6)},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_trained_model_comes_back_from_its_file(tmp_path: Path, weights: Path, options: dict[str, Any]) -> None:
    adapter = trained(tmp_path / "adapter.safetensors", weights, **options)
    loaded = adapted_model(tmp_path / "adapter.safetensors", weights)
    assert network(loaded).labels == network(adapter).labels
    assert network(loaded).input_size == network(adapter).input_size
    for row in range(len(network(adapter).labels)):
        torch.testing.assert_close(answer(network(loaded), row), answer(network(adapter), row))


@pytest.mark.parametrize("method", ["salt", "ssam", "bias", "full"])
def test_an_adapter_of_any_method_comes_back_and_merges_to_the_same_answer(
    tmp_path: Path, weights: Path, method: str
) -> None:
    adapter = trained(tmp_path / "adapter.safetensors", weights, method)
    expected = answer(network(adapter))
    loaded = adapted_model(tmp_path / "adapter.safetensors", weights)
    loaded.merge()
    torch.testing.assert_close(answer(network(loaded)), expected, rtol=1e-4, atol=1e-4)


def test_an_untrained_adapter_answers_as_the_base(weights: Path, tiny_sam: VesselSam) -> None:
    adapter = fresh_adapter("tiny", ("vessel",), AdapterConfig("lora", lora_rank=1), weights=weights)
    assert torch.equal(answer(network(adapter)), answer(tiny_sam))


def test_a_loaded_adapter_can_be_trained_further(tmp_path: Path, weights: Path) -> None:
    adapter = trained(tmp_path / "adapter.safetensors", weights)
    loaded = adapted_model(tmp_path / "adapter.safetensors", weights)
    assert loaded.attached
    assert loaded.trainable_parameters() == adapter.trainable_parameters()
    assert all(parameter.requires_grad for _, parameter in loaded.parameters())


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_card_says_what_json_can_hold(weights: Path, options: dict[str, Any]) -> None:
    options = dict(options)
    config, labels = AdapterConfig("lora", lora_rank=1), options.pop("labels", ("vessel",))
    card = card_of("tiny", network(fresh_adapter("tiny", labels, config, weights=weights, **options)))
    assert json.loads(json.dumps(card)) == {
        "base": "tiny",
        "labels": list(labels),
        "input_size": options.get("input_size", 64),
        "text_dim": 6 if "text_embeddings" in options else None,
    }


@pytest.mark.parametrize("missing", ["base", "labels", "input_size"])
def test_an_incomplete_card_is_refused_and_what_it_lacks_named(tmp_path: Path, weights: Path, missing: str) -> None:
    path = tmp_path / "adapter.safetensors"
    adapter = trained(path, weights)
    card = card_of("tiny", network(adapter))
    del card[missing]
    save(adapter, path, card)
    with pytest.raises(AdapterError, match=rf"adapter\.safetensors lacks {missing};"):
        adapted_model(path, weights)


def test_an_adapter_of_an_unknown_base_is_refused_by_name(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path / "adapter.safetensors", weights)
    monkeypatch.delitem(BASES, "tiny")
    with pytest.raises(WeightsError, match="unknown base model 'tiny'"):
        adapted_model(tmp_path / "adapter.safetensors", weights)


def test_an_adapter_is_refused_on_another_checkpoint(tmp_path: Path, weights: Path) -> None:
    trained(tmp_path / "adapter.safetensors", weights)
    other = load_file(weights)
    other["image_encoder.blocks.0.attn.qkv.weight"][0, 0] += 1
    save_file(other, tmp_path / "other.safetensors")
    with pytest.raises(AdapterError, match=r"adapter\.safetensors was trained on another base"):
        adapted_model(tmp_path / "adapter.safetensors", tmp_path / "other.safetensors")


def test_a_missing_adapter_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"no adapter at .*gone\.safetensors"):
        adapted_model(tmp_path / "gone.safetensors")
