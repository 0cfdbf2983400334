"""The outlines of an image: one segment for each of the server's labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import slicer
import vtk

from . import colours, labelmaps, nodes, runs, volumes
from .browsing import place

_LABEL = "SALT.label"


class Outlines:
    """The masks of an image as segments that can be seen and edited.

    The segmentation of an image is found again if the scene has one already. Segments may overlap; one that was
    renamed is still known, one that was deleted counts as empty until something is put there. Of a run, each frame
    has its own segments, browsed together with it.

    Parameters
    ----------
    volume : vtkMRMLVolumeNode
        An image, a stack, or the volume that shows the frames of a run.
    labels : sequence of str
        The server's names, in the order of their values.

    Attributes
    ----------
    node : vtkMRMLSegmentationNode
    """

    def __init__(self, volume: slicer.vtkMRMLVolumeNode, labels: Sequence[str]) -> None:
        self.volume = volume
        self.labels = tuple(labels)
        self._grid = volumes.ijk_to_ras(volume)
        self._listeners: list[Callable[[str], None]] = []
        self._previous = _existing(volume, hidden=True)
        self._writing = False
        existing = _existing(volume, hidden=False)
        self.node = existing or self._new()
        if existing is not None:
            for node in self._frames():
                self._complete(node)
        self._stop_frames = runs.on_frame(volume, lambda _: self.show_previous(None))
        self._observers = slicer.util.VTKObservationMixin()
        self._observe()
        self._remember()

    @property
    def empty(self) -> bool:
        """Whether nothing is outlined."""
        return not any(self._read(node, label).any() for node in self._frames() for label in self.labels)

    def mask(self, label: str) -> np.ndarray:
        """Return all of one label's mask, bool, (frames, rows, columns)."""
        return np.concatenate([*self.parts(label)])

    def parts(self, label: str) -> Iterator[np.ndarray]:
        """Yield one label's mask, bool, (frames, rows, columns): of a run frame by frame, of a stack all at once."""
        # Whoever reads them pauses in between, and meanwhile another frame may be shown: each is looked up in its turn.
        return (self._read(self._of_frame(number), label) for number in range(self._count()))

    def put(self, label: str, mask: np.ndarray) -> None:
        """Replace all of one label's mask, bool, (frames, rows, columns); nobody is told of a change."""
        frames = self._frames()
        if mask.shape != (expected := volumes.shape(self.volume)):
            raise ValueError(f"a mask of {mask.shape} does not fit an image of {expected}")
        for node, part in zip(frames, np.split(mask, len(frames)), strict=True):
            self._write(node, label, part)

    def frame_mask(self, label: str, frame: int) -> np.ndarray:
        """Return one label's mask of one frame or slice, bool, (rows, columns)."""
        if place(self.node) is None:
            return self._read(self.node, label)[frame]
        return self._read(self._of_frame(frame), label)[0]

    def put_frame(self, label: str, frame: int, mask: np.ndarray) -> None:
        """Replace one label's mask of one frame or slice, bool, (rows, columns), whether it is shown or not."""
        shape = _shown_shape(self.volume)
        if mask.shape != shape[1:]:
            raise ValueError(f"a mask of {mask.shape} does not fit a frame of {shape[1:]}")
        if place(self.node) is None:
            with self._unheard():
                labelmaps.write_slice(self.node, self._segment(self.node, label), frame, mask, shape, self._grid)
        else:
            self._write(self._of_frame(frame), label, mask[None])

    def segment_id(self, label: str) -> str:
        """Return the ID of a label's segment on the frame shown, for an editor; it is made if it was deleted."""
        with self._unheard():
            return self._segment(self.node, label)

    def on_change(self, callback: Callable[[str], None]) -> None:
        """Call back with the label whose pixels were changed on the frame shown, by anything but this object."""
        self._listeners.append(callback)

    def show_previous(self, mask: np.ndarray | None) -> None:
        """Show a mask, bool, (rows, columns), as a faint outline on the frame shown, until another is; None ends it."""
        if mask is None:
            if self._previous is not None:
                self._previous.SetDisplayVisibility(False)
            return
        if self._previous is None or self._previous.GetScene() is None:
            self._previous = _faint_node(self.volume)
        segment_id = self._previous.GetSegmentation().GetNthSegmentID(0)
        stack = np.zeros(_shown_shape(self.volume), bool)
        stack[runs.frame(self.volume) if len(stack) > 1 else 0] = mask
        labelmaps.write(self._previous, segment_id, stack, self._grid)
        self._previous.SetDisplayVisibility(True)

    def close(self) -> None:
        """Stop watching; the nodes stay."""
        self._observers.removeObservers()
        self._stop_frames()
        if self._previous is not None:
            nodes.remove(self._previous)

    def _new(self) -> slicer.vtkMRMLSegmentationNode:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{self.volume.GetName()} outlines")
        _lay_on(node, self.volume)
        node.CreateDefaultDisplayNodes()
        colours.outline(node.GetDisplayNode(), volumes.is_flat(self.volume))
        nodes.belong(node, self.volume)
        self._complete(node)
        where = place(self.volume)
        if where is not None:
            runs.synchronise(node, where)
        return node

    def _complete(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """Have a segment for each label: an editor needs one to paint on, whichever frame is shown."""
        for label in self.labels:
            self._segment(node, label)

    def _frames(self) -> list[slicer.vtkMRMLSegmentationNode]:
        """Return one segmentation for each frame of a run, or the only one there is."""
        where = place(self.node)
        if where is None:
            return [self.node]
        shown, get = where.frame, where.sequence.GetNthDataNode
        return [self.node if number == shown else get(number) for number in range(where.frames)]

    def _count(self) -> int:
        where = place(self.node)
        return 1 if where is None else where.frames

    def _of_frame(self, number: int) -> slicer.vtkMRMLSegmentationNode:
        """Return what holds a frame now: of the one that is shown, the node in the scene."""
        where = place(self.node)
        return self.node if where is None or where.frame == number else where.sequence.GetNthDataNode(number)

    def _read(self, node: slicer.vtkMRMLSegmentationNode, label: str) -> np.ndarray:
        segment_id = _find(node, label)
        shape = _shown_shape(self.volume)
        return labelmaps.read(node, segment_id, shape, self._grid) if segment_id else np.zeros(shape, bool)

    def _write(self, node: slicer.vtkMRMLSegmentationNode, label: str, mask: np.ndarray) -> None:
        with self._unheard():
            labelmaps.write(node, self._segment(node, label), mask, self._grid)
        where = place(self.node)
        if where is not None and node is not self.node:
            where.sequence.StorableModified()

    def _segment(self, node: slicer.vtkMRMLSegmentationNode, label: str) -> str:
        segmentation = node.GetSegmentation()
        colour = colours.of_label(self.labels.index(label))
        segment_id = _find(node, label) or segmentation.AddEmptySegment(label, label, colour)
        segmentation.GetSegment(segment_id).SetTag(_LABEL, label)
        labelmaps.separate(node, segment_id)
        return segment_id

    def _observe(self) -> None:
        kinds = slicer.vtkSegmentation
        for event in (kinds.SourceRepresentationModified, kinds.SegmentModified, kinds.SegmentRemoved):
            self._observers.addObserver(self.node, event, self._look)
        self._observers.addObserver(self.node, self.node.SegmentationChangedEvent, self._look)
        self._observers.addObserver(self.volume, vtk.vtkCommand.ModifiedEvent, self._follow)
        self._observers.addObserver(self.volume, self.volume.TransformModifiedEvent, self._follow)

    @contextmanager
    def _unheard(self) -> Iterator[None]:
        """Change segments without telling anyone."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
            self._remember()

    def _look(self, *_: object) -> None:
        if self._writing:
            return
        before, shown = self._seen, self._shown
        self._remember()
        # Another frame of a run is another segmentation in the same node.
        if shown is not self._shown and place(self.node) is not None:
            return
        for label in self.labels:
            if before[label] != self._seen[label]:
                for callback in tuple(self._listeners):
                    callback(label)

    def _remember(self) -> None:
        self._shown = self.node.GetSegmentation()
        self._seen = {label: _state(self.node, label) for label in self.labels}

    def _follow(self, *_: object) -> None:
        """Stay on the image when it is moved, or given another spacing."""
        old, self._grid = self._grid, volumes.ijk_to_ras(self.volume)
        if self.node.GetTransformNodeID() == self.volume.GetTransformNodeID() and np.array_equal(old, self._grid):
            return
        with self._unheard():
            for node in self._frames():
                labelmaps.regrid(node, old, self._grid)
            _lay_on(self.node, self.volume)
        self.show_previous(None)


def _existing(volume: slicer.vtkMRMLVolumeNode, hidden: bool) -> slicer.vtkMRMLSegmentationNode | None:
    """Return the outlines of an image, or the hidden ones of before."""
    for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode"):
        if nodes.owner(node) is volume and node.GetHideFromEditors() == hidden:
            return node
    return None


def _lay_on(node: slicer.vtkMRMLSegmentationNode, volume: slicer.vtkMRMLVolumeNode) -> None:
    node.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)


def _faint_node(volume: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLSegmentationNode:
    node = nodes.hidden("vtkMRMLSegmentationNode", f"{volume.GetName()} before")
    _lay_on(node, volume)
    node.GetSegmentation().AddEmptySegment("before", "before", colours.PREVIOUS)
    node.CreateDefaultDisplayNodes()
    colours.faint(node.GetDisplayNode())
    nodes.unsaved(node)
    nodes.belong(node, volume)
    return node


def _find(node: slicer.vtkMRMLSegmentationNode, label: str) -> str:
    """Return the ID of a label's segment, which we tagged, or else of an untagged one of that name; empty for none."""
    segmentation = node.GetSegmentation()
    tags = {segment_id: _tag(segmentation.GetSegment(segment_id)) for segment_id in segmentation.GetSegmentIDs()}
    for segment_id, tag in tags.items():
        if tag == label:
            return segment_id
    named = segmentation.GetSegmentIdBySegmentName(label)
    return named if named and not tags[named] else ""


def _tag(segment: slicer.vtkSegment) -> str:
    tag = vtk.reference("")
    segment.GetTag(_LABEL, tag)
    return str(tag)


def _state(node: slicer.vtkMRMLSegmentationNode, label: str) -> tuple[object, int] | None:
    segment_id = _find(node, label)
    labelmap = node.GetBinaryLabelmapInternalRepresentation(segment_id) if segment_id else None
    return None if labelmap is None else (labelmap, labelmap.GetMTime())


def _shown_shape(volume: slicer.vtkMRMLVolumeNode) -> tuple[int, int, int]:
    return volume.GetImageData().GetDimensions()[::-1]
