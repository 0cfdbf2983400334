"""Which image Slicer shows, whoever chose it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import slicer
import vtk

from ..scene import volumes

Volume: TypeAlias = slicer.vtkMRMLVolumeNode
MAIN = "Red"


class View:
    """The main slice view.

    Parameters
    ----------
    changed : callable
        Told of another image in it, however it came there.
    """

    def __init__(self, changed: Callable[[Volume], None]) -> None:
        self._changed = changed
        self._tag: tuple[slicer.vtkMRMLSliceCompositeNode, int] | None = None
        self._seen = ""

    @property
    def image(self) -> Volume | None:
        """What is shown, if it can be worked on."""
        composite = _main()
        node = None if composite is None else slicer.mrmlScene.GetNodeByID(composite.GetBackgroundVolumeID() or "")
        return node if node in images() else None

    def watch(self) -> None:
        """Look at the view of the scene there is."""
        self.leave()
        composite = _main()
        if composite is not None:
            self._seen = composite.GetBackgroundVolumeID() or ""
            self._tag = composite, composite.AddObserver(vtk.vtkCommand.ModifiedEvent, self._look)

    def leave(self) -> None:
        """Look no more."""
        if self._tag is not None:
            composite, tag = self._tag
            composite.RemoveObserver(tag)
            self._tag = None

    def show(self, image: Volume, beside: Volume | None = None) -> None:
        """Show an image, on the right of another if there is one; what is shown already stays as the user has it."""
        if any(composite.GetBackgroundVolumeID() == image.GetID() for composite in _views()):
            return
        main = image if beside is None or beside is image else beside
        # Of what is shown on request nobody need be told.
        self._seen = main.GetID()
        volumes.show(*dict.fromkeys((main, image)))

    def _look(self, composite: slicer.vtkMRMLSliceCompositeNode, _event: str) -> None:
        shown = composite.GetBackgroundVolumeID() or ""
        if shown != self._seen:
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


def _views() -> list[slicer.vtkMRMLSliceCompositeNode]:
    return slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")


def _main() -> slicer.vtkMRMLSliceCompositeNode | None:
    return slicer.mrmlScene.GetSingletonNode(MAIN, "vtkMRMLSliceCompositeNode")
