"""Which weights a result holds for."""

from __future__ import annotations

import hashlib
from pathlib import Path

from salt_monailabel.models.registry import SHIPPED


def base_hash(weights: Path | None = None) -> str:
    """Return the first digits of the SHA-256 of a base's file, by default the shipped one's."""
    return hashlib.sha256((weights or SHIPPED / "vessel_t.safetensors").read_bytes()).hexdigest()[:12]
