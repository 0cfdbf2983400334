"""Images in the scene: one comes in from the server, one goes out to it, and a point becomes a pixel."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import slicer
import vtk

from ..pixels import Picture
from ..steps import at_once
from . import names, nodes
from .browsing import holder, place

# Of these a reader takes the resolution of print or screen for millimetres, or finds none.
PHOTOGRAPHS = {".png", ".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp", ".pgm", ".ppm", ".tif", ".tiff"}
VIEWS = ("Red", "Yellow")
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])

_FACTS = "SALT."
_SPACING = "SALT.spacing_known"
_GREEN = "SALT.green"


def add(picture: Picture, image: str = "", identity: str = "") -> slicer.vtkMRMLVolumeNode:
    """Add an image to the scene as one volume; `runs.add` is for those whose frames follow each other in time.

    Parameters
    ----------
    picture : Picture
        Its facts are remembered by the volume.
    image, identity : str
        The server's name of it, and which server that is; see `names`.

    Returns
    -------
    vtkMRMLScalarVolumeNode or vtkMRMLVectorVolumeNode
    """
    coloured = picture.pixels.ndim == 4
    node = slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLVectorVolumeNode" if coloured else "vtkMRMLScalarVolumeNode", picture.name
    )
    fill(node, picture.pixels, FLIP @ picture.ijk_to_lps)
    node.CreateDefaultDisplayNodes()
    show_whole_range(node, picture.pixels)
    write_down(node, picture.facts)
    if image:
        names.remember(node, image, identity)
    return node


def fill(node: slicer.vtkMRMLVolumeNode, pixels: np.ndarray, ijk_to_ras: np.ndarray) -> None:
    """Give a volume its pixels, (slices, rows, columns[, 3]), and its 4×4 geometry."""
    with slicer.util.NodeModify(node):
        slicer.util.updateVolumeFromArray(node, pixels)
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))


def show_whole_range(node: slicer.vtkMRMLVolumeNode, pixels: np.ndarray) -> None:
    """Show an image from black to white over all that occurs in `pixels`, eight bits as they are.

    Slicer would choose the range anew for every image, and one frame of a run would look brighter than the next.
    """
    low, high = (0, 255) if pixels.dtype == np.uint8 else (float(np.nanmin(pixels)), float(np.nanmax(pixels)))
    node.GetDisplayNode().AutoWindowLevelOff()
    node.GetDisplayNode().SetWindowLevelMinMax(low, max(high, low + 1))


def picture_of(node: slicer.vtkMRMLVolumeNode) -> Picture:
    """Return what a server is sent; see `picture_of_by_steps`."""
    return at_once(picture_of_by_steps(node))


def picture_of_by_steps(node: slicer.vtkMRMLVolumeNode) -> Generator[None, None, Picture]:
    """Copy what a server is sent: stored values, all frames of a run, red, green and blue of a colour image.

    The geometry is the image's own. A transform that was put on top of it in Slicer says where it is shown, not what
    it is, and i, j, k are the same with and without.
    """
    where = place(node)
    frames = [node] if where is None else [where.sequence.GetNthDataNode(n) for n in range(where.frames)]
    kept = holder(node)
    facts = {
        name.removeprefix(_FACTS): kept.GetAttribute(name)
        for name in kept.GetAttributeNames()
        if name.startswith(_FACTS) and name != names.ANYWHERE
    }
    facts["spacing_known"] = "1" if spacing_known(node) else "0"
    if where is not None and "frame_times_ms" not in facts:
        facts.update(_times(where.sequence))
    name, ijk_to_lps = kept.GetName(), FLIP @ ijk_to_ras(node)
    shown = list(chain.from_iterable(map(_pixels, frames)))
    # To put copies together afterwards would hold up the window.
    pixels = np.empty((len(shown), *shown[0].shape), np.result_type(*{frame.dtype for frame in shown}))
    for number, frame in enumerate(shown):
        pixels[number] = frame
        yield
    return Picture(pixels, ijk_to_lps, name, facts)


def write_down(node: slicer.vtkMRMLVolumeNode, facts: Mapping[str, str]) -> None:
    """Keep what is known of an image, or of the run that it shows a frame of."""
    for name, value in facts.items():
        holder(node).SetAttribute(_FACTS + name, value)


def spacing_known(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Tell whether lengths in this image may be given in millimetres.

    The server's word counts. Of an image opened in Slicer, a photograph has no spacing, and pixels of exactly 1 mm
    are what a reader puts where a file says nothing.
    """
    kept = holder(node)
    said = kept.GetAttribute(_SPACING)
    if said is not None:
        return said == "1"
    storage = kept.GetStorageNode()
    name = (storage.GetFileName() or "") if storage is not None else ""
    return Path(name).suffix.lower() not in PHOTOGRAPHS and tuple(node.GetSpacing()[:2]) != (1.0, 1.0)


