"""A run of usual length is as easy to work on as a single image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from clocks import HELD, MORE_THAN_ONCE, Clock
from drawn_runs import draw_run
from panels import Rig
from salt_server import SALT, SaltServer, salt_server
from SALTVesselsLib.pixels import Picture, from_nrrd
from SALTVesselsLib.scene import runs
from scenes import go_to

pytest_plugins = ("scenes", "panels", "clocks")


@pytest.fixture
def angiography(tmp_path: Path) -> Iterator[SaltServer]:
    """Return a server with a run of 96 frames, which knows arteries and veins."""
    if not SALT.exists():
        pytest.skip(f"there is no server to test against: {SALT} does not exist; set SALT to the `salt` command")
    with salt_server(tmp_path, "labels=artery,vein") as running:
        draw_run(running, "long", 24, 96, 512, 512)
        yield running


@MORE_THAN_ONCE
def test_a_long_run_never_holds_the_application(rig: Rig, angiography: SaltServer, clock: Clock) -> None:
    panel, ui = rig.panel, rig.ui
    rig.connect(angiography.address)
    rig.await_image("long")

    def act(
        name: str, do: Callable[[], object], until: Callable[[], object] = lambda: True, limit: float = HELD
    ) -> None:
        with clock.watching(name, limit):
            do()
            rig.until(until)

    act("open", lambda: panel.images.open("long"), lambda: rig.case and not panel.images.busy)
    rig.choose("projectionBox", "Darkest over time")
    rig.choose("framesBox", "All frames")
    act("outline", ui.segmentButton.click, lambda: not panel.segment.running)
    act("another frame", lambda: go_to(rig.case.volume, 50), lambda: rig.case.frame == 50)
    ui.addTool.click()
    act("click", lambda: rig.press(100, 100), lambda: not panel.correct.busy)
    ui.paintTool.click()
    act("paint", lambda: rig.brush.stroke((90, 80), (92, 81)))
    act("undo", ui.undoButton.click)
    act("submit", ui.submitButton.click, lambda: "submitted" in ui.messageLabel.text)
    act("density", ui.densityButton.click, lambda: panel.measure.words)
    assert rig.case.corrections("artery", 50).foreground == ((100, 100),)
    stored = rig.read(angiography.images / "labels" / "final" / "long.nrrd")
    assert np.array_equal(stored == 1, rig.mask("artery") & ~rig.mask("vein"))
    assert np.array_equal(stored == 2, rig.mask("vein"))

    ours = np.random.default_rng(0).integers(0, 256, (96, 512, 512), np.uint8)
    run = runs.add(Picture(ours, np.diag([0.3, 0.3, 1.0, 1.0]), "ours", {"modality": "XA"}))
    panel.images.choose(run.volume)
    begun = time.thread_time()
    copy = ours.tobytes()
    once = time.thread_time() - begun
    assert len(copy) == ours.size
    # It is put into a form, and handed to Qt.
    act("send", ui.sendButton.click, lambda: "ours is on" in ui.messageLabel.text, limit=HELD + 4 * once)
    assert np.array_equal(from_nrrd((angiography.images / "ours.nrrd").read_bytes()).pixels, ours)
