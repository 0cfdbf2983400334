"""The panel as Slicer would show it: its widgets, a scene, and stand-ins for the user and for what only Slicer has."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import slicer
import vtk
from plot_view import Plot
from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QColor, QImage, QPainter, QPalette, QPixmap
from PySide6.QtWidgets import QAbstractButton, QApplication, QLabel, QWidget
from SALTVesselsLib.application import Programs, later
from SALTVesselsLib.pointer import Pointer
from SALTVesselsLib.qt_transport import QtTransport
from SALTVesselsLib.scene import volumes
from SALTVesselsLib.scene.segmentation import Outlines
from SALTVesselsLib.transport import Failure, Request, Transport
from SALTVesselsLib.widget import Widget
from SALTVesselsLib.workflow.context import Surroundings
from SALTVesselsLib.workflow.panel import Panel
from scenes import Editor, read_scene
from scipy.ndimage import distance_transform_edt
from slice_view import SliceView

RESOURCES = Path(__file__).parents[1] / "SALTVessels" / "Resources"
WIDTH, HEIGHT = 420, 950
VIEW = (950, 950)
# Pixels that Slicer's window leaves for a panel on the screen of a laptop, 1080 high.
LAPTOP = 800
# Slicer's own two palettes, as far as the panel shows them.
LIGHT = {"Window": "#ffffff", "WindowText": "#000000", "Base": "#ffffff", "Text": "#000000", "Button": "#fcfcfc",
         "ButtonText": "#000000", "Highlight": "#308cc6", "HighlightedText": "#ffffff", "Light": "#c8c8c8",
         "Midlight": "#e6e6e6", "Dark": "#aaaaaa", "Mid": "#c8c8c8", "PlaceholderText": "#808080"}  # fmt: skip
DARK = {"Window": "#323232", "WindowText": "#ffffff", "Base": "#1e1e1e", "Text": "#ffffff", "Button": "#323232",
        "ButtonText": "#ffffff", "Highlight": "#3ca4ff", "HighlightedText": "#ffffff", "Light": "#828284",
        "Midlight": "#5a5a5b", "Dark": "#232323", "Mid": "#2b2b2b", "PlaceholderText": "#c0c0c0"}  # fmt: skip
DISABLED = {"light": "#bebebe", "dark": "#6d6d6d"}


@dataclass
class User:
    """What the user answers, and what they were asked."""

    agrees: bool = True
    paths: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def confirm(self, question: str) -> bool:
        self.asked.append(question)
        return self.agrees

    def folder(self, title: str) -> str:
        self.asked.append(title)
        return self.paths.pop(0) if self.paths else ""

    def program(self, title: str) -> str:
        return self.folder(title)

    def new_file(self, title: str, name: str) -> str:
        return self.folder(title)


class Memory(dict[str, str]):
    """The application's settings."""

    def read(self, name: str) -> str:
        return self.get(name, "")

    def write(self, name: str, value: str) -> None:
        self[name] = value


