"""A session inside Slicer itself: what no stand-in can show, with the application's views, editor and network.

With a server, whose address is in SALT_ADDRESS, or else one that is started on this computer, a drawn image is sent,
outlined, corrected by the mouse and by Slicer's brush, learned from, and measured. The server keeps the image and its
outline, so it should be one for tests. Without any, what needs none is tested.
"""

from __future__ import annotations

import csv
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import slicer

from .answers import ServerInfo
from .pointer import views_of_application
from .samples import FOLDER
from .scene import volumes
from .scene.charts import Curve

SAMPLE = "SALTFundus"
# Seconds; a slow computer takes minutes to start a server, and to learn.
PATIENCE, LONG_PATIENCE = 180.0, 600.0
# Pixels from one end of what is measured to the other.
STRETCH = 40

Pixel = tuple[int, int]


def run(widget: Any, tell: Callable[[str], None]) -> None:
    """Run it on the module's widget; raises AssertionError if something is wrong."""
    slicer.util.selectModule("SALTVessels")
    session = _Session(widget.panel, tell)
    assert widget.panel.server.state == "off", "the panel is connected before anybody has asked for it"
    tell("The panel opens.")
    # A server that is being stopped may still write there.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, session.answers(Path(folder)):
        try:
            if session.connects():
                session.outlines()
                session.corrects()
                session.learns()
                session.measures(Path(folder) / "table.csv")
            else:
                session.draws()
        finally:
            widget.panel.server.disconnect()
            widget.panel.local.stop()
    tell("All of it works.")


