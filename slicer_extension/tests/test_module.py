"""The module file, with stand-ins for what only the application has: opened, left, its scene closed, and unloaded."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import qt
import slicer
import vtk
from panels import RESOURCES

pytest_plugins = ("scenes", "panels")


class Effect:
    def __init__(self) -> None:
        self.parameters: dict[str, float] = {}

    def setCommonParameter(self, name: str, value: float) -> None:
        self.parameters[name] = value


class SegmentEditorWidget:
    """As much of Slicer's as is used; what it is told is kept."""

    made: list[SegmentEditorWidget]

    def __init__(self) -> None:
        self.undoEnabled = True
        self.told: dict[str, Any] = {}
        self.effect = Effect()
        self.made.append(self)

    def mrmlSegmentEditorNode(self) -> Any:
        return self.told.get("setMRMLSegmentEditorNode")

    def activeEffect(self) -> Effect:
        return self.effect

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("set"):
            raise AttributeError(name)
        return lambda value: self.told.update({name: value})


@pytest.fixture
def module(application: object, scene: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return the module, imported as the application imports it."""
    base = ModuleType("slicer.ScriptedLoadableModule")

    class Widget:
        def __init__(self, parent: Any = None) -> None:
            self.parent, self.layout = parent, parent.layout()

        def setup(self) -> None:
            """Make nothing."""

        def resourcePath(self, name: str) -> str:
            return str(RESOURCES / name)

    class Module:
        def __init__(self, parent: Any) -> None:
            self.parent = parent

    base.ScriptedLoadableModule, base.ScriptedLoadableModuleWidget = Module, Widget
    base.ScriptedLoadableModuleLogic = base.ScriptedLoadableModuleTest = type("Base", (), {})
    words = ModuleType("slicer.i18n")
    words.tr, words.translate = str, lambda context, text: text
    for stand_in in (base, words):
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    connected: list[tuple[Any, ...]] = []
    layout = SimpleNamespace(sliceViewNames=list)
    app = SimpleNamespace(connect=lambda *what: connected.append(what), layoutManager=lambda: layout)
    SegmentEditorWidget.made = []
    window = qt.QWidget()
    for name, value in {"app": app, "qMRMLSegmentEditorWidget": SegmentEditorWidget}.items():
        monkeypatch.setattr(slicer, name, value, raising=False)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: window)
    monkeypatch.setattr(slicer.util, "startupEnvironment", dict)
    loaded = importlib.import_module("SALTVessels")
    yield SimpleNamespace(loaded=loaded, connected=connected, window=window)
    del sys.modules["SALTVessels"]


@pytest.fixture
def widget(module: Any) -> Iterator[Any]:
    parent = qt.QWidget()
    parent.setLayout(qt.QVBoxLayout())
    made = module.loaded.SALTVesselsWidget(parent)
    made.setup()
    yield made
    made.cleanup()


def test_slicer_lists_the_module(module: Any) -> None:
    parent = SimpleNamespace()
    module.loaded.SALTVessels(parent)
    assert parent.title == "SALT vessels"
    assert parent.categories == ["Segmentation"]
    assert [signal for signal, _ in module.connected] == ["startupCompleted()"]


def test_the_samples_are_offered(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[dict[str, Any]] = []
    logic = SimpleNamespace(registerCustomSampleDataSource=lambda **what: offered.append(what))
    monkeypatch.setitem(sys.modules, "SampleData", SimpleNamespace(SampleDataLogic=logic))
    module.loaded.register_samples()
    assert len(offered) == 3
    for sample in offered:
        assert qt.QUrl(sample["uris"]).isLocalFile()
        assert qt.QFile(qt.QUrl(sample["uris"]).toLocalFile()).exists()


def test_keys_are_there_only_while_the_module_is_in_view(module: Any, widget: Any) -> None:
    widget.enter()
    shortcuts = [child for child in module.window.children() if isinstance(child, qt.QShortcut)]
    assert shortcuts
    widget.exit()
    assert not [child for child in module.window.children() if isinstance(child, qt.QShortcut)]


def test_the_panel_lives_on_when_its_scene_is_closed(application: Any, widget: Any) -> None:
    before = widget.panel.parameters.node
    slicer.mrmlScene.Clear(0)
    assert widget.panel.context.case is None
    assert widget.panel.parameters.node.GetScene() is slicer.mrmlScene
    assert widget.panel.parameters.node is not before or before.GetScene() is slicer.mrmlScene
    application.processEvents()


def test_nothing_is_touched_once_the_module_is_unloaded(application: Any, module: Any) -> None:
    parent = qt.QWidget()
    parent.setLayout(qt.QVBoxLayout())
    made = module.loaded.SALTVesselsWidget(parent)
    made.setup()
    made.widget.update_soon()
    made.cleanup()
    made.widget._ui = None
    application.processEvents()
    made.panel.context.changed()


def test_the_brush_is_set_in_pixels_and_keeps_other_labels(widget: Any) -> None:
    import numpy as np
    from SALTVesselsLib.scene import volumes
    from SALTVesselsLib.scene.segmentation import Outlines
    from scenes import picture

    (editor,) = SegmentEditorWidget.made
    assert not editor.undoEnabled, "the panel remembers the steps"
    colour = volumes.add(picture(np.zeros((1, 8, 9, 3), np.uint8), np.diag([0.25, 0.25, 1.0, 1.0])))
    outlines = Outlines(colour, ("artery", "vein"))
    widget._editor.begin(True, outlines, "vein", 4)
    assert editor.told["setActiveEffectByName"] == "Erase"
    assert editor.effect.parameters["BrushAbsoluteDiameter"] == pytest.approx(1.0)
    assert editor.effect.parameters["BrushSphere"] == 0
    assert editor.told["setSourceVolumeNode"] is volumes.green(colour)
    assert editor.told["setCurrentSegmentID"] == outlines.segment_id("vein")
    node = editor.mrmlSegmentEditorNode()
    assert node.GetOverwriteMode() == slicer.vtkMRMLSegmentEditorNode.OverwriteNone
    widget._editor.end()
    assert editor.told["setActiveEffectByName"] == ""


def test_a_chart_gets_a_view_of_its_own(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    view = SimpleNamespace(
        setMRMLScene=lambda scene: told.update(scene=scene), setMRMLPlotViewNode=lambda node: told.update(node=node)
    )
    monkeypatch.setattr(slicer, "qMRMLPlotView", lambda: view, raising=False)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "Learning")
    assert module.loaded.plot_view(chart) is view
    assert told["scene"] is slicer.mrmlScene
    assert told["node"].GetPlotChartNodeID() == chart.GetID()
    assert isinstance(told["node"], vtk.vtkObject)
