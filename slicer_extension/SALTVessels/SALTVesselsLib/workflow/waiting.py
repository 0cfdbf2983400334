"""Corrections that no server has answered yet, saved with the scene until one has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import slicer

from ..parameters import Parameters
from ..scene import names

KEPT = "Your clicks are kept, with the scene if you save it, and followed as soon as the server is back."
NOT_HERE = (
    "Your clicks on {image} wait: the image is not on this server. Send it, or connect to the server that has it, and "
    "they are followed."
)
NO_LABEL = (
    "Your clicks on {image} wait: this server does not outline {label}. Connect to one that does, and they are "
    "followed."
)
# Refers to the images that something waits on.
_IMAGES = "clicked"


@dataclass(frozen=True)
class Action:
    """What the user did and the server has not answered yet.

    Attributes
    ----------
    kind : {"add", "remove", "box", "bridge"}
    value : tuple
        A pixel (i, j); i0, i1, j0, j1, k0, k1; or two pixels (i, j, k). All are sent with their frame alone: k is 0.
    """

    kind: str
    value: tuple[Any, ...]


@dataclass
class Waiting:
    """What was done on a frame, and is not answered yet.

    Attributes
    ----------
    actions : list of Action
    again : bool
        Whether they were sent once more, since the connection broke.
    request : object
        Stands for the one under way; None if there is none.
    """

    actions: list[Action] = field(default_factory=list)
    again: bool = False
    request: object = None


def keep(
    parameters: Parameters, volume: slicer.vtkMRMLVolumeNode, label: str, frame: int, actions: Sequence[Action]
) -> None:
    """Write down what waits on a label on a frame of an image, in the place of what was written before."""
    node, name = parameters.node, _name(volume)
    told = [entry for entry in _read(parameters, volume) if entry[:2] != [label, frame]]
    if actions:
        told.append([label, frame, [[action.kind, action.value] for action in actions]])
    if told:
        node.SetParameter(name, json.dumps(told))
        if not node.HasNodeReferenceID(_IMAGES, volume.GetID()):
            node.AddNodeReferenceID(_IMAGES, volume.GetID())
    elif node.GetParameter(name):
        node.UnsetParameter(name)
        for number in reversed(range(node.GetNumberOfNodeReferences(_IMAGES))):
            if node.GetNthNodeReferenceID(_IMAGES, number) == volume.GetID():
                node.RemoveNthNodeReferenceID(_IMAGES, number)


def kept(parameters: Parameters) -> list[tuple[slicer.vtkMRMLVolumeNode, str, int, list[Action]]]:
    """Return all that waits: image, label, frame, and what was done there; on deleted images, nothing does."""
    node = parameters.node
    volumes = (node.GetNthNodeReference(_IMAGES, number) for number in range(node.GetNumberOfNodeReferences(_IMAGES)))
    return [
        (volume, label, frame, [Action(kind, _tuples(value)) for kind, value in actions])
        for volume in volumes
        if volume is not None
        for label, frame, actions in _read(parameters, volume)
    ]


def _read(parameters: Parameters, volume: slicer.vtkMRMLVolumeNode) -> list[list[Any]]:
    return json.loads(parameters.node.GetParameter(_name(volume)) or "[]")


def _name(volume: slicer.vtkMRMLVolumeNode) -> str:
    return f"clicks {names.mark(volume)}"


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
