"""A radiologist's session, from the first address to the next image: a real scene, a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from panels import Rig, iou
from salt_server import SALT, SaltServer, salt_server

pytest_plugins = ("scenes", "panels")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SaltServer]:
    """Return a server that nobody has submitted anything to."""
    if not SALT.exists():
        pytest.skip(f"there is no server to test against: {SALT} does not exist; set SALT to the `salt` command")
    with salt_server(tmp_path, "seconds=4") as running:
        yield running


def test_the_whole_story(rig: Rig, server: SaltServer, pictures: Path) -> None:
    panel, ui = rig.panel, rig.ui
    rig.shoot(pictures, "01_start")
    assert not ui.nextButton.enabled
    assert not ui.tokenEdit.visible

    # Connect.
    rig.connect(server.address)
    rig.until(lambda: panel.server.state == "on" and panel.images.listed)
    assert ui.stateLabel.text == f"Connected to {server.address}"
    done, in_use = panel.images.done, panel.context.info.version
    rig.until(lambda: panel.learn.versions.current == in_use)
    known = len(panel.learn.versions.versions)
    assert ui.doneBar.text == f"{done} of {len(panel.images.listed)} done"
    rig.shoot(pictures, "02_connected")

    # Next image.
    rig.choose("strategyBox", "By name")
    ui.nextButton.click()
    rig.until(lambda: rig.case is not None and not panel.images.busy)
    name, shape = rig.case.image, rig.case.shape
    truth = np.load(server.truth / f"{name}.npy") > 0
    assert shape == truth.shape
    assert ui.volumeBox.currentText == name
    rig.shoot(pictures, "03_next")

    # Segment.
    ui.segmentButton.click()
    assert ui.cancelButton.enabled
    rig.until(lambda: not panel.segment.running)
    first = rig.mask()
    assert iou(first, truth) > 0.3
    rig.shoot(pictures, "04_outlined")

    # Two corrections, each a step of its own: one adds, one with shift removes.
    missed = rig.inside(truth & ~first)
    ui.addTool.click()
    rig.press(*missed)
    rig.idle()
    added = rig.mask()
    assert added[0, missed[1], missed[0]]
    assert not np.array_equal(added, first)
    wrong = rig.inside(added & ~truth)
    rig.press(*wrong, shift=True)
    rig.idle()
    removed = rig.mask()
    assert not removed[0, wrong[1], wrong[0]]
    assert rig.points() == (1, 1)
    rig.shoot(pictures, "05_corrected")

    # Paint.
    ui.paintTool.click()
    ui.brushBox.value = 5
    ground = rig.inside(~removed & ~truth)
    touched = rig.brush.stroke(ground)
    painted = rig.mask()
    assert np.array_equal(painted[0], removed[0] | touched)

    # What was painted stays, whatever the model says.
    ui.segmentButton.click()
    rig.until(lambda: not panel.segment.running)
    assert rig.mask()[0][touched].all()
    assert rig.points() == (0, 0)
    rig.shoot(pictures, "06_painted")

    # Undo goes back one by one.
    for before in (painted, removed, added, first):
        ui.undoButton.click()
        assert np.array_equal(rig.mask(), before)
    assert rig.points() == (0, 0)
    for after in (added, removed):
        ui.redoButton.click()
        assert np.array_equal(rig.mask(), after)

    # Submit and learn.
    ui.learnButton.click()
    rig.until(lambda: panel.learn.learning and ui.stopButton.enabled)
    assert rig.user.asked[0].startswith("Images and outlines you work on will be sent to")
    assert len(rig.user.asked) == 1
    rig.until(lambda: panel.learn.curve.table.GetNumberOfRows() > 0)
    rig.shoot(pictures, "07_learning")
    rig.until(lambda: not panel.learn.learning, 120)
    rig.until(lambda: len(panel.learn.versions.versions) == known + 1)
    learned = panel.learn.versions.versions[-1].name
    assert panel.learn.versions.versions[-1].parent == in_use
    assert "Dice went from" in ui.resultLabel.text
    stored = server.images / "labels" / "final" / f"{name}.nrrd"
    assert np.array_equal(rig.read(stored).reshape(shape) > 0, removed)
    rig.until(lambda: panel.images.done == done + 1)
    rig.shoot(pictures, "08_learned")

    # Put the new version in use whatever was decided, and go back.
    rig.choose("versionBox", ui.versionBox.itemText(ui.versionBox.count - 1))
    ui.useButton.click()
    assert not ui.rollBackButton.enabled
    rig.until(lambda: panel.learn.versions.current == learned and ui.rollBackButton.enabled)
    assert ui.versionBox.currentText.startswith(f"● {learned}")
    ui.rollBackButton.click()
    rig.until(lambda: panel.learn.versions.current == in_use)
    rig.until(lambda: panel.context.info.version == in_use)

    # Next: another image; the first stays in the scene as it was left.
    ui.nextButton.click()
    rig.until(lambda: rig.case.image != name and not panel.images.busy)
    assert not rig.mask().any()
    rig.choose("volumeBox", name)
    assert rig.case.image == name
    assert np.array_equal(rig.mask(), removed)
    rig.shoot(pictures, "09_next")