class _Session:
    """What a radiologist does, step by step; each leaves the image as the next wants it."""

    def __init__(self, panel: Any, tell: Callable[[str], None]) -> None:
        self._panel = panel
        self._tell = tell

    def answers(self, folder: Path) -> Any:
        """Return a block in which questions to the user are answered."""
        return patch.multiple(
            self._panel.context.around.ask,
            confirm=lambda question: True,
            folder=lambda title: str(folder),
            new_file=lambda title, name: str(folder / "table.csv"),
        )

    def connects(self) -> bool:
        """Connect to a server, if there is one or one can be started."""
        address, panel = os.environ.get("SALT_ADDRESS", ""), self._panel
        if address:
            panel.server.connect(address)
        elif panel.local.program:
            self._tell("SALT_ADDRESS names no server: one is started on this computer.")
            panel.local.start()
        else:
            self._tell("SALT_ADDRESS names no server, and 'salt' is not installed: what needs one is left out.")
            return False
        self._until(lambda: panel.server.usable, "no server was connected", LONG_PATIENCE)
        self._until(lambda: panel.learn.versions.current == panel.context.info.version, "no version was told")
        return True

    def outlines(self) -> None:
        """Send an image, and have it outlined."""
        panel = self._panel
        self._bring()
        panel.uploads.send()
        self._until(lambda: panel.context.case.image, "the image was not sent")
        self._tell(f"{panel.context.case.image} is on the server.")
        panel.segment.start()
        self._until(lambda: not panel.segment.running, "the image was not outlined")
        assert self._mask().any(), f"nothing was outlined; {self._said()}"

    def corrects(self) -> None:
        """Remove a vessel by a click, take that back, do it again; and erase another pixel with Slicer's brush."""
        panel, before = self._panel, self._mask()
        self._tell("It is outlined; now a click of the mouse removes a vessel.")
        j, i = (int(index) for index in np.argwhere(before)[0])
        panel.tools.take("remove")
        self._press((i, j))
        self._until(lambda: not panel.correct.busy, "the click was not answered")
        after = self._mask()
        assert not after[j, i], f"the click was not followed; {self._said()}"
        panel.correct.undo()
        assert np.array_equal(self._mask(), before), "undo did not bring it back"
        panel.correct.redo()
        assert np.array_equal(self._mask(), after), "redo did not remove it again"
        self._brush("erase")

    def learns(self) -> None:
        """Submit the outline and have the model learn from it; use what it learned, and go back."""
        panel = self._panel
        learn, before = panel.learn, panel.learn.versions
        self._tell("The outline is submitted, and learned from.")
        panel.teach.submit(learn=True)
        self._until(lambda: learn.learning, "learning did not begin")
        self._until(lambda: not learn.learning, "learning did not end", LONG_PATIENCE)
        assert learn.curve.table.GetNumberOfRows(), f"nothing was plotted while it learned; {self._said()}"
        self._until(lambda: len(learn.versions.versions) > len(before.versions), f"nothing was learned: {learn.result}")
        learned = learn.versions.versions[-1].name
        learn.use(learned)
        self._until(lambda: not learn.choosing and learn.versions.current == learned, f"{learned} was not put in use")
        learn.roll_back()
        self._until(lambda: learn.versions.current != learned, "the version before was not put in use again")

    def measures(self, table: Path) -> None:
        """Measure all vessels, and one from a click to another; save the table."""
        panel = self._panel
        self._tell("Its vessels are measured.")
        panel.measure.density()
        self._until(lambda: panel.measure.words, "no figures came")
        panel.tools.take("profile")
        for place in _ends(self._mask()):
            self._press(place)
        self._until(lambda: panel.measure.curve, "no diameter came")
        panel.tools.take("")
        panel.measure.export()
        rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines())) if table.exists() else []
        assert len(rows) == len(panel.measure.rows) > 1, f"the table has {len(rows)} rows; {self._said()}"

    def draws(self) -> None:
        """Draw, erase, and show a plot: no server is needed for that once one has said what is outlined."""
        panel = self._panel
        panel.context.info = ServerInfo("SALT", ("vessel",), ("first",), "base")
        self._bring()
        self._brush("paint")
        panel.correct.undo()
        assert not self._mask().any(), "undo did not take it back"
        panel.correct.redo()
        self._brush("erase")
        self._tell("A plot is shown.")
        panel.measure.curve = Curve("Diameter in px", "position in px", "diameter")
        panel.measure.curve.put((0.0, 1.0), (4.0, 2.0))
        panel.context.changed()

    def _bring(self) -> None:
        """Open an image as Slicer opens files, and work on it."""
        volume = slicer.util.loadVolume(str(FOLDER / f"{SAMPLE}.png"), {"singleFile": True})
        self._panel.images.choose(volume)
        self._tell(f"{volume.GetName()} is in view.")

    def _brush(self, tool: str) -> None:
        """Paint a pixel in the middle of the image, or erase one that is outlined, with Slicer's own brush."""
        mask, paints = self._mask(), tool == "paint"
        self._tell(f"Slicer's own brush is to {tool}.")
        j, i = (mask.shape[0] // 2, mask.shape[1] // 2) if paints else (int(n) for n in np.argwhere(mask)[-1])
        self._panel.tools.take(tool)
        self._press((i, j))
        self._until(lambda: self._mask()[j, i] == paints, f"the brush did not {tool}")
        assert self._panel.correct.can_undo, f"the panel does not know of it that the brush did {tool}"
        self._panel.tools.take("")

    def _mask(self) -> np.ndarray:
        """Return what is outlined in the image in view, bool, (rows, columns)."""
        case = self._panel.context.case
        return case.outlines.frame_mask(case.labels[0], case.frame)

    def _press(self, pixel: Pixel) -> None:
        """Press the left button over a pixel in the view that shows the image."""
        volume = self._panel.context.case.volume
        for interactor, view in views_of_application():
            composite = slicer.mrmlScene.GetSingletonNode(view.GetLayoutName(), "vtkMRMLSliceCompositeNode")
            if composite.GetBackgroundVolumeID() == volume.GetID():
                to_xy = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.GetXYToRAS()))
                x, y, *_ = to_xy @ (*volumes.point(volume, (*pixel, 0)), 1.0)
                interactor.SetEventInformation(round(x), round(y))
                for event in ("MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
                    interactor.InvokeEvent(event)
                return
        raise AssertionError("no view shows the image")

    def _until(self, condition: Callable[[], object], wrong: str, patience: float = PATIENCE) -> None:
        end = time.monotonic() + patience
        while not condition():
            assert time.monotonic() < end, f"{wrong} within {patience:g} s; {self._said()}"
            slicer.app.processEvents()
            time.sleep(0.005)

    def _said(self) -> str:
        return f"the panel says: {self._panel.server.words} {self._panel.context.message}".strip()


def _ends(mask: np.ndarray) -> tuple[Pixel, Pixel]:
    """Return two pixels (i, j) of one vessel of a mask (rows, columns), some way apart."""
    vessel = np.argwhere(mask)
    begin = end = vessel[len(vessel) // 2]
    reached = np.zeros_like(mask)
    reached[tuple(begin)] = True
    for _ in range(STRETCH):
        grown = np.pad(reached, 1)
        near = (grown[:-2, 1:-1] | grown[2:, 1:-1] | grown[1:-1, :-2] | grown[1:-1, 2:]) & mask & ~reached
        if not near.any():
            break
        end = np.argwhere(near)[0]
        reached |= near
    return (int(begin[1]), int(begin[0])), (int(end[1]), int(end[0]))
