"""What the report tells of a folder of studies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.inference import card_of, fresh_adapter
from salt_monailabel.models import VesselSam
from salt_monailabel.serving.datastore import VesselDatastore
from salt_monailabel.serving.host import ModelHost
from salt_monailabel.serving.options import Options
from salt_monailabel.serving.report.findings import report_of
from salt_monailabel.training.held_back import images_held_back
from salt_monailabel.versions import VersionStore

from ..laid import opened
from ..viewer import drawing, one_slice, png

NAMES = [f"image {number}" for number in (0, 1, 7, 15, 21)]
HELD_BACK = images_held_back(NAMES)


@pytest.fixture
def store(tmp_path: Path) -> VesselDatastore:
    """Return images with labels, all alike."""
    image, vessels = drawing(rows=64, columns=64)
    (tmp_path / "labels" / "final").mkdir(parents=True)
    for name in NAMES:
        (tmp_path / f"{name}.png").write_bytes(png(image)[1])
        (tmp_path / "labels" / "final" / f"{name}.nrrd").write_bytes(one_slice(vessels)[1])
    return opened(tmp_path)


@pytest.fixture
def versions(tmp_path: Path) -> VersionStore:
    """Return a version in use that learned from two images which are held back now."""
    versions = VersionStore(tmp_path / "adapters")
    adapter = fresh_adapter("vessel_t", ["vessel"], AdapterConfig(method="bias"))
    assert isinstance(adapter.model, VesselSam)
    learned = {"learned_in_part": {HELD_BACK[0]: 4}, "learned_whole": [HELD_BACK[1]]}
    versions.promote(versions.add(adapter, {**card_of("vessel_t", adapter.model), **learned}, None))
    return versions


def shown(store: VesselDatastore, versions: VersionStore) -> set[str]:
    html = report_of(store, ModelHost(Options(), versions), shared=False)
    assert "0001" in html
    return {*re.findall(r"image \d+", re.sub(r"data:[^\"]*", "", html))}


def test_an_image_that_was_learned_from_is_not_shown_as_held_back(
    store: VesselDatastore, versions: VersionStore
) -> None:
    assert len(HELD_BACK) == 3
    assert shown(store, versions) == {HELD_BACK[2]}


def test_with_a_damaged_version_in_use_the_rest_of_the_report_is_shown(
    store: VesselDatastore, versions: VersionStore
) -> None:
    versions.path("0001").write_bytes(b"half of an adapter")
    assert shown(store, versions) == set()
