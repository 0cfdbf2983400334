"""A scene where Slicer would have its own, with the parts of the application that answer to it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from SALTVesselsLib.pixels import Picture
from SALTVesselsLib.scene import labelmaps, volumes
from SALTVesselsLib.scene.browsing import place
from SALTVesselsLib.scene.segmentation import Outlines
from scipy.spatial.transform import Rotation

SLICE_VIEWS = ("Red", "Yellow", "Green")


def new_scene() -> slicer.vtkMRMLScene:
    """Put an empty scene in the place of the last one, and return it."""
    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(scene)
    logics = {
        "colors": slicer.vtkMRMLColorLogic(),
        "segmentations": slicer.vtkSlicerSegmentationsModuleLogic(),
        "sequences": slicer.vtkSlicerSequencesLogic(),
        "volumes": slicer.vtkSlicerVolumesLogic(),
        "markups": slicer.vtkSlicerMarkupsLogic(),
        "layout": slicer.vtkMRMLLayoutLogic(),
    }
    # With each scene, rules of conversion are registered once more, and every copy of a segmentation copies them all.
    converters = slicer.vtkSegmentationConverterFactory.GetInstance()
    for rule in converters.GetConverterRules():
        converters.UnregisterConverterRule(rule)
    for logic in logics.values():
        logic.SetMRMLScene(scene)
    for name in SLICE_VIEWS:
        composite = slicer.vtkMRMLSliceCompositeNode()
        composite.SetLayoutName(name)
        composite.SetSingletonTag(name)
        scene.AddNode(composite)
        view(name).SetDimensions(400, 300, 1)
    # What `slicer.util` asks the application for.
    slicer.modules = SimpleNamespace(
        application=application,
        **{name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()},
    )
    return scene


def read_scene(file: Path, folder: Path) -> slicer.vtkMRMLScene:
    """Put the scene of an .mrb in the place of the last one, as opening it in Slicer would."""
    scene = new_scene()
    cache = slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(str(folder))
    transfers = slicer.vtkDataIOManager()
    transfers.SetCacheManager(cache)
    scene.SetDataIOManager(transfers)
    assert scene.ReadFromMRB(str(file))
    return scene


@pytest.fixture
def scene() -> slicer.vtkMRMLScene:
    return new_scene()


def view(name: str) -> slicer.vtkMRMLSliceNode:
    return slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode")


def go_to(volume: slicer.vtkMRMLVolumeNode, number: int) -> None:
    """Show another frame of a run, or another slice of a stack."""
    where = place(volume)
    if where is not None:
        where.browser.SetSelectedItemByIndexValue(where.sequence.GetNthIndexValue(number), False)
        return
    _, rows, columns = volumes.shape(volume)
    for name in SLICE_VIEWS:
        view(name).JumpSliceByCentering(*volumes.point(volume, ((columns - 1) / 2, (rows - 1) / 2, number)))


def picture(pixels: np.ndarray, ijk_to_lps: np.ndarray | None = None, name: str = "drawn", **facts: object) -> Picture:
    if ijk_to_lps is None:
        ijk_to_lps = np.diag([0.3, 0.4, 1.0, 1.0])
    return Picture(np.asarray(pixels), ijk_to_lps, name, {key: str(value) for key, value in facts.items()})


def noise(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 250, shape).astype(dtype)


def stripe(number: int) -> np.ndarray:
    """Return a mask of 20 × 30 pixels that no other number gives."""
    mask = np.zeros((20, 30), bool)
    mask[number : number + 2, 5:20] = True
    return mask


def moved(node: slicer.vtkMRMLTransformableNode, matrix: np.ndarray) -> slicer.vtkMRMLLinearTransformNode:
    """Hang a linear transform over a node, and return it."""
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(matrix))
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


@st.composite
def geometries(draw: st.DrawFn) -> np.ndarray:
    """Any place of an image: turned, mirrored, anisotropic, far away."""
    unit = st.floats(-1, 1)
    turn = Rotation.from_rotvec([draw(unit) * 3 for _ in range(3)]).as_matrix()
    flips = [draw(st.sampled_from([1.0, -1.0])) for _ in range(3)]
    spacing = [draw(st.floats(0.02, 5.0)) for _ in range(3)]
    matrix = np.eye(4)
    matrix[:3, :3] = turn * flips * spacing
    matrix[:3, 3] = [draw(unit) * 500 for _ in range(3)]
    return matrix


masks = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 9)).flatmap(lambda shape: arrays(bool, shape))


class Editor:
    """The Segment Editor without its widget: what a user does to a segment."""

    def __init__(self, outlines: Outlines) -> None:
        self.outlines = outlines
        self.node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentEditorNode")
        self.node.SetOverwriteMode(self.node.OverwriteNone)
        self.logic = slicer.vtkSlicerSegmentEditorLogic()
        self.logic.SetMRMLScene(slicer.mrmlScene)
        self.logic.SetSegmentEditorNode(self.node)
        self.logic.SetSegmentationNode(outlines.node)
        self.logic.SetSourceVolumeNode(volumes.green(outlines.volume))
        self.history = slicer.vtkSegmentationHistory()
        self.history.SetSegmentation(outlines.node.GetSegmentation())
        self.logic.SetSegmentationHistory(self.history)

    def paint(self, label: str, mask: np.ndarray) -> None:
        self._modify(label, mask, self.logic.ModificationModeAdd)

    def erase(self, label: str, mask: np.ndarray) -> None:
        self._modify(label, mask, self.logic.ModificationModeRemove)

    def _modify(self, label: str, mask: np.ndarray, mode: int) -> None:
        self.logic.SetCurrentSegmentID(label)
        self.logic.SaveStateForUndo()
        stroke = labelmaps.image(mask, volumes.ijk_to_ras(self.outlines.volume))
        self.logic.ModifySegmentByLabelmap(self.outlines.node, label, stroke, mode, False, False)
