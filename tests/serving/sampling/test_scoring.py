"""A server asked for the image it is least sure of looks at its images in the background, with the model in use."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from monailabel.interfaces.utils.app import app_instance

from ..viewer import Viewer, drawing, one_slice, our_server, png

IMAGE, VESSELS = drawing(rows=64, columns=64)
PATIENCE = 60.0


@pytest.fixture
def viewer(tmp_path: Path) -> Iterator[Viewer]:
    with our_server(tmp_path / "studies") as connected:
        for name, pixels in {"vessels": IMAGE, "turned": IMAGE[::-1], "labelled": IMAGE[:, ::-1]}.items():
            assert connected.put_image(name, png(np.ascontiguousarray(pixels))).status_code == 200
        assert connected.put_label("labelled", one_slice(VESSELS[:, ::-1])).status_code == 200
        yield connected


def test_images_without_a_label_are_looked_at_with_the_model_in_use(viewer: Viewer) -> None:
    board = app_instance().board
    assert not board.snapshot(), "nobody asked yet"
    assert viewer.next_sample("uncertain").json()["id"] in {"vessels", "turned"}
    latest = time.monotonic() + PATIENCE
    while set(board.snapshot()) != {"vessels", "turned"}:
        assert time.monotonic() < latest, f"only {set(board.snapshot())}"
        time.sleep(0.05)
    for entry in board.snapshot().values():
        assert entry.version == "base"
        assert entry.uncertainty.foreground > 0
        assert np.isfinite(entry.uncertainty.score)


def test_nothing_is_looked_at_while_the_model_learns(viewer: Viewer) -> None:
    instance = app_instance()
    assert set(instance._worth_scoring()[0]) == {"vessels", "turned"}
    instance.host.learning = lambda: True
    assert instance._worth_scoring()[0] == []
