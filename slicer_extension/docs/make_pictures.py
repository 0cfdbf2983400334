"""Makes the pictures of this folder: a session with a server on the module's sample images.

Run it with the Python of the tests: `python slicer_extension/docs/make_pictures.py`.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "qt_adapter"), str(HERE.parent / "SALTVessels")]

from panels import HEIGHT, VIEW, WIDTH, Rig, new_rig  # noqa: E402
from PySide6.QtGui import QImage  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402
from salt_server import salt_server  # noqa: E402
from scenes import new_scene  # noqa: E402

SAMPLES = HERE.parent / "SALTVessels" / "Resources" / "Samples"
# Two places (i, j) of the fundus on one vessel that is as wide at either, and nowhere narrowed between.
STRETCH = ((70, 237), (48, 290))


def main() -> None:
    """Play the session."""
    application = QApplication([])
    new_scene()
    with tempfile.TemporaryDirectory() as folder, salt_server(Path(folder), "seconds=60") as server:
        for drawn in server.images.glob("*.*"):
            if drawn.suffix in (".png", ".nrrd"):
                drawn.unlink()
        for sample in SAMPLES.glob("*.png"):
            shutil.copy(sample, server.images)
        with new_rig() as rig:
            play(rig, server.address)
    del application


def play(rig: Rig, address: str) -> None:
    """Outline, correct, submit and measure the fundus."""
    panel, ui = rig.panel, rig.ui
    rig.connect(address)

    def listed() -> bool:
        panel.images.refresh()
        return {image.id for image in panel.images.listed} == {sample.stem for sample in SAMPLES.glob("*.png")}

    rig.until(lambda: panel.server.usable)
    rig.until(listed)
    panel.images.open("SALTFundus")
    rig.until(lambda: rig.case is not None and not panel.images.busy)
    ui.segmentButton.click()
    rig.until(lambda: not panel.segment.running)
    keep(rig, "outlined")
    ui.addTool.click()
    for i, j in ((300, 60), (330, 310)):
        rig.press(i, j)
        rig.idle()
    wrong = rig.inside(rig.mask())
    rig.press(*wrong, shift=True)
    rig.idle()
    ui.undoButton.click()
    ui.previousBox.click()
    keep(rig, "corrected")
    ui.previousBox.click()
    ui.learnButton.click()
    rig.until(lambda: panel.learn.learning)
    rig.until(lambda: panel.learn.share > 0.7, 120)
    keep(rig, "learning")
    rig.until(lambda: not panel.learn.learning, 120)
    rig.until(lambda: panel.learn.versions.versions)
    ui.densityButton.click()
    rig.until(lambda: panel.measure.words)
    ui.profileButton.click()
    for place in STRETCH:
        rig.press(*place)
    rig.until(lambda: panel.measure.curve or "no vessel" in rig.says)
    keep(rig, "learned")


def keep(rig: Rig, name: str) -> None:
    """Save what is seen, light, as small as a page needs it."""
    with tempfile.TemporaryDirectory() as folder:
        rig.shoot(Path(folder), name)
        picture = QImage(str(Path(folder) / f"{name}_light.png"))
    assert (picture.width(), picture.height()) == (WIDTH + VIEW[0], HEIGHT)
    picture.save(str(HERE / f"{name}.jpg"), "JPG", 88)


if __name__ == "__main__":
    main()
