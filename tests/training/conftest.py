"""An adapter of milliseconds and an image to train it on."""

from __future__ import annotations

from pathlib import Path

import pytest

from salt_monailabel.adapters import Adapter, AdapterConfig, attach
from salt_monailabel.imaging import synthesize, to_rgb
from salt_monailabel.models import VesselSam
from salt_monailabel.training import LabelledFrame


@pytest.fixture
def adapter(tiny_sam: VesselSam, basis_cache: Path) -> Adapter:
    """Return an untrained adapter."""
    return attach(tiny_sam, AdapterConfig("lora", lora_rank=2), cache=basis_cache)


@pytest.fixture(scope="session")
def frame() -> LabelledFrame:
    """Return a drawn image and its mask."""
    image, mask, _ = synthesize(1, 96, "mixed")
    return LabelledFrame(to_rgb(image), mask.astype("uint8"), "drawn")
