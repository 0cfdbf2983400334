"""What the mouse does in the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import slicer

from ..scene import volumes
from ..scene.box import Box
from ..scene.clicks import Clicks
from ..scene.segmentation import Outlines
from .case import Case
from .context import Context
from .correct import Correct
from .images import Images
from .measure import Measure
from .segment import Segment

Tool = Literal["", "add", "remove", "box", "bridge", "paint", "erase", "profile"]
Ras = Sequence[float]
Voxel = tuple[int, int, int]
BRUSH = 3

HINTS: dict[str, str] = {
    "": "",
    "add": "Click on a vessel that is missing. Shift-click, or the other mouse button, removes.",
    "remove": "Click on what is no vessel. Shift-click, or the other mouse button, adds.",
    "box": "Drag a box around what is to be outlined anew.",
    "bridge": "Click on one side of the gap, then on the other.",
    "paint": "Paint over vessels that are missing. What you paint stays.",
    "erase": "Erase what is no vessel. What you erase stays away.",
    "profile": "Click on a vessel where the measurement begins, then where it ends.",
}
SECOND = {"bridge": "Now click on the other side of the gap.", "profile": "Now click where the measurement ends."}


class Mouse(Protocol):
    """The mouse in the views of the image."""

    def watch(self, tools: Tools) -> None:
        """Tell of clicks and drags from now on, instead of what the views do with them."""

    def leave(self) -> None:
        """Give the mouse back to the views."""


class Editor(Protocol):
    """Painting and erasing by hand."""

    def begin(self, erases: bool, outlines: Outlines, label: str, brush: int) -> None:
        """Let the mouse paint or erase a label with a brush of so many pixels."""

    def end(self) -> None:
        """Give the mouse back to the views."""


class Tools:
    """The tools of the sections *Correct* and *Measure*; one at most is in hand.

    Attributes
    ----------
    tool : str
        One of `Tool`; empty for none.
    brush : int
        Width of the brush in pixels.
    begun : (Case, (i, j, k)) or None
        The first of two clicks.
    """

    def __init__(
        self,
        context: Context,
        images: Images,
        segment: Segment,
        correct: Correct,
        measure: Measure,
        mouse: Mouse,
        editor: Editor,
    ) -> None:
        self._context = context
        self._images = images
        self._segment = segment
        self._correct = correct
        self._measure = measure
        self._mouse = mouse
        self._editor = editor
        self.tool: Tool = ""
        self.brush = BRUSH
        self.begun: tuple[Case, Voxel] | None = None
        self._points: Clicks | None = None
        self._box: Box | None = None
        self._in_hand: object = None
        self._awaited = False
        self._shown: object = None
        context.on_change(self._follow)

    @property
    def hint(self) -> str:
        """What to do with the tool in hand."""
        return HINTS[self.tool] if self.begun is None else SECOND[self.tool]

    def take(self, tool: Tool) -> None:
        """Take a tool in hand; the one that is there, or none, lays it down."""
        self.tool = "" if tool == self.tool else tool
        self.begun = None
        self._context.say("")

    def widen(self, brush: int) -> None:
        """Change the brush."""
        self.brush = brush
        self._context.changed()

    def click(self, volume: slicer.vtkMRMLVolumeNode, ras: Ras, other: bool = False) -> None:
        """Take a click on an image; `other` is one with shift, or of the other button."""
        case = self._case(volume)
        if case is None:
            return
        pixel = case.pixel(ras)
        if pixel is None:
            return
        if self.tool in ("add", "remove"):
            self._correct.click(pixel, (self.tool == "add") != other)
        elif self.tool in SECOND:
            self._two(case, pixel)

    def dragging(self, volume: slicer.vtkMRMLVolumeNode, begin: Ras, now: Ras) -> None:
        """Show the box that is being drawn."""
        if self.tool != "box":
            return
        if self._box is None:
            self._box = Box(volume)
        self._box.show(begin, now)

    def drag(self, volume: slicer.vtkMRMLVolumeNode, begin: Ras, end: Ras) -> None:
        """Take a box that was drawn on an image."""
        self._put_box_away()
        case = self._case(volume)
        if case is None or self.tool != "box":
            return
        one, other = case.pixel(begin), case.pixel(end)
        if one is None or other is None:
            self._context.say("The box reaches out of the image; draw it inside.")
        elif one[0] == other[0] or one[1] == other[1]:
            self._context.say("The box is empty: press, drag, and let go.")
        else:
            self._correct.box(one, other)

    def forget(self) -> None:
        """Lay the tool down and let go of everything in the scene."""
        self.tool, self.begun, self._in_hand, self._shown = "", None, None, None
        self._mouse.leave()
        self._editor.end()
        self._put_box_away()
        self._put_points_away()

    def _case(self, volume: slicer.vtkMRMLVolumeNode) -> Case | None:
        """Return what is worked on; a click on another image, such as a second plane, chooses that."""
        if self._context.case is None or self._context.case.volume is not volume:
            self._images.choose(volume)
        case = self._context.case
        return case if case is not None and case.volume is volume else None

    def _two(self, case: Case, pixel: Voxel) -> None:
        begun, self.begun = self.begun, None
        if begun is None or begun[0] is not case or begun[1][2] != pixel[2]:
            self.begun = case, pixel
            self._context.say("")
            return
        act = self._correct.bridge if self.tool == "bridge" else self._measure.between
        act(begun[1], pixel)

    def _follow(self) -> None:
        case = self._context.case
        in_hand = self.tool, case, self._segment.label, self.brush
        if in_hand != self._in_hand:
            self._in_hand = in_hand
            self._hold(case)
        if case is not None and not self._awaited:
            # Points are nodes; making them takes longer than a click may.
            self._awaited = True
            self._context.around.later(0, self._show_points)

    def _hold(self, case: Case | None) -> None:
        self._mouse.leave()
        self._editor.end()
        self._put_box_away()
        if case is None or not self.tool:
            return
        if self.tool in ("paint", "erase"):
            self._editor.begin(self.tool == "erase", case.outlines, self._segment.label, self.brush)
        else:
            self._mouse.watch(self)

    def _put_box_away(self) -> None:
        if self._box is not None:
            self._box.close()
            self._box = None

    def _put_points_away(self) -> None:
        if self._points is not None:
            self._points.close()
            self._points = None

    def _show_points(self) -> None:
        self._awaited = False
        case, (adding, removing) = self._context.case, self._correct.points()
        if case is None or case.gone:
            return
        begun = self._begun_on(case)
        if self._points is None and not adding and not removing and not begun:
            return
        shown = case, case.frame, tuple(adding), tuple(removing), tuple(begun)
        if shown == self._shown:
            return
        self._shown = shown
        if self._points is None or self._points.image is not case.volume:
            self._put_points_away()
            self._points = Clicks(case.volume)
        k = 0 if volumes.is_flat(case.volume) else case.frame
        self._points.show(
            *([volumes.point(case.volume, (*click, k)) for click in clicks] for clicks in (adding, removing, begun)),
        )

    def _begun_on(self, case: Case) -> list[tuple[int, int]]:
        """Return the first of two clicks, if it is on the frame in view."""
        if self.begun is None:
            return []
        of, (i, j, frame) = self.begun
        return [(i, j)] if of is case and frame == case.frame else []
