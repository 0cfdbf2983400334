"""What the tests of several packages share."""

from __future__ import annotations

import random
from pathlib import Path

import hypothesis
import pytest
import torch

from salt_monailabel.models import Architecture, VesselSam

# A deadline would fail on a busy machine what is right.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same random numbers, whichever tests ran before it."""
    torch.manual_seed(0)
    random.seed(0)


@pytest.fixture
def tiny_sam() -> VesselSam:
    """Return a SAM of milliseconds, the same in every test."""
    architecture = Architecture(width=32, depth=2, heads=2, global_attention=(1,), window=4, input_size=64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VesselSam(architecture).eval()


@pytest.fixture(scope="session")
def basis_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a cache folder for bases, so that no test reads or fills the user's."""
    return tmp_path_factory.mktemp("basis")
