"""Points that the radiologist sets: on missed vessels, on what is too much, and two by two."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import slicer
import vtk

from . import colours, nodes, volumes

Ras = tuple[float, float, float]
Volume = slicer.vtkMRMLVolumeNode
Points = slicer.vtkMRMLMarkupsFiducialNode

# Per cent of a view's diagonal: small enough to see the vessel that was meant.
SIZE = 1.8


class Clicks:
    """Points for adding, for removing, and for what lies between two.

    Points are set on nodes that all images share, since the mouse knows one node only. What stays, `show` puts on
    nodes of the image, which the view of another does not show. None of these nodes is listed or saved.

    Parameters
    ----------
    images : sequence of vtkMRMLVolumeNode
        Those that points may be set on: one, or the two planes of a biplane run.
    """

    def __init__(self, images: Sequence[Volume]) -> None:
        self.images = tuple(images)
        self._adding = _points("Add vessel", colours.ADDING)
        self._removing = _points("Remove vessel", colours.REMOVING)
        self._two = _points("From and to", colours.BETWEEN)
        # Made now, since the application lets the mouse set points of whichever node of points is new.
        self._kept = {image.GetID(): _points_of(image) for image in self.images}
        self._order: list[Points] = []
        self._listeners: list[Callable[[Ras, bool, Volume], None]] = []
        self._between: Callable[[Ras, Ras, Volume], None] | None = None
        self._observers = slicer.util.VTKObservationMixin()
        for node in (self._adding, self._removing, self._two):
            self._observers.addObserver(node, node.PointPositionDefinedEvent, self._placed)

    def on_click(self, callback: Callable[[Ras, bool, Volume], None]) -> None:
        """Call back with a point, whether it adds, and the image it is on; a point beside its image is dropped."""
        self._listeners.append(callback)

    def place(self, adds: bool) -> None:
        """Let the mouse set points one after the other, until `stop` or the right button ends it."""
        self._start(self._adding if adds else self._removing)

    def place_two(self, callback: Callable[[Ras, Ras, Volume], None]) -> None:
        """Let the mouse set two points on one image, once; then call back with them and the image."""
        self._two.RemoveAllControlPoints()
        self._between = callback
        self._start(self._two)

    def stop(self) -> None:
        """Let the mouse do again what it does without us."""
        interaction = _singleton("vtkMRMLInteractionNode")
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)

    @property
    def placing(self) -> bool:
        """Whether the mouse sets points of ours."""
        interaction = _singleton("vtkMRMLInteractionNode")
        active = _singleton("vtkMRMLSelectionNode").GetActivePlaceNodeID()
        ours = {node.GetID() for node in (self._adding, self._removing, self._two)}
        return active in ours and interaction.GetCurrentInteractionMode() == interaction.Place

    def undo(self) -> bool:
        """Take back the last point that was set and that no `show` has replaced; False if there is none."""
        if not self._order:
            return False
        node = self._order.pop()
        node.RemoveNthControlPoint(_defined(node)[-1])
        return True

    def show(self, image: Volume, adding: Sequence[Ras], removing: Sequence[Ras]) -> None:
        """Show these points on an image, in place of all that it shows and of all that were set."""
        self._order.clear()
        self._adding.RemoveAllControlPoints()
        self._removing.RemoveAllControlPoints()
        for node, points in zip(self._kept[image.GetID()], (adding, removing), strict=True):
            node.RemoveAllControlPoints()
            for point in points:
                node.AddControlPointWorld(point)

    def clear(self) -> None:
        """Take all points away."""
        for image in self.images:
            self.show(image, (), ())
        self._two.RemoveAllControlPoints()

    def close(self) -> None:
        """Stop, and take all points and their nodes out of the scene."""
        self._observers.removeObservers()
        if self.placing:
            self.stop()
        for node in (self._adding, self._removing, self._two, *(node for pair in self._kept.values() for node in pair)):
            nodes.remove(node)

    def _start(self, node: Points) -> None:
        selection, interaction = _singleton("vtkMRMLSelectionNode"), _singleton("vtkMRMLInteractionNode")
        selection.SetReferenceActivePlaceNodeClassName(node.GetClassName())
        selection.SetActivePlaceNodeID(node.GetID())
        interaction.SetPlaceModePersistence(1)
        interaction.SetCurrentInteractionMode(interaction.Place)

    @vtk.calldata_type(vtk.VTK_INT)
    def _placed(self, node: Points, _event: str, number: int) -> None:
        image = self._image_at(node, number)
        if image is None:
            # The mouse still holds the point; it is taken away with the next that are.
            node.SetNthControlPointVisibility(number, False)
            return
        node.SetNthControlPointLocked(number, True)
        if node is self._two:
            self._placed_two(image)
            return
        self._order.append(node)
        for callback in tuple(self._listeners):
            callback(_ras(node, number), node is self._adding, image)

    def _placed_two(self, image: Volume) -> None:
        placed = [number for number in _defined(self._two) if self._image_at(self._two, number) is image]
        if len(placed) < 2 or self._between is None:
            return
        callback, self._between = self._between, None
        self.stop()
        callback(_ras(self._two, placed[0]), _ras(self._two, placed[1]), image)

    def _image_at(self, node: Points, number: int) -> Volume | None:
        """Return the image under a point: that of the view it was set in, else the first that it is on."""
        under = node.GetNthControlPointAssociatedNodeID(number)
        candidates = [image for image in self.images if image.GetID() == under] or self.images
        ras = _ras(node, number)
        return next((image for image in candidates if volumes.pixel(image, ras) is not None), None)


def _points_of(image: Volume) -> tuple[Points, Points]:
    added, removed = _points("Added vessel", colours.ADDING), _points("Removed vessel", colours.REMOVING)
    for node in (added, removed):
        node.SetLocked(True)
        nodes.belong(node, image)
    return added, removed


def _points(name: str, colour: colours.Colour) -> Points:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    nodes.unsaved(node)
    display = node.GetDisplayNode()
    display.SetColor(colour)
    display.SetSelectedColor(colour)
    display.SetGlyphType(display.ThickCross2D)
    display.SetUseGlyphScale(True)
    display.SetGlyphScale(SIZE)
    display.SetPointLabelsVisibility(False)
    display.SetPropertiesLabelVisibility(False)
    display.SetVisibility3D(False)
    return node


def _defined(node: Points) -> list[int]:
    """Return the numbers of the points that were set, without the one that follows the mouse and those dropped."""
    return [
        number
        for number in range(node.GetNumberOfControlPoints())
        if node.GetNthControlPointPositionStatus(number) == node.PositionDefined
        and node.GetNthControlPointVisibility(number)
    ]


def _ras(node: Points, number: int) -> Ras:
    ras = [0.0, 0.0, 0.0]
    node.GetNthControlPointPositionWorld(number, ras)
    return ras[0], ras[1], ras[2]


def _singleton(class_name: str) -> slicer.vtkMRMLNode:
    return slicer.mrmlScene.GetFirstNodeByClass(class_name)