class Brush:
    """Slicer's Segment Editor without its widget: while it paints or erases, a stroke changes the segment."""

    def __init__(self) -> None:
        self.held: tuple[bool, Outlines, str, int] | None = None

    def begin(self, erases: bool, outlines: Outlines, label: str, brush: int) -> None:
        self.held = erases, outlines, label, brush

    def end(self) -> None:
        self.held = None

    def stroke(self, *pixels: tuple[int, int]) -> np.ndarray:
        """Move a square brush over pixels (i, j) of the image; returns what it touched."""
        assert self.held is not None, "no brush is in hand"
        erases, outlines, label, width = self.held
        touched = np.zeros(outlines.frame_mask(label, 0).shape, bool)
        for i, j in pixels:
            first = -(width // 2)
            touched[max(0, j + first) : j + first + width, max(0, i + first) : i + first + width] = True
        editor = Editor(outlines)
        (editor.erase if erases else editor.paint)(label, touched[None])
        return touched


class Line:
    """The network; it can be down."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.down = False

    def send(self, request: Request, done: Callable[[Any], None], received: Any = None) -> Any:
        if not self.down:
            return self._transport.send(request, done, received)
        heard = [done]
        later(0, lambda: [call(Failure("unreachable")) for call in heard])
        return SimpleNamespace(cancel=heard.clear)


@dataclass
class Rig:
    """A panel with everything around it."""

    panel: Panel
    widget: Widget
    ui: Any
    root: Any
    user: User
    settings: Memory
    brush: Brush
    line: Line
    view: SliceView
    browsed: list[Any]
    wrong: list[BaseException] = field(default_factory=list)

    def check(self) -> None:
        """Fail if something went wrong inside a callback."""
        if self.wrong:
            raise AssertionError("an error inside a callback") from self.wrong[0]

    def until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Let the application run until the condition holds."""
        end = monotonic() + seconds
        while not condition():
            self.check()
            assert monotonic() < end, f"nothing came of it in {seconds} s; the panel says: {self.says}"
            QApplication.processEvents()
            sleep(0.002)

    def idle(self) -> None:
        """Let the application run until no correction is on its way."""
        self.until(lambda: not self.panel.correct.busy)

    @property
    def says(self) -> str:
        """What the user reads."""
        return f"{self.ui.stateLabel.text} | {self.ui.messageLabel.text}"

    @property
    def case(self) -> Any:
        return self.panel.context.case

    def mask(self, label: str = "vessel") -> np.ndarray:
        """Return the outline in the scene, bool, (frames, rows, columns)."""
        return self.case.outlines.mask(label)

    def inside(self, region: np.ndarray) -> tuple[int, int]:
        """Return the pixel (i, j) of a region of the first frame that is farthest from its border."""
        depth = distance_transform_edt(np.pad(region[0], 1))[1:-1, 1:-1]
        j, i = np.unravel_index(depth.argmax(), depth.shape)
        return int(i), int(j)

    def points(self) -> tuple[int, int]:
        """Return how many clicks that add, and that remove, are shown."""
        QApplication.processEvents()
        added, removed = (
            sum(node.GetNumberOfControlPoints() for node in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
                if node.GetName().startswith(name))
            for name in ("Added", "Removed")
        )  # fmt: skip
        return added, removed

    def choose(self, box: str, text: str) -> None:
        """Choose an item of a box, as a user does it."""
        widget = getattr(self.ui, box)
        widget.currentIndex = widget.findText(text)
        widget.activated.emit(widget.currentIndex)

    def read(self, file: Path) -> np.ndarray:
        """Return the pixels of a file, (frames, rows, columns)."""
        return sitk.GetArrayFromImage(sitk.ReadImage(str(file)))

    def press(self, i: int, j: int, shift: bool = False, button: str = "Left") -> None:
        """Click on a pixel of the image, as a hand does it."""
        self.move(i, j, shift)
        self.view.mouse.InvokeEvent(f"{button}ButtonPressEvent")
        self.view.mouse.InvokeEvent(f"{button}ButtonReleaseEvent")

    def drag(self, begin: tuple[int, int], end: tuple[int, int], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Press on one pixel and let go on another; before that, look at what is shown."""
        self.move(*begin)
        self.view.mouse.InvokeEvent("LeftButtonPressEvent")
        self.move(*end)
        self.view.mouse.InvokeEvent("MouseMoveEvent")
        meanwhile()
        self.view.mouse.InvokeEvent("LeftButtonReleaseEvent")

    def move(self, i: int, j: int, shift: bool = False) -> None:
        """Move the mouse over a pixel of the image."""
        ras = volumes.point(self.case.volume, (i, j, 0))
        to_xy = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.view.node.GetXYToRAS(), to_xy)
        x, y, *_ = to_xy.MultiplyPoint((*ras, 1.0))
        self.view.mouse.SetEventInformation(round(x), round(y), 0, int(shift))

    def connect(self, address: str, token: str = "") -> None:
        """Type an address and press *Connect*."""
        self.ui.addressBox.setEditText(address)
        self.ui.tokenEdit.text = token
        self.ui.connectButton.click()

    def await_image(self, image: str) -> None:
        """Wait until the server has seen an image that was added to its folder."""

        def there() -> bool:
            listed = {known.id for known in self.panel.images.listed}
            if image not in listed:
                self.panel.images.refresh()
            return image in listed

        self.until(lambda: self.panel.server.usable)
        self.until(there)

    def open(self, address: str, image: str) -> None:
        """Connect, and bring an image of the server."""
        self.connect(address)
        self.until(lambda: self.panel.server.usable and self.panel.images.listed)
        self.panel.images.open(image)
        self.until(lambda: self.case is not None and self.case.image == image and not self.panel.images.busy)

    def cut(self) -> list[str]:
        """Return the texts of labels and buttons that do not fit where they are shown."""
        shown = [child for child in self.root._object.findChildren(QWidget) if child.isVisible()]
        buttons = [child for child in shown if isinstance(child, QAbstractButton)]
        labels = [child for child in shown if isinstance(child, QLabel)]
        narrow = [
            child.text() for child in (*buttons, *(label for label in labels if not label.wordWrap()))
            if child.fontMetrics().horizontalAdvance(child.text().replace("&", "")) > child.contentsRect().width()
        ]  # fmt: skip
        low = [
            label.text()
            for label in labels
            if label.wordWrap() and label.heightForWidth(label.width()) > label.height()
        ]
        return narrow + low

    def shoot(self, folder: Path, name: str) -> None:
        """Save pictures of the panel, light and dark, beside the image as Slicer draws it; all of it must be there."""
        # What is shown later is shown now; and words that came with a reply meanwhile are given their room.
        QApplication.processEvents()
        QCoreApplication.sendPostedEvents()
        assert self.cut() == [], name
        needed = self.root._object.minimumSizeHint()
        assert needed.width() <= WIDTH, name
        assert needed.height() <= LAPTOP, name
        pixels = np.ascontiguousarray(self.view.picture())
        seen = QImage(pixels.data, *VIEW, 3 * VIEW[0], QImage.Format.Format_RGB888)
        for palette in ("light", "dark"):
            dress(palette)
            QApplication.processEvents()
            whole = QPixmap(WIDTH + VIEW[0], HEIGHT)
            with QPainter(whole) as painter:
                painter.drawPixmap(0, 0, self.root.grab())
                painter.drawImage(WIDTH, 0, seen)
            whole.save(str(folder / f"{name}_{palette}.png"))
        dress("light")


def dress(palette: str) -> None:
    """Give the application one of Slicer's palettes."""
    colours = QPalette()
    for role, colour in (LIGHT if palette == "light" else DARK).items():
        colours.setColor(QPalette.ColorRole[role], QColor(colour))
    for role in ("WindowText", "Text", "ButtonText"):
        colours.setColor(QPalette.ColorGroup.Disabled, QPalette.ColorRole[role], QColor(DISABLED[palette]))
    QApplication.setPalette(colours)


@contextmanager
def new_rig() -> Iterator[Rig]:
    """Make a panel on the scene there is."""
    QApplication.setStyle("Fusion")
    dress("light")
    root = slicer.util.loadUI(str(RESOURCES / "UI" / "SALTVessels.ui"))
    ui = slicer.util.childWidgetVariables(root)
    user, settings, brush, line = User(), Memory(), Brush(), Line(QtTransport())
    view = SliceView("Red", *VIEW)
    pointer = Pointer(lambda: [(view.mouse, view.node)])
    browsed: list[Any] = []
    surroundings = Surroundings(line, user, settings, later, browsed.append)
    panel = Panel(surroundings, Programs(), pointer, brush)
    widget = Widget(ui, panel, RESOURCES / "Icons", Plot)
    root.resize(WIDTH, HEIGHT)
    root.show()
    try:
        yield Rig(panel, widget, ui, root, user, settings, brush, line, view, browsed)
    finally:
        panel.close()
        root.close()


@contextmanager
def reopened(rig: Rig, folder: Path) -> Iterator[Rig]:
    """Save the scene, close it, and open it in a panel of another session, which connects to the server it names."""
    assert slicer.mrmlScene.WriteToMRB(str(folder / "scene.mrb"))
    rig.panel.scene_closes()
    rig.widget.forget()
    read_scene(folder / "scene.mrb", folder)
    with new_rig() as again:
        again.panel.scene_opened()
        again.ui.connectButton.click()
        again.until(lambda: again.panel.server.usable and again.case is not None)
        yield again


@pytest.fixture
def rig(application: object, scene: slicer.vtkMRMLScene) -> Iterator[Rig]:
    """Return a panel on an empty scene; what goes wrong inside a callback of Qt or VTK fails the test too."""
    with new_rig() as made:
        before, sys.excepthook = sys.excepthook, lambda _, error, __: made.wrong.append(error)
        try:
            yield made
        finally:
            sys.excepthook = before
    made.check()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return where pictures of the panel go: the folder that SALT_PICTURES names, if it does."""
    folder = Path(os.environ.get("SALT_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return how much two masks have in common."""
    return float((one & other).sum() / max(1, (one | other).sum()))
