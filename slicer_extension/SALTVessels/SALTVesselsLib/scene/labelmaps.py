"""One segment as an array on an image's grid, and back, to the pixel."""

from __future__ import annotations

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

# Pixels; far more than rounding of a matrix adds up to across an image, far less than any eye sees.
SAME = 1e-3


def write(node: slicer.vtkMRMLSegmentationNode, segment_id: str, mask: np.ndarray, ijk_to_ras: np.ndarray) -> None:
    """Replace one segment; other segments stay as they are, also where they overlap it.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
    segment_id : str
    mask : ndarray of bool, (slices, rows, columns)
    ijk_to_ras : ndarray, (4, 4)
        In the segmentation's own coordinates, before parent transforms.
    """
    _replace(node, segment_id, image(mask, ijk_to_ras))


def write_slice(
    node: slicer.vtkMRMLSegmentationNode,
    segment_id: str,
    number: int,
    mask: np.ndarray,
    shape: tuple[int, int, int],
    ijk_to_ras: np.ndarray,
) -> None:
    """Replace one slice of a segment that shares its labelmap with none; other slices are not gone through.

    `write` takes as long as the stack is large, which holds the application up. It is called where surfaces are shown,
    for these are made of the whole, and where the labelmap lies on another grid.

    Parameters
    ----------
    node : vtkMRMLSegmentationNode
    segment_id : str
    number : int
    mask : ndarray of bool, (rows, columns)
    shape : tuple of int
        Of the stack: slices, rows, columns.
    ijk_to_ras : ndarray, (4, 4)
        Of the stack.
    """
    part = image(mask[None], ijk_to_ras, number)
    segment = node.GetSegmentation().GetSegment(segment_id)
    labelmap = _labelmap(segment)
    if labelmap is None:
        _replace(node, segment_id, part)
        return
    shift = _shift(labelmap, ijk_to_ras, shape)
    surface = slicer.vtkSegmentationConverter.GetClosedSurfaceRepresentationName()
    if shift is None or node.GetSegmentation().ContainsRepresentation(surface):
        stack = read(node, segment_id, shape, ijk_to_ras)
        stack[number] = mask
        write(node, segment_id, stack, ijk_to_ras)
        return
    first, size = np.array((0, 0, number)) - shift, np.array((*mask.shape[::-1], 1))
    own = np.reshape(labelmap.GetExtent(), (3, 2))
    inside = np.all(own[:, 0] <= first) and np.all(first + size - 1 <= own[:, 1])
    target = labelmap if inside else _grown(labelmap, shape, ijk_to_ras)
    begin = first - target.GetExtent()[::2]
    here = tuple(slice(start, start + length) for start, length in zip(begin[::-1], size[::-1], strict=True))
    # A product of its own would be of 64 bits: of a large image, longer to make room for than to write.
    np.multiply(mask, segment.GetLabelValue(), out=_values(target)[here][0], casting="unsafe")
    if inside:
        labelmap.Modified()
    else:
        labelmap.ShallowCopy(target)


