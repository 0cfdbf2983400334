"""Which image Slicer shows, whoever chose it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import slicer
import vtk

from ..scene import volumes
from ..steps import Later

Volume: TypeAlias = slicer.vtkMRMLVolumeNode
MAIN = "Red"
# Seconds after which the views of a new layout have their size.
SETTLED = 0.1


class View:
    """The main slice view; while the panel is not in sight, what is put into it is for others.

    Parameters
    ----------
    changed : callable
        Told of another image in it, however it came there.
    later : callable
        Calls a function after so many seconds, on this thread.
    """

    def __init__(self, changed: Callable[[Volume], None], later: Later) -> None:
        self._changed = changed
        self._later = later
        self._tag: tuple[slicer.vtkMRMLSliceCompositeNode, int] | None = None
        self._seen = ""
        self._in_sight = True
        # What is to be shown when the panel comes into sight.
        self._wished: tuple[Volume, ...] = ()

    @property
    def image(self) -> Volume | None:
        """What is shown, if it can be worked on and the panel is in sight."""
        composite = _main() if self._in_sight else None
        node = None if composite is None else slicer.mrmlScene.GetNodeByID(_background(composite))
        return node if node in images() else None

    def watch(self) -> None:
        """Look at the view of the scene there is."""
        self.leave()
        composite = _main()
        if composite is not None:
            # What nobody looks at now is new when the panel comes into sight.
            self._seen = _background(composite) if self._in_sight else ""
            self._tag = composite, composite.AddObserver(vtk.vtkCommand.ModifiedEvent, self._look)

    def leave(self) -> None:
        """Look no more."""
        self._wished = ()
        if self._tag is not None:
            composite, tag = self._tag
            composite.RemoveObserver(tag)
            self._tag = None

    def come_into_sight(self) -> None:
        """Tell of other images from now on, and of one that was put there meanwhile; else show what was asked for."""
        self._in_sight = True
        wished = [image for image in self._wished if image.GetScene() is not None]
        self._wished = ()
        if self._tag is None:
            return
        composite, _ = self._tag
        if wished and _background(composite) == self._seen:
            self.show(*wished)
        else:
            self._look(composite)

    def go_out_of_sight(self) -> None:
        """Tell of no images until the panel comes into sight."""
        self._in_sight = False

    def show(self, image: Volume, beside: Volume | None = None) -> None:
        """Show an image, on the right of another if there is one; what is shown already stays as the user has it.

        While the panel is not in sight the views are others': it is shown when the panel comes into sight.
        """
        if not self._in_sight:
            self._wished = (image,) if beside is None else (image, beside)
            return
        if any(_background(composite) == image.GetID() for composite in _views()):
            return
        main = image if beside is None or beside is image else beside
        # Of what is shown on request nobody need be told.
        self._seen = main.GetID()
        shown = tuple(dict.fromkeys((main, image)))
        volumes.show(*shown)
        # In another layout views have another size, which they are given after this.
        self._later(SETTLED, lambda: volumes.face(*shown))

    def _look(self, composite: slicer.vtkMRMLSliceCompositeNode, _event: str = "") -> None:
        shown = _background(composite)
        if self._in_sight and shown != self._seen:
            self._seen = shown
            image = self.image
            if image is not None:
                self._changed(image)


def images() -> list[Volume]:
    """Return the images of the scene that can be worked on."""
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if not node.GetHideFromEditors() and node.GetImageData() and not node.IsA("vtkMRMLLabelMapVolumeNode")
    ]


def _background(composite: slicer.vtkMRMLSliceCompositeNode) -> str:
    return composite.GetBackgroundVolumeID() or ""


def _views() -> list[slicer.vtkMRMLSliceCompositeNode]:
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def _main() -> slicer.vtkMRMLSliceCompositeNode | None:
    return slicer.mrmlScene.GetSingletonNode(MAIN, "vtkMRMLSliceCompositeNode")
