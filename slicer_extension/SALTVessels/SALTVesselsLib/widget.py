"""Binds the panel's widgets to what they do; there is no logic here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt

from .shown_plots import Plot, Plots
from .workflow.panel import Panel
from .workflow.segment import Frames
from .workflow.words import BASE, line_of

TOOLS = ("add", "remove", "box", "bridge", "paint", "erase", "profile")
LIGHTS = {"off": "Gray", "trying": "Amber", "on": "Green", "token": "Amber", "lost": "Red"}
FRAMES: tuple[Frames, ...] = ("this", "all", "follow")
PROJECTIONS = ("none", "minimum", "peak")
# A button that is pressed looks much like others in the dark.
IN_HAND = "background-color: palette(highlight); color: palette(highlighted-text);"
DONE, OPEN = "✓ ", "     "


class Widget:
    """The panel.

    Parameters
    ----------
    ui : object
        Has the widgets of `SALTVessels.ui` as attributes.
    panel : Panel
    icons : path
        Folder of the icons.
    plot : callable
        Makes a `Plot`.
    """

    def __init__(self, ui: Any, panel: Panel, icons: Path, plot: Callable[[], Plot]) -> None:
        self._ui = ui
        self._panel = panel
        self._icons = icons
        self._plots = Plots(ui, panel, plot)
        self._shown: dict[str, Any] = {}
        self._awaited = False
        self._closed = False
        self._dress()
        self._connect()
        panel.context.on_change(self.update)
        self.update()

    def close(self) -> None:
        """Show nothing any more: what it is shown in is about to be deleted."""
        self._closed = True
        self.forget()

    def update(self) -> None:
        """Show the state of everything."""
        if self._closed:
            return
        for show in (self._server, self._images, self._segment, self._correct, self._teach, self._measure):
            show()
        self._plots.update()
        context = self._panel.context
        self._set("messageLabel", "text", context.message or self._panel.tools.hint)
        font = self._ui.messageLabel.font
        font.setBold(context.kind == "problem")
        self._set("messageLabel", "font", font)

    def update_soon(self) -> None:
        """Show the state of everything once the scene has stopped changing, however often this is called."""
        if not self._awaited:
            self._awaited = True
            qt.QTimer.singleShot(0, self._update_now)

    def forget(self) -> None:
        """Let go of the plots of a scene that is being closed."""
        self._plots.forget()

    def _update_now(self) -> None:
        self._awaited = False
        self.update()

    def _dress(self) -> None:
        ui = self._ui
        icons = {
            "nextButton": "Next", "segmentButton": "Vessels", "cancelButton": "Stop",
            "addTool": "Add", "removeTool": "Remove", "boxTool": "Box", "bridgeTool": "Bridge", "paintTool": "Paint",
            "eraseTool": "Erase", "undoButton": "Undo", "redoButton": "Redo", "learnButton": "Learn",
            "stopButton": "Stop",
        }  # fmt: skip
        for name, icon in icons.items():
            getattr(ui, name).setIcon(self._icon(icon))

    def _connect(self) -> None:
        ui, panel = self._ui, self._panel
        ui.connectButton.connect("clicked()", self._connect_server)
        ui.addressBox.lineEdit().connect("returnPressed()", self._connect_server)
        ui.tokenEdit.connect("returnPressed()", self._connect_server)
        ui.localButton.connect("clicked()", panel.local.toggle)
        ui.nextButton.connect("clicked()", self._next)
        ui.strategyBox.connect("activated(int)", self._choose_strategy)
        ui.openButton.connect("clicked()", self._open)
        ui.volumeBox.connect("activated(int)", self._choose_volume)
        ui.planesBox.connect("clicked()", self._choose_planes)
        ui.sendButton.connect("clicked()", lambda: panel.uploads.send())
        ui.segmentButton.connect("clicked()", lambda: panel.segment.start(FRAMES[ui.framesBox.currentIndex]))
        ui.cancelButton.connect("clicked()", self._stop)
        ui.labelBox.connect("activated(int)", lambda: panel.segment.choose(ui.labelBox.currentText))
        ui.projectionBox.connect("activated(int)", self._choose_view)
        ui.subtractBox.connect("clicked()", self._choose_view)
        for tool in TOOLS:
            self._tool_button(tool).connect("clicked()", lambda tool=tool: panel.tools.take(tool))
        ui.undoButton.connect("clicked()", panel.correct.undo)
        ui.redoButton.connect("clicked()", panel.correct.redo)
        ui.brushBox.connect("valueChanged(int)", panel.tools.widen)
        ui.previousBox.connect("clicked()", lambda: panel.correct.show_previous(ui.previousBox.checked))
        ui.learnButton.connect("clicked()", lambda: panel.teach.submit(True))
        ui.submitButton.connect("clicked()", lambda: panel.teach.submit(False))
        ui.stopButton.connect("clicked()", panel.learn.stop)
        ui.sendWaitingButton.connect("clicked()", panel.teach.send_waiting)
        ui.useButton.connect("clicked()", lambda: panel.learn.use(self._version_names()[ui.versionBox.currentIndex]))
        ui.rollBackButton.connect("clicked()", panel.learn.roll_back)
        ui.densityButton.connect("clicked()", panel.measure.density)
        ui.exportButton.connect("clicked()", panel.measure.export)

    def _connect_server(self) -> None:
        self._panel.server.connect(self._ui.addressBox.currentText, self._ui.tokenEdit.text)

    def _next(self) -> None:
        names = list(self._panel.images.strategies)
        self._panel.images.next(names[self._ui.strategyBox.currentIndex])

    def _choose_strategy(self, index: int) -> None:
        self._panel.parameters.strategy = list(self._panel.images.strategies)[index]

    def _open(self) -> None:
        self._panel.images.open(self._panel.images.listed[self._ui.imagesBox.currentIndex].id)

    def _choose_volume(self, index: int) -> None:
        self._panel.images.choose(self._panel.images.volumes[index])

    def _choose_planes(self) -> None:
        self._panel.images.two_planes = self._ui.planesBox.checked

    def _stop(self) -> None:
        self._panel.segment.stop()
        self._panel.measure.stop()

    def _choose_view(self) -> None:
        parameters = self._panel.parameters
        parameters.projection = PROJECTIONS[self._ui.projectionBox.currentIndex]
        parameters.subtraction = self._ui.subtractBox.checked

    def _server(self) -> None:
        server, local = self._panel.server, self._panel.local
        light = LIGHTS[server.state]
        if self._shown.get("light") != light:
            self._shown["light"] = light
            self._ui.stateLight.setPixmap(self._icon(f"Light{light}").pixmap(16, 16))
        self._set("stateLabel", "text", server.words)
        for name in ("tokenLabel", "tokenEdit"):
            self._set(name, "visible", server.state == "token" or bool(self._ui.tokenEdit.text))
        words = {"": "Start a server on this computer…", "starting": "Starting… (press to stop)"}
        self._set("localButton", "text", words.get(local.state, "Stop the server on this computer"))
        # Who is connected needs no other server; the one that was started here can be stopped.
        self._set("localButton", "visible", server.state != "on" or bool(local.state))
        self._items("addressBox", server.addresses, 0)

    def _images(self) -> None:
        images, context, usable = self._panel.images, self._panel.context, self._panel.server.usable
        self._items("strategyBox", list(images.strategies.values()))
        if self._panel.parameters.strategy in images.strategies:
            self._set("strategyBox", "currentIndex", list(images.strategies).index(self._panel.parameters.strategy))
        self._items("imagesBox", [f"{DONE if image.done else OPEN}{image.id}" for image in images.listed])
        self._items("volumeBox", [node.GetName() for node in images.volumes])
        if context.case is not None and context.case.volume in images.volumes:
            self._set("volumeBox", "currentIndex", images.volumes.index(context.case.volume))
        free = usable and not images.busy and not self._panel.uploads.busy
        for name in ("nextButton", "strategyBox"):
            self._set(name, "enabled", free)
        for name in ("imagesBox", "openButton"):
            self._set(name, "enabled", free and bool(images.listed))
        self._set("sendButton", "enabled", free and context.case is not None and not context.case.image)
        self._set("planesBox", "visible", self._panel.segment.is_run)
        self._set("doneBar", "maximum", max(1, len(images.listed)))
        self._set("doneBar", "value", images.done)
        self._set("doneBar", "format", f"{images.done} of {len(images.listed)} done" if images.listed else "")

    def _segment(self) -> None:
        segment, context = self._panel.segment, self._panel.context
        ready = self._panel.server.usable and context.case is not None
        self._set("segmentButton", "enabled", ready and not segment.running)
        self._set("cancelButton", "enabled", segment.running or self._panel.measure.busy)
        self._items("labelBox", list(segment.labels))
        self._set("labelBox", "visible", len(segment.labels) > 1)
        if segment.label:
            self._set("labelBox", "currentIndex", segment.labels.index(segment.label))
        panel = self._panel
        others = (panel.images, panel.uploads, panel.correct, panel.measure)
        busy = panel.server.usable and (segment.running or any(section.busy for section in others))
        # A bar without an end moves by itself.
        self._set("progressBar", "maximum", (segment.of if segment.running else 0) if busy else 1)
        self._set("progressBar", "value", segment.done if segment.running else 0)
        self._set("runOptions", "visible", segment.is_run)
        parameters = self._panel.parameters
        self._set("projectionBox", "currentIndex", PROJECTIONS.index(parameters.projection or "none"))
        self._set("subtractBox", "checked", parameters.subtraction)

    def _correct(self) -> None:
        correct, tools, case = self._panel.correct, self._panel.tools, self._panel.context.case
        for tool in TOOLS:
            self._tool_button(tool).checked = tools.tool == tool
            self._tool_button(tool).styleSheet = IN_HAND if tools.tool == tool else ""
            by_hand = tool in ("paint", "erase")
            self._tool_button(tool).enabled = case is not None and (by_hand or self._panel.server.usable)
        self._set("undoButton", "enabled", correct.can_undo)
        self._set("redoButton", "enabled", correct.can_redo)
        self._set("brushBox", "value", tools.brush)

    def _teach(self) -> None:
        teach, learn = self._panel.teach, self._panel.learn
        usable, case = self._panel.server.usable, self._panel.context.case
        for name in ("learnButton", "submitButton"):
            self._set(name, "enabled", case is not None and self._panel.context.info is not None)
        self._set("stopButton", "enabled", learn.learning and usable)
        self._set("learnBar", "maximum", 100)
        self._set("learnBar", "value", round(100 * learn.share))
        self._set("resultLabel", "text", learn.result)
        self._set("resultLabel", "visible", bool(learn.result))
        self._set("waitingLabel", "text", teach.waiting_words)
        self._set("waitingLabel", "visible", bool(teach.waiting))
        self._set("sendWaitingButton", "visible", bool(teach.waiting_here))
        self._set("sendWaitingButton", "enabled", usable)
        current = learn.versions.current
        lines = [f"{'● ' if current == BASE else ''}as delivered"]
        lines += [line_of(version, current) for version in learn.versions.versions]
        self._items("versionBox", lines, self._version_names().index(current) if usable else 0)
        for name in ("versionBox", "useButton"):
            self._set(name, "enabled", usable and not learn.choosing)
        self._set("rollBackButton", "enabled", usable and not learn.choosing and current != BASE)

    def _measure(self) -> None:
        measure, ready = self._panel.measure, self._panel.server.usable and self._panel.context.case is not None
        self._set("densityButton", "enabled", ready)
        self._set("exportButton", "enabled", bool(measure.rows))
        self._set("measureLabel", "text", measure.words)
        self._set("measureLabel", "visible", bool(measure.words))

    def _version_names(self) -> list[str]:
        return [BASE, *(version.name for version in self._panel.learn.versions.versions)]

    def _tool_button(self, tool: str) -> Any:
        return getattr(self._ui, "profileButton" if tool == "profile" else f"{tool}Tool")

    def _items(self, name: str, items: list[str], chosen: int | None = None) -> None:
        """Fill a box, if that is something new; what was chosen stays so, or else `chosen` is."""
        if self._shown.get(name) == (items, chosen):
            return
        self._shown[name] = items, chosen
        box = getattr(self._ui, name)
        before = box.currentText
        box.clear()
        box.addItems(items)
        for number, item in enumerate(items):
            # A box is as wide as the panel, and names may be longer.
            box.setItemData(number, item.strip(), qt.Qt.ToolTipRole)
        if chosen is not None:
            box.currentIndex = chosen
        elif before in items:
            box.currentIndex = items.index(before)

    def _set(self, name: str, attribute: str, value: Any) -> None:
        """Change an attribute of a widget, if that is something new: it is done often."""
        key = f"{name}.{attribute}"
        if self._shown.get(key, self) != value or attribute in ("currentIndex", "value", "checked"):
            self._shown[key] = value
            setattr(getattr(self._ui, name), attribute, value)

    def _icon(self, name: str) -> qt.QIcon:
        return qt.QIcon(str(self._icons / f"{name}.svg"))
