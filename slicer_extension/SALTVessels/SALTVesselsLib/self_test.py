"""A session inside Slicer itself: what no stand-in can show, with the application's views, editor and network.

Without a server, the parts that need none are tested. With one, whose address is in SALT_ADDRESS, an image is brought,
outlined, corrected by the mouse and painted by the Segment Editor.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import slicer

from .pixels import Picture
from .pointer import views_of_application
from .scene import volumes

PATIENCE = 180.0


def run(widget: Any, tell: Callable[[str], None]) -> None:
    """Run it on the module's widget; raises AssertionError if something is wrong."""
    slicer.util.selectModule("SALTVessels")
    panel = widget.panel
    tell("The panel opens, and an image can be worked on.")
    assert panel.server.state == "off"
    address = os.environ.get("SALT_ADDRESS", "")
    if not address:
        tell("SALT_ADDRESS names no server: what needs one is left out.")
        volumes.show(volumes.add(Picture(np.zeros((1, 64, 64), np.uint8), np.eye(4), "empty")))
        return
    panel.context.around.ask.confirm = lambda _: True
    panel.server.connect(address)
    _until(lambda: panel.server.usable and panel.images.listed)
    panel.images.next("first")
    _until(lambda: panel.context.case is not None and not panel.images.busy)
    case = panel.context.case
    tell(f"{case.image} is in view.")
    panel.segment.start()
    _until(lambda: not panel.segment.running)
    before = case.outlines.mask(case.labels[0])
    assert before.any(), "nothing was outlined"
    tell("It is outlined; now a click of the mouse removes a vessel.")
    j, i = (int(index) for index in np.argwhere(before[case.frame])[0])
    panel.tools.take("remove")
    _press(case.volume, (i, j, 0 if volumes.is_flat(case.volume) else case.frame))
    _until(lambda: not panel.correct.busy)
    assert not case.outlines.mask(case.labels[0])[case.frame, j, i], "the click was not followed"
    panel.correct.undo()
    assert np.array_equal(case.outlines.mask(case.labels[0]), before), "undo did not bring it back"
    tell("Slicer's own brush erases it.")
    panel.tools.take("erase")
    _press(case.volume, (i, j, 0 if volumes.is_flat(case.volume) else case.frame))
    _until(lambda: panel.correct.can_undo and not case.outlines.mask(case.labels[0])[case.frame, j, i])
    panel.tools.take("")
    tell("All of it works.")


def _press(volume: slicer.vtkMRMLVolumeNode, ijk: tuple[int, int, int]) -> None:
    """Press the left button over a pixel in the view that shows the image."""
    for interactor, view in views_of_application():
        composite = slicer.mrmlScene.GetSingletonNode(view.GetLayoutName(), "vtkMRMLSliceCompositeNode")
        if composite.GetBackgroundVolumeID() == volume.GetID():
            to_xy = np.linalg.inv(slicer.util.arrayFromVTKMatrix(view.GetXYToRAS()))
            x, y, *_ = to_xy @ (*volumes.point(volume, ijk), 1.0)
            interactor.SetEventInformation(round(x), round(y))
            for event in ("MouseMoveEvent", "LeftButtonPressEvent", "LeftButtonReleaseEvent"):
                interactor.InvokeEvent(event)
            return
    raise AssertionError("no view shows the image")


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"nothing came of it within {PATIENCE:g} s"
        slicer.app.processEvents()
        time.sleep(0.005)
