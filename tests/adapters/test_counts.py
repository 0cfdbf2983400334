"""The parameter counts of the paper, on SAM ViT-B at 512 pixels."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
import torch

from salt_monailabel.adapters import AdapterConfig, attach
from salt_monailabel.models import BASES, VesselSam

# With CLIP's text encoder, which the paper counts as frozen.
FROZEN = 241_732_913
ALWAYS_TRAINED = 959_744
PAPER_RANKS = {"attention": 760, "mlp": 50, "neck": 250}


@pytest.fixture(scope="module")
def meta_vit_b() -> VesselSam:
    with torch.device("meta"):
        return VesselSam(BASES["vit_b"].architecture, input_size=512)


@pytest.fixture
def no_svd(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError("an SVD was computed")

    for function in ("scipy.linalg.svd", "numpy.linalg.svd", "torch.svd", "torch.linalg.svd"):
        monkeypatch.setattr(function, computed)


@pytest.mark.parametrize(
    ("settings", "adapter_parameters", "trainable", "percent"),
    [
        pytest.param({"method": "lora", "lora_rank": 4}, 604_160, 1_563_904, 0.643, id="LoRA 4"),
        pytest.param({"method": "lora", "lora_rank": 256}, 38_666_240, 39_625_984, 14.084, id="LoRA 256"),
        pytest.param({"method": "ssam"}, 74_752, 1_034_496, 0.426, id="S-SAM"),
        pytest.param({"ranks": PAPER_RANKS, "lora_rank": 4}, 179_368, 1_139_112, 0.469, id="SALT 4"),
        pytest.param({"ranks": PAPER_RANKS, "lora_rank": 256}, 8_967_112, 9_926_856, 3.945, id="SALT 256"),
    ],
)
@pytest.mark.usefixtures("no_svd")
def test_parameters_are_those_of_the_paper_to_the_digit_and_counted_without_an_svd(
    meta_vit_b: VesselSam, settings: dict[str, Any], adapter_parameters: int, trainable: int, percent: float
) -> None:
    adapter = attach(meta_vit_b, AdapterConfig(**settings))
    table = adapter.trainable_parameters()
    adapter.detach()

    counted = table["attention"] + table["mlp"] + table["neck"]
    assert counted == adapter_parameters
    assert counted + ALWAYS_TRAINED == trainable
    assert round(100 * trainable / (FROZEN + trainable), 3) == percent


def test_the_count_of_each_part_is_what_the_optimizer_is_given(meta_vit_b: VesselSam) -> None:
    adapter = attach(meta_vit_b, AdapterConfig())
    table = adapter.trainable_parameters()
    trained = sum(p.numel() for p in meta_vit_b.parameters() if p.requires_grad)
    adapter.detach()

    assert set(table) == {"attention", "mlp", "neck", "norms", "position", "prompts", "head"}
    assert sum(table.values()) == trained
