"""Measuring: the diameter of a vessel from one place to another, figures of all vessels, and their table."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..answers import Measured, Problem, Profile
from ..pixels import mask_to_nrrd
from ..scene import volumes
from ..scene.charts import Curve
from ..scene.way import Way
from .case import Case
from .context import Context
from .segment import Segment
from .server import Server
from .uploads import Uploads

Click = tuple[int, int, int]
_REQUEST = "measure"
# Of the figures of a vessel between two places, these go into the table.
_STRETCH = ("min_diameter", "reference", "stenosis", "unit")


@dataclass(frozen=True)
class _Asked:
    """What is measured: a label on a frame of an image, as it was when the image's `now` was `then`."""

    case: Case
    label: str
    frame: int
    then: int

    @property
    def changed(self) -> bool:
        """Whether it is another outline by now."""
        return self.case.changed_since(self.then, self.label, self.frame)


class Measure:
    """The section *Measure*.

    Attributes
    ----------
    words : str
        What was measured last in the image in view.
    curve : Curve or None
        The diameter along a vessel of that image, if one was measured.
    busy : bool
        Whether the server is measuring.
    """

    def __init__(self, context: Context, server: Server, uploads: Uploads, segment: Segment) -> None:
        self._context = context
        self._server = server
        self._uploads = uploads
        self._segment = segment
        self.words = ""
        self.curve: Curve | None = None
        self.busy = False
        self._shown: Case | None = None
        self._drawn: tuple[_Asked, Way] | None = None
        context.on_change(self._follow)
        context.on_give_up(self._end)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """All that was measured in the scene, for the table; frames are counted from 1, as everywhere that is seen."""
        return self._context.parameters.measured

    def density(self) -> None:
        """Measure all vessels of the frame in view."""
        case = self._context.case
        self._measure(None, 0 if case is None else case.frame)

    def between(self, one: Click, other: Click) -> None:
        """Measure the vessel from one place to another, both of one frame."""
        self._measure(((*one[:2], 0), (*other[:2], 0)), one[2])

    def stop(self) -> None:
        """Wait no longer for what is being measured."""
        if self.busy:
            self._context.latest.cancel(_REQUEST)
            self._end()
            self._context.say("Stopped.")

    def export(self) -> None:
        """Save all that was measured as a table."""
        path = self._context.around.ask.new_file("Save measurements", "measurements.csv")
        if not path:
            return
        rows = self.rows
        columns = list(dict.fromkeys(name for row in rows for name in row))
        try:
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, columns, restval="")
                writer.writeheader()
                writer.writerows(rows)
        except OSError as error:
            self._context.say(f"{path} could not be written: {error.strerror}. Choose another place.", "problem")
        else:
            self._context.say(f"{len(rows)} rows are in {Path(path).name}.")

    def forget(self) -> None:
        """Let go of everything in the scene."""
        self.curve, self.words = None, ""
        self._wipe()

    def _follow(self) -> None:
        # A figure must never stand under an image that it is not of.
        if self._context.case is not self._shown:
            self._shown = self._context.case
            self.forget()
        elif self._drawn is not None:
            asked, way = self._drawn
            if asked.changed:
                self._wipe()
            else:
                way.show(asked.case.frame == asked.frame)

    def _wipe(self) -> None:
        """Take the way along the last vessel out of the image."""
        if self._drawn is not None:
            self._drawn[1].close()
            self._drawn = None

    def _measure(self, between: tuple[Click, Click] | None, frame: int) -> None:
        case, label = self._context.case, self._segment.label
        if case is None or (case.settled and not case.outlines.frame_mask(label, frame).any()):
            self._nothing(label)
        else:
            self._uploads.send(lambda: self._ask(case, label, between, frame))

    def _nothing(self, label: str) -> None:
        self._context.say(f"There is no {label or 'vessel'} to measure: outline the vessels first.")

    def _ask(self, case: Case, label: str, between: tuple[Click, Click] | None, frame: int) -> None:
        client, mask = self._context.client, case.outlines.frame_mask(label, frame)
        if client is None or not self._server.may_send():
            return
        if not mask.any():
            self._nothing(label)
            return
        self._wipe()
        image, asked = case.image, _Asked(case, label, frame, case.now)
        place = f"{image}, frame {frame + 1}" if case.shape[0] > 1 else image
        words = f"Measuring {place} …"

        def measured(answer: Measured) -> None:
            self._end()
            self._note(image, answer, frame)
            if self._context.case is case:
                self._show(place, answer, asked)
            if self._context.message == words:
                self._context.say("")
            else:
                self._context.changed()

        self.busy = True
        self._context.say(words)
        file = mask_to_nrrd(mask[None] * np.uint8(case.labels.index(label) + 1))
        self._context.latest.start(
            _REQUEST,
            lambda heard: client.measure(
                image,
                file,
                between,
                heard(measured),
                heard(self._failed),
                label=label,
                shape=(1, *case.shape[1:]),
                frame=frame,
            ),
        )

    def _show(self, place: str, answer: Measured, asked: _Asked) -> None:
        self.forget()
        if answer.profile is None:
            self.words = f"{place}, {_figures(answer)}"
        else:
            self._draw(answer.profile, asked)
            self.words = f"{place}: {_narrowing(answer.profile)}"

    def _draw(self, profile: Profile, asked: _Asked) -> None:
        diameters = [math.nan if diameter is None else diameter for diameter in profile.diameters]
        self.curve = Curve(f"Diameter in {profile.unit}", f"position in {profile.unit}", "diameter")
        self.curve.put(profile.positions, diameters)
        if not asked.changed:
            volume = asked.case.volume
            k = 0 if volumes.is_flat(volume) else asked.frame
            self._drawn = asked, Way(volume, [(i, j, k) for i, j in profile.points], profile.narrowest)

    def _note(self, image: str, answer: Measured, frame: int) -> None:
        stretch = {} if answer.profile is None else {name: getattr(answer.profile, name) for name in _STRETCH}
        rows = ({"image": image, **row, "frame": frame + 1, **stretch} for row in answer.measurements)
        self._context.parameters.note(rows)

    def _end(self) -> None:
        self.busy = False

    def _failed(self, problem: Problem) -> None:
        self._end()
        self._context.explain(problem)


def _figures(answer: Measured) -> str:
    """Return the figures of a frame in words."""
    row = answer.measurements[0]
    unit, width = row["unit"], row["mean_diameter"]
    across = "" if width is None else f", mean diameter {width:.3g} {unit}"
    return f"{row['label']}: {100 * row['density']:.1f} % of the area, length {row['total_length']:.4g} {unit}{across}."


def _narrowing(profile: Profile) -> str:
    """Return the diameters of a stretch of vessel in words."""
    return (
        f"narrowest {profile.min_diameter:.3g} {profile.unit}, beside it {profile.reference:.3g} {profile.unit}; "
        f"narrowed by {profile.stenosis:.0f} %."
    )
