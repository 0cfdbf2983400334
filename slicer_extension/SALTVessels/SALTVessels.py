"""The module as Slicer sees it: who it is, when it is shown, and its self-test. What it does is in SALTVesselsLib."""

from __future__ import annotations

import sys
from pathlib import Path

import slicer
from SALTVesselsLib.application import AppSettings, Dialogs, Programs, later, show_frames
from SALTVesselsLib.editor import SegmentEditor
from SALTVesselsLib.keys import Keys
from SALTVesselsLib.plots import Plot
from SALTVesselsLib.pointer import Pointer, views_of_application
from SALTVesselsLib.qt_transport import QtTransport
from SALTVesselsLib.samples import register_samples
from SALTVesselsLib.widget import Widget
from SALTVesselsLib.workflow.context import Surroundings
from SALTVesselsLib.workflow.panel import Panel
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class SALTVessels(ScriptedLoadableModule):
    """What Slicer lists."""

    def __init__(self, parent: object) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("SALT vessels")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["Segmentations", "Sequences", "Markups", "Plots", "SegmentEditor"]
        self.parent.contributors = ["The SALT vessels contributors"]
        self.parent.helpText = _(
            "Outlines vessels in angiograms, OCT angiography and fundus photographs, with a model on a server that "
            "learns from your corrections. Outlines are proposals, to be checked by a physician; this is no medical "
            "device."
        )
        self.parent.acknowledgementText = _("The method is SALT, by Elsayed et al., arXiv 2503.16055.")
        slicer.app.connect("startupCompleted()", register_samples)


class SALTVesselsWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """When the panel is shown, and which scene it works on."""

    panel: Panel
    widget: Widget
    keys: Keys
    _editor: SegmentEditor
    _pointer: Pointer

    def __init__(self, parent: object = None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self) -> None:
        """Make the panel, when it is opened for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        root = slicer.util.loadUI(self.resourcePath("UI/SALTVessels.ui"))
        self.layout.addWidget(root)
        ui = slicer.util.childWidgetVariables(root)
        self.keys = Keys(ui, lambda: self.panel.tools.take(""))
        self._editor = SegmentEditor(views_of_application, self.keys.widen)
        self._pointer = Pointer(views_of_application)
        dialogs = Dialogs(slicer.util.mainWindow())
        surroundings = Surroundings(QtTransport(), dialogs, AppSettings(), later, show_frames)
        programs = Programs(slicer.util.startupEnvironment())
        self.panel = Panel(surroundings, programs, self._pointer, self._editor)
        self.widget = Widget(ui, self.panel, Path(self.resourcePath("Icons")), self._plot)
        slicer.app.layoutManager().connect("layoutChanged(int)", self._layout_changed)
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self._scene_closes)
        for event in (scene.EndCloseEvent, scene.EndImportEvent, scene.EndRestoreEvent):
            self.addObserver(scene, event, lambda *_: self.panel.scene_opened())
        self.addObserver(scene, scene.NodeAddedEvent, lambda *_: self.widget.update_soon())
        self.addObserver(scene, scene.NodeRemovedEvent, self._node_removed)

    def enter(self) -> None:
        """Let keys work, and follow what the views show, while the module is in view."""
        self.keys.install(slicer.util.mainWindow())
        self.panel.enter()
        self.widget.update()

    def exit(self) -> None:
        """Give keys, mouse and views back."""
        self.keys.remove()
        self.panel.leave()

    def onReload(self) -> None:
        """Be made anew from the files as they are now, and be in view as before; for who develops the module."""
        for name in [name for name in sys.modules if name.partition(".")[0] == "SALTVesselsLib"]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)
        # The new widget is shown at once, but nobody tells it.
        slicer.modules.SALTVesselsWidget.enter()

    def _plot(self) -> Plot:
        return Plot(self.panel.parameters.node)

    def _layout_changed(self, _layout: int) -> None:
        # There may be views that were not there when a tool was taken in hand.
        self._pointer.watch_again()
        self._editor.watch()

    def _scene_closes(self, *_: object) -> None:
        self.panel.scene_closes()
        self.widget.forget()

    def _node_removed(self, *_: object) -> None:
        # While a scene is closed, all of it goes at once.
        if not slicer.mrmlScene.IsClosing():
            self.panel.images.let_go()

    def cleanup(self) -> None:
        """End everything."""
        self.removeObservers()
        slicer.app.layoutManager().disconnect("layoutChanged(int)", self._layout_changed)
        self.keys.remove()
        self.widget.close()
        self.panel.close()
        self._editor.close()


class SALTVesselsLogic(ScriptedLoadableModuleLogic):
    """Slicer wants one; the work is done by `SALTVesselsLib.workflow`, which needs no application."""


class SALTVesselsTest(ScriptedLoadableModuleTest):
    """A session inside Slicer; see `SALTVesselsLib/self_test.py`."""

    def setUp(self) -> None:
        """Begin with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run it."""
        from SALTVesselsLib.self_test import run

        self.setUp()
        run(slicer.util.getModuleWidget("SALTVessels"), self.delayDisplay)