def ijk_to_ras(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """Return the 4×4 matrix from pixel to millimetres, without parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def shape(node: slicer.vtkMRMLVolumeNode) -> tuple[int, int, int]:
    """Return the number of frames or slices, of rows, and of columns: the shape of a mask of all of it."""
    columns, rows, slices = node.GetImageData().GetDimensions()
    where = place(node)
    return (slices if where is None else where.frames), rows, columns


def is_flat(node: slicer.vtkMRMLVolumeNode) -> bool:
    """Tell whether what is shown is one slice, so that there is nothing to see in 3D."""
    return node.GetImageData().GetDimensions()[2] == 1


def pixel(node: slicer.vtkMRMLVolumeNode, ras: Sequence[float]) -> tuple[int, int, int] | None:
    """Return the pixel (i, j, k) at a point of the world, through all parent transforms; None outside.

    Of a run, k is 0: the frame is not a place.
    """
    local = to_world(node).GetInverse().TransformPoint(ras)
    indices = np.floor((np.linalg.inv(ijk_to_ras(node)) @ (*local, 1.0))[:3] + 0.5).astype(int)
    if (indices < 0).any() or (indices >= node.GetImageData().GetDimensions()).any():
        return None
    i, j, k = (int(index) for index in indices)
    return i, j, k


def point(node: slicer.vtkMRMLVolumeNode, ijk: Sequence[float] | np.ndarray) -> tuple[float, float, float]:
    """Return the point of the world at a pixel, or between pixels."""
    return to_world(node).TransformPoint((ijk_to_ras(node) @ (*ijk, 1.0))[:3])


def show(*images: slicer.vtkMRMLVolumeNode) -> None:
    """Show one image alone, or the two planes of a biplane run side by side, upright and whole.

    A view looks straight at the rows and columns of the image, wherever the patient is, as a DICOM viewer does. A
    layout that the user chose stays; the usual ones, most of which is empty for a flat image, do not.
    """
    layout = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    usual = (
        layout.SlicerLayoutInitialView,
        layout.SlicerLayoutDefaultView,
        layout.SlicerLayoutConventionalView,
        layout.SlicerLayoutFourUpView,
        layout.SlicerLayoutOneUpRedSliceView,
        layout.SlicerLayoutSideBySideView,
    )
    if layout.GetViewArrangement() in usual:
        layout.SetViewArrangement(
            layout.SlicerLayoutOneUpRedSliceView if len(images) == 1 else layout.SlicerLayoutSideBySideView
        )
    places = dict(zip(VIEWS, images, strict=False))
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        image = places.get(composite.GetLayoutName(), images[0])
        composite.SetBackgroundVolumeID(image.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
    face(*images)
    nodes.confine_all()


def face(*images: slicer.vtkMRMLVolumeNode) -> None:
    """Have the views that show one of these images show it upright and whole."""
    shown = {image.GetID(): image for image in images if image.GetScene() is not None}
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        image = shown.get(composite.GetBackgroundVolumeID())
        if image is not None:
            _face(slicer.mrmlScene.GetSingletonNode(composite.GetLayoutName(), "vtkMRMLSliceNode"), image)


def _face(view: slicer.vtkMRMLSliceNode, node: slicer.vtkMRMLVolumeNode) -> None:
    columns, rows, slices = node.GetImageData().GetDimensions()
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2, (slices - 1) // 2])
    centre = np.array(point(node, middle))
    across, down, through = (np.array(point(node, middle + step)) - centre for step in np.eye(3))
    right = across / np.linalg.norm(across)
    up = right * (down @ right) - down
    up /= np.linalg.norm(up)
    to_ras = np.eye(4)
    to_ras[:3] = np.column_stack([right, up, np.cross(right, up), centre])
    width, height, depth = view.GetDimensions()
    wide = max(columns * np.linalg.norm(across), rows * np.linalg.norm(down) * width / height)
    with slicer.util.NodeModify(view):
        slicer.util.updateVTKMatrixFromArray(view.GetSliceToRAS(), to_ras)
        view.SetXYZOrigin(0, 0, 0)
        view.SetFieldOfView(wide, wide * height / width, depth * np.linalg.norm(through))
        view.UpdateMatrices()


def to_world(node: slicer.vtkMRMLTransformableNode) -> vtk.vtkGeneralTransform:
    """Return the transform, linear or not, from a node's own coordinates to the world."""
    transform = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, transform)
    return transform


def green(node: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    """Return the gray image that Segment Editor effects work on.

    Effects see the first channel only, and vessels of the retina are faint in red. So a colour image has a hidden
    companion with its green channel, made here and kept in step; a gray image is its own.
    """
    if not node.IsA("vtkMRMLVectorVolumeNode"):
        return node
    companion = node.GetNodeReference(_GREEN)
    # A copied image still refers to the companion of the one that it was copied from.
    if companion is None or nodes.owner(companion) is not node:
        companion = _new_companion(node)
    return companion


def _new_companion(node: slicer.vtkMRMLVectorVolumeNode) -> slicer.vtkMRMLScalarVolumeNode:
    companion = nodes.hidden("vtkMRMLScalarVolumeNode", f"{node.GetName()} green")
    nodes.belong(companion, node)
    node.SetNodeReferenceID(_GREEN, companion.GetID())

    def keep_in_step(*_: object) -> None:
        if node.GetNodeReference(_GREEN) is not companion:
            for tag in tags:
                node.RemoveObserver(tag)
        elif node.GetImageData() is not None:
            pixels = _pixels(node)
            fill(companion, pixels[..., 1] if pixels.ndim == 4 else pixels, ijk_to_ras(node))
            companion.SetAndObserveTransformNodeID(node.GetTransformNodeID())

    events = (
        vtk.vtkCommand.ModifiedEvent,
        slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent,
        slicer.vtkMRMLTransformableNode.TransformModifiedEvent,
    )
    tags = [node.AddObserver(event, keep_in_step) for event in events]
    keep_in_step()
    return companion


def _pixels(node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    values = slicer.util.arrayFromVolume(node)
    if values.ndim == 3:
        return values
    return values[..., :3] if values.shape[3] >= 3 else values[..., 0]


def _times(sequence: slicer.vtkMRMLSequenceNode) -> dict[str, str]:
    factor = {"s": 1000.0, "ms": 1.0}.get(sequence.GetIndexUnit())
    if factor is None:
        return {}
    values = (float(sequence.GetNthIndexValue(n)) * factor for n in range(sequence.GetNumberOfDataNodes()))
    return {"frame_times_ms": " ".join(f"{value:g}" for value in values)}
