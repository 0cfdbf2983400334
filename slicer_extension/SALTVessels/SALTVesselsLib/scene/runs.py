"""Runs: frames that follow each other in time are a sequence of one-slice volumes, shown by a browser.

A run that Slicer loaded from DICOM is such a sequence already, or a stack of slices; all of this works on those too.
The volume that is shown stays the same node while its content changes from frame to frame. So what belongs to one frame
is kept under the sequence and the frame's number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator

import numpy as np
import slicer
import vtk

from ..pixels import Picture
from ..steps import at_once
from . import names, nodes, volumes
from .browsing import Place, place


@dataclasses.dataclass(frozen=True)
class Run:
    """A run in the scene.

    Attributes
    ----------
    volume : vtkMRMLVolumeNode
        Shows one frame at a time.
    sequence : vtkMRMLSequenceNode
    browser : vtkMRMLSequenceBrowserNode
    """

    volume: slicer.vtkMRMLVolumeNode
    sequence: slicer.vtkMRMLSequenceNode
    browser: slicer.vtkMRMLSequenceBrowserNode


def add(picture: Picture, image: str = "", identity: str = "", beside: slicer.vtkMRMLVolumeNode | None = None) -> Run:
    """Add a run to the scene; `image` and `identity` as for `volumes.add`, `beside` as for `add_by_steps`."""
    return at_once(add_by_steps(picture, image, identity, beside))


def add_by_steps(
    picture: Picture, image: str = "", identity: str = "", beside: slicer.vtkMRMLVolumeNode | None = None
) -> Generator[int, None, Run]:
    """Add a run frame by frame, for a caller who lets the application breathe in between.

    Parameters
    ----------
    picture : Picture
    image, identity : str
        As for `volumes.add`.
    beside : vtkMRMLVolumeNode, optional
        The other plane of a biplane run. If that is a run of as many frames, both are browsed together.

    Yields
    ------
    int
        The number of frames that are in the scene.

    Returns
    -------
    Run
    """
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", picture.name)
    sequence.SetIndexName("frame")
    sequence.SetIndexUnit("")
    item = slicer.vtkMRMLVectorVolumeNode() if picture.pixels.ndim == 4 else slicer.vtkMRMLScalarVolumeNode()
    for number, pixels in enumerate(picture.pixels):
        volumes.fill(item, pixels[None], volumes.FLIP @ picture.ijk_to_lps)
        sequence.SetDataNodeAtValue(item, str(number))
        yield number + 1
    volume = volumes.add(dataclasses.replace(picture, pixels=picture.pixels[:1], facts={}))
    volumes.show_whole_range(volume, picture.pixels)
    browser = _browser(picture, beside)
    with slicer.util.NodeModify(browser):
        if browser.GetMasterSequenceNode() is None:
            browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
            browser.SetIndexDisplayMode(browser.IndexDisplayAsIndex)
            browser.SetPlaybackRateFps(_rate(picture.facts.get("frame_times_ms", "")))
            browser.SetSelectedItemNumber(0)
        else:
            browser.AddSynchronizedSequenceNode(sequence)
        browser.AddProxyNode(volume, sequence, False)
    volumes.write_down(volume, picture.facts)
    if image:
        names.remember(volume, image, identity)
    return Run(volume, sequence, browser)


def _browser(picture: Picture, beside: slicer.vtkMRMLVolumeNode | None) -> slicer.vtkMRMLSequenceBrowserNode:
    """Return what frames are gone through by: that of another run of as many, or a new one."""
    other = None if beside is None else place(beside)
    if other is not None and other.frames == len(picture.pixels):
        return other.browser
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{picture.name} frames")


def frame(volume: slicer.vtkMRMLVolumeNode) -> int:
    """Return the frame of a run, or the slice of a stack, that is shown; 0 for a single image."""
    where = place(volume)
    if where is not None:
        return where.frame
    last = volume.GetImageData().GetDimensions()[2] - 1
    for view in _views(volume):
        to_ras = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())
        local = volumes.to_world(volume).GetInverse().TransformPoint(to_ras[:3, 3])
        k = (np.linalg.inv(volumes.ijk_to_ras(volume)) @ (*local, 1.0))[2]
        return int(np.clip(np.floor(k + 0.5), 0, last))
    return 0


def key(volume: slicer.vtkMRMLVolumeNode) -> tuple[str, int]:
    """Return under what to keep things that belong to the frame shown: the sequence's or the volume's ID, the frame."""
    where = place(volume)
    return (volume if where is None else where.sequence).GetID(), frame(volume)


def on_frame(volume: slicer.vtkMRMLVolumeNode, callback: Callable[[int], None]) -> Callable[[], None]:
    """Tell when another frame of a run is shown, or another slice of a stack; a stack must be in a view already.

    Returns
    -------
    callable
        Ends it.
    """
    shown = frame(volume)

    def look(*_: object) -> None:
        nonlocal shown
        if volume.GetScene() is None:
            return
        now = frame(volume)
        if now != shown:
            shown = now
            callback(now)

    where = place(volume)
    watched = _views(volume) if where is None else [where.browser]
    # The browser's own followers come first, so that the frame is in the scene when its number is told.
    tags = [(node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, look, -1.0)) for node in watched]

    def stop() -> None:
        for node, tag in tags:
            node.RemoveObserver(tag)

    return stop


def synchronise(segmentation: slicer.vtkMRMLSegmentationNode, where: Place) -> None:
    """Give each frame of a run a segmentation of its own, beginning as copies of this one.

    The segmentation is browsed together with the run, and what is changed in it is kept with the frame.
    """
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", f"{segmentation.GetName()} by frame")
    sequence.SetIndexName(where.sequence.GetIndexName())
    sequence.SetIndexUnit(where.sequence.GetIndexUnit())
    sequence.SetIndexType(where.sequence.GetIndexType())
    for number in range(where.frames):
        sequence.SetDataNodeAtValue(segmentation, where.sequence.GetNthIndexValue(number))
    with slicer.util.NodeModify(where.browser):
        where.browser.AddSynchronizedSequenceNodeID(sequence.GetID())
        where.browser.AddProxyNode(segmentation, sequence, False)
        where.browser.SetSaveChanges(sequence, True)


def remove(volume: slicer.vtkMRMLVolumeNode) -> None:
    """Take an image or run out of the scene, with its outlines, points and sequences."""
    ours = [volume, *nodes.tied(volume)]
    for node in tuple(ours):
        where = place(node)
        if where is not None:
            where.browser.RemoveSynchronizedSequenceNode(where.sequence.GetID())
            ours.append(where.sequence)
            if where.browser.GetNumberOfSynchronizedSequenceNodes(True) == 0:
                ours.append(where.browser)
    for node in ours:
        nodes.remove(node)


def _views(volume: slicer.vtkMRMLVolumeNode) -> list[slicer.vtkMRMLSliceNode]:
    return [
        slicer.mrmlScene.GetSingletonNode(composite.GetLayoutName(), "vtkMRMLSliceNode")
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
        if composite.GetBackgroundVolumeID() == volume.GetID()
    ]


def _rate(times: str) -> float:
    """Return frames a second from times in ms; ten where none are known, as Slicer does."""
    steps = np.diff([float(time) for time in times.split()])
    return 1000.0 / float(np.median(steps)) if len(steps) and np.median(steps) > 0 else 10.0
