"""The module file, with stand-ins for what only the application has: opened, left, its scene closed, and unloaded."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import qt
import slicer
from panels import RESOURCES
from PySide6.QtWidgets import QWidget
from SALTVesselsLib.answers import ServerInfo
from SALTVesselsLib.application import show_frames
from SALTVesselsLib.scene import volumes
from SALTVesselsLib.scene.charts import Curve
from SALTVesselsLib.scene.segmentation import Outlines
from scenes import picture
from slice_view import SliceView

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
        self.autoShowSourceVolumeNode = True
        self.told: dict[str, Any] = {}
        self.effect = Effect()
        self.made.append(self)

    def mrmlSegmentEditorNode(self) -> Any:
        return self.told.get("setMRMLSegmentEditorNode")

    def activeEffect(self) -> Effect | None:
        return self.effect if self.told.get("setActiveEffectByName") else None

    def setSourceVolumeNode(self, volume: Any) -> None:
        self.told["setSourceVolumeNode"] = volume
        if self.autoShowSourceVolumeNode:
            for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
                composite.SetBackgroundVolumeID(volume.GetID())

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("set"):
            raise AttributeError(name)
        return lambda value: self.told.update({name: value})


class PlotView(QWidget):
    """As much of Slicer's as is used."""

    def __init__(self) -> None:
        super().__init__()
        self.node: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        if scene is None:
            self.node = None

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self.node = node


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
    views: dict[str, Any] = {}
    heard: list[Any] = []
    layout = SimpleNamespace(
        sliceViewNames=lambda: list(views),
        sliceWidget=views.get,
        connect=lambda signal, hear: heard.append(hear),
        disconnect=lambda signal, hear: heard.remove(hear),
    )
    app = SimpleNamespace(connect=lambda *what: connected.append(what), layoutManager=lambda: layout)
    SegmentEditorWidget.made = []
    window = qt.QWidget()
    stand_ins = {
        "app": app,
        "qMRMLSegmentEditorWidget": SegmentEditorWidget,
        "qMRMLPlotView": lambda: qt.wrapped(PlotView()),
    }
    for name, value in stand_ins.items():
        monkeypatch.setattr(slicer, name, value, raising=False)
    monkeypatch.setattr(slicer.util, "mainWindow", lambda: window)
    monkeypatch.setattr(slicer.util, "startupEnvironment", dict)
    loaded = importlib.import_module("SALTVessels")
    yield SimpleNamespace(loaded=loaded, base=Widget, connected=connected, window=window, views=views, heard=heard)
    assert not heard, "the layout still tells a module that is gone"
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


