"""What a server answers, checked; and what it is asked, where that is more than a name.

Each `read` takes an answer's JSON; for one that lacks something it raises KeyError, TypeError or ValueError.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

Click = tuple[int, int, int]
Projection = Literal["none", "minimum", "peak"]
MODELS = ("salt", "salt_edit")


class Nonsense(ValueError):
    """An answer that cannot be used; the message is for the radiologist."""


@dataclass(frozen=True)
class Problem:
    """Why there is no answer.

    Attributes
    ----------
    kind : str
        No connection, no byte for too long, a connection that broke; a token that is missing or wrong, a request the
        server will not do, a server that failed; an answer that is none.
    message : str
        For the radiologist: what happened and what to do.
    """

    kind: Literal["unreachable", "timeout", "interrupted", "token", "refused", "server", "nonsense"]
    message: str

    @property
    def lost(self) -> bool:
        """Whether the same request may well succeed later."""
        return self.kind in ("unreachable", "timeout", "interrupted", "server")


@dataclass(frozen=True)
class ServerInfo:
    """What a server is; `labels` are in the order of their values, from 1, and `version` is the adapter in use.

    `identity` is that of its images, whose names are unique among them alone; empty if it tells none.
    """

    name: str
    labels: tuple[str, ...]
    strategies: tuple[str, ...]
    version: str
    identity: str = ""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> ServerInfo:
        """Read `/info/`."""
        if not {*MODELS} <= told["models"].keys():
            raise Nonsense(f"'{told['name']}' is another MONAI Label app than SALT")
        identity = told.get("identity", "")
        # Nodes and parameters of a scene are called by it.
        if not re.fullmatch(r"[A-Za-z0-9_-]{0,64}", identity):
            raise ValueError("the identity is none")
        labels, strategies = tuple(told["labels"]), tuple(told["strategies"])
        return cls(str(told["name"]), labels, strategies, str(told["adapter"]), identity)


@dataclass(frozen=True)
class ImageState:
    """An image of the server: whether it has a final label, and who has it on loan: whoever asks, or somebody else."""

    id: str
    done: bool
    mine: bool
    taken: bool


@dataclass(frozen=True)
class Listing:
    """All images of a server."""

    images: tuple[ImageState, ...]

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Listing:
        """Read `/salt/images`."""
        images = told["images"]
        return cls(tuple(ImageState(str(i["id"]), bool(i["done"]), bool(i["mine"]), bool(i["taken"])) for i in images))


@dataclass(frozen=True)
class RunView:
    """How a run is looked at: frames `first` to `last` (-1 is the last there is), as they are, subtracted, or one.

    Attributes
    ----------
    mask_frame : int, optional
        The frame that is subtracted; found by the server if it is None.
    projection : {"none", "minimum", "peak"}
        Frame by frame; the darkest value of each pixel over time, or the brightest of a negative; the frame with the
        most contrast medium.
    """

    first: int = 0
    last: int = -1
    subtract: bool = False
    mask_frame: int | None = None
    projection: Projection = "none"

    def told(self) -> dict[str, Any]:
        """Return it as a request says it."""
        mask = {} if self.mask_frame is None else {"mask_frame": self.mask_frame}
        frames = (self.first, self.last)
        return {"frames": frames, "subtract": self.subtract, "projection": self.projection, **mask}


@dataclass(frozen=True, eq=False)
class EditRequest:
    """How an outline is to be corrected. Clicks are (i, j, k) pixels.

    Attributes
    ----------
    label : str
    mask : bytes, optional
        The file of a mask, as `mask_to_nrrd` makes it: 0 is not vessel, 1 vessel, 2 painted by hand (stays), 3 erased
        by hand (stays away).
    foreground, background : tuple of clicks
    box : (i0, i1, j0, j1, k0, k1), optional
    bridge : two clicks, optional
        A gap to be closed between them.
    frame : int, optional
        Of a run, the one that is corrected: mask, clicks and answer are of that alone, and k is 0.
    carry : (first, last), optional
        Frames to carry the masks of the key frames to; those are `key_frames`, or else the corrected ones.
    view : mapping
        How the run is looked at, as the server or `RunView.told` says it; by default as it is.
    """

    label: str
    mask: bytes | None = None
    foreground: tuple[Click, ...] = ()
    background: tuple[Click, ...] = ()
    box: tuple[int, int, int, int, int, int] | None = None
    bridge: tuple[Click, Click] | None = None
    frame: int | None = None
    carry: tuple[int, int] | None = None
    key_frames: tuple[int, ...] = ()
    view: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Outline:
    """A mask the server drew.

    Attributes
    ----------
    mask : ndarray of uint8, (frames, rows, columns)
    labels : dict of str to int
        Names and values of what is in the mask.
    version : str
        Of the adapter that drew it.
    stopped : bool
        Whether some frames are missing because the job was stopped.
    params : dict
        All the server said.
    """

    mask: np.ndarray
    labels: dict[str, int]
    version: str
    stopped: bool
    params: dict[str, Any]


@dataclass(frozen=True)
class Profile:
    """The diameter of a vessel from one place to another, in `unit` (mm or px); see `salt measure`.

    `points` are (i, j); `diameters` are None where a cross section has no meaning; `narrowest` numbers a point;
    `stenosis` is in percent.
    """

    positions: tuple[float, ...]
    diameters: tuple[float | None, ...]
    points: tuple[tuple[float, float], ...]
    narrowest: int
    reference: float
    min_diameter: float
    stenosis: float
    unit: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Profile:
        """Read the `profile` of an answer."""
        points = tuple((float(i), float(j)) for i, j in told["points"])
        diameters = tuple(None if d is None else float(d) for d in told["diameters"])
        positions = tuple(map(float, told["positions"]))
        if not len(points) == len(diameters) == len(positions) > told["narrowest"] >= 0:
            raise ValueError("the profile's parts do not fit each other")
        reference, least, stenosis = (float(told[name]) for name in ("reference", "min_diameter", "stenosis"))
        narrowest, unit = int(told["narrowest"]), str(told["unit"])
        return cls(positions, diameters, points, narrowest, reference, least, stenosis, unit)


@dataclass(frozen=True)
class Measured:
    """The figures of each label on each frame, by the names `salt measure` gives them; and of a stretch of vessel."""

    measurements: tuple[dict[str, Any], ...]
    profile: Profile | None

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Measured:
        """Read the answer of `salt_measure`."""
        profile = told.get("profile")
        return cls(tuple(map(dict, told["measurements"])), None if profile is None else Profile.read(profile))


@dataclass(frozen=True)
class JobState:
    """How far a job is.

    Attributes
    ----------
    done, of : int
        Steps; `of` is 0 until they are known.
    state : {"running", "stopping", "done", "stopped", "failed"}
    """

    done: int
    of: int
    state: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> JobState:
        """Read `/salt/jobs/NAME`."""
        return cls(int(told["done"]), int(told["of"]), str(told["state"]))


@dataclass(frozen=True)
class TrainingEvent:
    """A step of a training, or its end.

    Attributes
    ----------
    kind : {"step", "done", "error", "stopped"}
    step : int
    share : float
        Of the time there is, 0 to 1.
    loss, dice : float
    detail : str
        Of an end: what came of it, in words.
    stats : dict
        Of a good end: `version`, `promoted`, `held_back` and more.
    """

    kind: str
    step: int = 0
    share: float = 0.0
    loss: float = 0.0
    dice: float = 0.0
    detail: str = ""
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def ends(self) -> bool:
        """Whether nothing comes after it."""
        return self.kind != "step"

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> TrainingEvent:
        """Read an event of `/salt/train/events`."""
        if told["event"] != "step":
            return cls(str(told["event"]), detail=str(told["detail"]), stats=dict(told.get("stats", {})))
        share, loss, dice = (float(told[name]) for name in ("share", "loss", "dice"))
        return cls("step", int(told["step"]), share, loss, dice)


@dataclass(frozen=True)
class Version:
    """A version of the adapter: what it came from, and its training as its card has it; `damaged` says if it is."""

    name: str
    parent: str
    training: dict[str, Any]
    damaged: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Version:
        """Read an item of `/salt/adapters`."""
        training, damaged = dict(told.get("training") or {}), str(told.get("damaged", ""))
        return cls(str(told["version"]), str(told.get("parent") or "base"), training, damaged)


@dataclass(frozen=True)
class Versions:
    """All versions, oldest first, and the one in use, which may be "base"."""

    current: str
    versions: tuple[Version, ...]

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> Versions:
        """Read `/salt/adapters`."""
        return cls(str(told["current"]), tuple(map(Version.read, told["versions"])))