def separate(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> None:
    """Give a segment a labelmap of its own, so that a change of another is no change of it."""
    sharing: list[str] = []
    # IsSharedBinaryLabelmap, of Slicer 5.12, says the contrary of what is so.
    node.GetSegmentation().GetSegmentIDsSharingBinaryLabelmapRepresentation(segment_id, sharing, False)
    if sharing:
        node.GetSegmentation().SeparateSegmentLabelmap(segment_id)


def read(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str, shape: tuple[int, int, int], ijk_to_ras: np.ndarray
) -> np.ndarray:
    """Return one segment on a grid, whatever part of it the segment's own labelmap covers.

    Returns
    -------
    ndarray of bool, `shape` (slices, rows, columns)
    """
    mask = np.zeros(shape, bool)
    segment = node.GetSegmentation().GetSegment(segment_id)
    labelmap = _labelmap(segment)
    if labelmap is None:
        return mask
    shift = _shift(labelmap, ijk_to_ras, shape)
    if shift is None:
        labelmap, shift = _resampled(labelmap, shape, ijk_to_ras), np.zeros(3, int)
    first = np.array(labelmap.GetExtent()[::2]) + shift
    values = _values(labelmap)
    there, here = zip(*(_common(*axis) for axis in zip(first[::-1], values.shape, shape, strict=True)), strict=True)
    mask[here] = values[there] == segment.GetLabelValue()
    return mask


def image(mask: np.ndarray, ijk_to_ras: np.ndarray, first: int = 0) -> slicer.vtkOrientedImageData:
    """Return a mask, (slices, rows, columns), as an image that knows where it lies; `first` is its first slice."""
    slices, rows, columns = mask.shape
    labelmap = slicer.vtkOrientedImageData()
    labelmap.SetExtent(0, columns - 1, 0, rows - 1, first, first + slices - 1)
    labelmap.GetPointData().SetScalars(numpy_to_vtk(mask.astype(np.uint8).ravel(), deep=True))
    labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    return labelmap


def regrid(node: slicer.vtkMRMLSegmentationNode, old: np.ndarray, new: np.ndarray) -> None:
    """Move all segments that lie on the grid `old` with it to `new`: their pixels stay what they are."""
    segmentation = node.GetSegmentation()
    for layer in range(segmentation.GetNumberOfLayers()):
        labelmap = segmentation.GetLayerDataObject(layer)
        if not labelmap.IsEmpty() and np.allclose(_matrix(labelmap), old, atol=1e-6):
            labelmap.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(new))
            labelmap.Modified()


def _replace(node: slicer.vtkMRMLSegmentationNode, segment_id: str, labelmap: slicer.vtkOrientedImageData) -> None:
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(labelmap, node, segment_id, logic.MODE_REPLACE)


def _labelmap(segment: slicer.vtkSegment) -> slicer.vtkOrientedImageData | None:
    """Return a segment's own labelmap, None if nothing is drawn."""
    labelmap = segment.GetRepresentation(slicer.vtkSegmentationConverter.GetBinaryLabelmapRepresentationName())
    return None if labelmap is None or labelmap.IsEmpty() else labelmap


def _values(labelmap: slicer.vtkOrientedImageData) -> np.ndarray:
    """Return a labelmap's own numbers, (slices, rows, columns), to be read and written."""
    return vtk_to_numpy(labelmap.GetPointData().GetScalars()).reshape(labelmap.GetDimensions()[::-1])


def _grown(
    labelmap: slicer.vtkOrientedImageData, shape: tuple[int, int, int], ijk_to_ras: np.ndarray
) -> slicer.vtkOrientedImageData:
    """Return a copy as large as to hold all of a grid: one that grew slice by slice would be copied each time."""
    grown = slicer.vtkOrientedImageData()
    whole = slicer.vtkOrientedImageData()
    whole.SetDimensions(*shape[::-1])
    whole.SetImageToWorldMatrix(slicer.util.vtkMatrixFromArray(ijk_to_ras))
    slicer.vtkOrientedImageDataResample.PadImageToContainImage(labelmap, whole, grown)
    return grown


def _matrix(labelmap: slicer.vtkOrientedImageData) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _shift(
    labelmap: slicer.vtkOrientedImageData, ijk_to_ras: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray | None:
    """Return the whole pixels from the labelmap's grid to the image's, None if these are different grids."""
    between = np.linalg.inv(ijk_to_ras) @ _matrix(labelmap)
    shift = np.rint(between[:3, 3])
    reach = np.abs(between[:3, :3] - np.eye(3)) @ shape[::-1] + np.abs(between[:3, 3] - shift)
    return shift.astype(int) if reach.max() < SAME else None


def _resampled(
    labelmap: slicer.vtkOrientedImageData, shape: tuple[int, int, int], ijk_to_ras: np.ndarray
) -> slicer.vtkOrientedImageData:
    resampled = slicer.vtkOrientedImageData()
    reference = image(np.zeros(shape, bool), ijk_to_ras)
    slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(labelmap, reference, resampled)
    return resampled


def _common(first: int, length: int, size: int) -> tuple[slice, slice]:
    """Return what an array of `length` that begins at `first` shares with one of `size`, as slices of each."""
    begin, end = max(0, first), max(0, first, min(first + length, size))
    return slice(begin - first, end - first), slice(begin, end)