def test_a_reloaded_module_runs_what_is_in_its_files_now_and_its_keys_work(
    module: Any, widget: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[bool] = []

    def reload(_: Any) -> None:
        assert "SALTVesselsLib.keys" not in sys.modules
        importlib.import_module("SALTVesselsLib.keys")
        new = SimpleNamespace(enter=lambda: entered.append(True))
        monkeypatch.setattr(slicer.modules, "SALTVesselsWidget", new, raising=False)

    monkeypatch.setattr(module.base, "onReload", reload, raising=False)
    for name in [name for name in sys.modules if name.startswith("SALTVesselsLib")]:
        # Other tests go on with the modules that they have imported.
        monkeypatch.setitem(sys.modules, name, sys.modules[name])
    widget.onReload()
    assert entered == [True]


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


def test_another_image_is_not_worked_on_until_the_module_is_in_view(widget: Any) -> None:
    widget.panel.context.info = ServerInfo("SALT", ("vessel",), ("first",), "base")
    widget.panel.scene_opened()
    first, second = (volumes.add(picture(np.zeros((1, 8, 9), np.uint8))) for _ in range(2))
    volumes.show(first)
    assert widget.panel.context.case.volume is first
    widget.exit()
    volumes.show(second)
    assert widget.panel.context.case.volume is first
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1, "another module got outlines"
    widget.enter()
    assert widget.panel.context.case.volume is second


def test_a_scene_opened_in_another_module_gets_no_outlines(widget: Any) -> None:
    widget.panel.context.info = ServerInfo("SALT", ("vessel",), ("first",), "base")
    widget.exit()
    image = volumes.add(picture(np.zeros((1, 8, 9), np.uint8)))
    volumes.show(image)
    widget.panel.scene_opened()
    assert widget.panel.context.case is None
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    widget.enter()
    assert widget.panel.context.case.volume is image


def in_view() -> set[str | None]:
    return {node.GetBackgroundVolumeID() for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}


def left_for_another_module(widget: Any, images: int) -> list[Any]:
    """Return images, the first of which was in view as the user went to another module."""
    widget.panel.context.info = ServerInfo("SALT", ("vessel",), ("first",), "base")
    widget.panel.scene_opened()
    added = [volumes.add(picture(np.zeros((1, 8, 9), np.uint8))) for _ in range(images)]
    volumes.show(added[0])
    widget.exit()
    return added


def test_a_server_that_is_back_changes_no_view_while_another_module_is_in_sight(widget: Any) -> None:
    _, others = left_for_another_module(widget, 2)
    volumes.show(others)
    widget.panel.images.restore()
    assert in_view() == {others.GetID()}
    widget.enter()
    assert in_view() == {others.GetID()}
    assert widget.panel.context.case.volume is others


def test_what_is_asked_for_while_another_module_is_in_sight_is_shown_afterwards(widget: Any) -> None:
    first, late = left_for_another_module(widget, 2)
    # An image arrives that was asked for before.
    widget.panel.images.choose(late)
    assert in_view() == {first.GetID()}
    widget.enter()
    assert in_view() == {late.GetID()}
    assert widget.panel.context.case.volume is late


def test_what_is_put_in_view_meanwhile_comes_before_what_was_asked_for(widget: Any) -> None:
    _, late, newest = left_for_another_module(widget, 3)
    widget.panel.images.choose(late)
    volumes.show(newest)
    widget.enter()
    assert in_view() == {newest.GetID()}
    assert widget.panel.context.case.volume is newest


def test_an_image_that_was_deleted_before_it_could_be_shown_harms_nothing(widget: Any) -> None:
    first, late = left_for_another_module(widget, 2)
    widget.panel.images.choose(late)
    slicer.mrmlScene.RemoveNode(late)
    widget.enter()
    assert in_view() == {first.GetID()}


def test_the_brush_is_set_in_pixels_and_keeps_other_labels(widget: Any) -> None:
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


def shown(module: Any, name: str) -> SliceView:
    """Return a view that the application shows from now on."""
    view = SliceView(name)
    style = SimpleNamespace(GetInteractor=lambda: view.mouse)
    inner = SimpleNamespace(interactorStyle=lambda: style)
    module.views[name] = SimpleNamespace(sliceView=lambda: inner, mrmlSliceNode=lambda: view.node)
    return view


def events(view: SliceView) -> list[str]:
    """Return what a view is told of the mouse from now on."""
    told: list[str] = []
    for event in ("LeftButtonPressEvent", "LeftButtonDoubleClickEvent", "MouseWheelForwardEvent"):
        view.mouse.AddObserver(event, lambda _, name: told.append(name), 1.0)
    return told


def test_a_second_dab_is_no_double_click_and_the_wheel_with_shift_widens_the_brush(module: Any, widget: Any) -> None:
    view = shown(module, "Red")
    told = events(view)
    image = volumes.add(picture(np.zeros((1, 8, 9), np.uint8)))
    widget._editor.begin(False, Outlines(image, ("vessel",)), "vessel", 3)
    view.mouse.InvokeEvent("LeftButtonDoubleClickEvent")
    assert told == ["LeftButtonPressEvent"]
    before = widget.keys._ui.brushBox.value
    view.mouse.InvokeEvent("MouseWheelForwardEvent")
    assert told[1:] == ["MouseWheelForwardEvent"]
    assert widget.keys._ui.brushBox.value == before
    view.mouse.SetShiftKey(1)
    view.mouse.InvokeEvent("MouseWheelForwardEvent")
    assert told[2:] == []
    assert widget.keys._ui.brushBox.value == before + 1
    widget._editor.end()
    view.mouse.InvokeEvent("LeftButtonDoubleClickEvent")
    assert told[2:] == ["LeftButtonDoubleClickEvent"]


def test_a_tool_works_in_views_that_a_new_layout_brings(module: Any, widget: Any) -> None:
    widget.panel.context.info = ServerInfo("SALT", ("vessel",), ("first",), "base")
    widget.panel.scene_opened()
    shown(module, "Red")
    volumes.show(volumes.add(picture(np.zeros((1, 8, 9), np.uint8))))
    widget.panel.tools.take("add")
    new = shown(module, "Yellow")
    told = events(new)
    for hear in module.heard:
        hear(2)
    new.mouse.InvokeEvent("LeftButtonPressEvent")
    assert not told, "the view takes what is meant for the tool"


def test_the_frames_of_a_run_can_be_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []
    sequences = SimpleNamespace(
        setToolBarActiveBrowserNode=lambda node: told.append(("active", node)),
        showSequenceBrowser=lambda node: told.append(("shown", node)),
    )
    monkeypatch.setattr(slicer.modules, "sequences", sequences)
    show_frames("the run's")
    assert told == [("active", "the run's"), ("shown", "the run's")]


def test_the_brush_leaves_a_colour_image_in_view(widget: Any) -> None:
    colour = volumes.add(picture(np.zeros((1, 8, 9, 3), np.uint8)))
    volumes.show(colour)
    widget._editor.begin(False, Outlines(colour, ("vessel",)), "vessel", 3)
    assert in_view() == {colour.GetID()}


def test_all_curves_of_a_place_share_one_view_that_the_layout_does_not_show(widget: Any) -> None:
    parents: list[Any] = []
    scene = slicer.mrmlScene

    def plot_views() -> list[Any]:
        return slicer.util.getNodesByClass("vtkMRMLPlotViewNode")

    def added(*_: object) -> None:
        # Now the layout looks whose a view is.
        parents.extend(node.GetParentLayoutNode() for node in plot_views())

    scene.AddObserver(scene.NodeAddedEvent, added)
    for unit in ("px", "px", "mm"):
        widget.panel.measure.curve = curve = Curve(f"Diameter in {unit}", f"position in {unit}", "diameter")
        widget.widget.update()
        (node,) = plot_views()
        assert node.GetPlotChartNodeID() == curve.chart.GetID()
        assert widget.widget._plots._made["profilePlot"].widget._object.node is node
    assert set(parents) == {widget.panel.parameters.node}
    assert not node.GetDoPropagatePlotChartSelection(), "another module would show its charts here"
    assert not node.GetSaveWithScene()
    widget.widget.close()
    assert not plot_views()
