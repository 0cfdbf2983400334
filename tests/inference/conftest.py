"""A predictor of milliseconds, and what its model was asked."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from salt_monailabel.inference import Predictor
from salt_monailabel.models import Prompts, VesselSam

TILE = 64
# Joining equal tiles is a weighted mean of equal numbers, equal but for rounding.
ROUNDING = 1e-5


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@dataclass
class Asked:
    """The prompts of every call of the decoder, and the number of tiles the encoder has seen."""

    prompts: list[Prompts] = field(default_factory=list)
    encoded: int = 0

    @property
    def decoded(self) -> int:
        """Tiles the decoder has answered for."""
        return sum(len(prompts.labels) for prompts in self.prompts)


@pytest.fixture
def predictor(tiny_sam: VesselSam) -> Predictor:
    """Return a predictor whose answers differ from place to place: an untrained head would say nothing of a pixel."""
    with torch.no_grad():
        weight = tiny_sam.detail_head.residual.weight
        weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    return Predictor(tiny_sam, overlap=16, batch=3, magnify=1)


@pytest.fixture
def asked(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Listen to the model of `predictor`."""
    asked, encode, decode = Asked(), predictor.model.encode, predictor.model.decode

    def listening_encode(images: Tensor) -> Tensor:
        asked.encoded += len(images)
        return encode(images)

    def listening_decode(images: Tensor, embeddings: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        asked.prompts.append(prompts)
        return decode(images, embeddings, prompts)

    monkeypatch.setattr(predictor.model, "encode", listening_encode)
    monkeypatch.setattr(predictor.model, "decode", listening_decode)
    return asked
