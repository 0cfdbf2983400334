"""What the panel remembers with the scene."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import slicer

from .scene import names, nodes

MODULE = "SALTVessels"
ADDRESSES = 8

_UNSENT = "unsent"


@dataclass(frozen=True)
class Unsent:
    """A label that a server has not got yet.

    Attributes
    ----------
    image : str
        That server's name of the image.
    identity : str
        Which server that is; empty if it tells no identity, or an earlier panel did not ask for it: then it may be any.
    outlines : vtkMRMLSegmentationNode
        The label itself: there is no copy of what was submitted, for what is newest is what is to be sent.
    digest : str
        Of the label as it was submitted, to know whether it is the newest still.
    learn : bool
        Whether the model is to learn once the server has it.
    """

    image: str
    identity: str
    outlines: slicer.vtkMRMLSegmentationNode
    digest: str
    learn: bool


class _Text:
    """A property kept as text in the node."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, parameters: Parameters, owner: type | None = None) -> str:
        return parameters.node.GetParameter(self._name)

    def __set__(self, parameters: Parameters, value: str) -> None:
        parameters.node.SetParameter(self._name, value)


class _Flag:
    """A property that is on or off."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, parameters: Parameters, owner: type | None = None) -> bool:
        return parameters.node.GetParameter(self._name) == "true"

    def __set__(self, parameters: Parameters, value: bool) -> None:
        parameters.node.SetParameter(self._name, "true" if value else "false")


class _Node:
    """A property that is another node of the scene."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._role = name

    def __get__(self, parameters: Parameters, owner: type | None = None) -> slicer.vtkMRMLNode | None:
        return parameters.node.GetNodeReference(self._role)

    def __set__(self, parameters: Parameters, value: slicer.vtkMRMLNode | None) -> None:
        parameters.node.SetNodeReferenceID(self._role, value.GetID() if value is not None else None)


class Parameters:
    """The panel's settings in the scene, saved and restored with it.

    They lie in the node that `ScriptedLoadableModuleLogic.getParameterNode` gives in the application, made here in the
    same way. Slicer's `parameterNodeWrapper` would type them too, but exists in the application only, and this must
    run on any scene.

    No token is kept here: a scene is given away.

    Attributes
    ----------
    node : vtkMRMLScriptedModuleNode
        To be observed for changes.
    strategy : str
        By which the next image is chosen.
    label : str
        What is being corrected.
    projection : str
        How a run is projected over time, empty for not at all.
    subtraction : bool
        Whether the frame before contrast is subtracted.
    image : vtkMRMLVolumeNode or None
    outlines : vtkMRMLSegmentationNode or None
    """

    strategy = _Text()
    label = _Text()
    projection = _Text()
    subtraction = _Flag()
    image = _Node()
    outlines = _Node()

    def __init__(self) -> None:
        self.node = slicer.mrmlScene.GetSingletonNode(MODULE, "vtkMRMLScriptedModuleNode") or _new_node()

    @property
    def addresses(self) -> list[str]:
        """Addresses of servers, the last used first."""
        return json.loads(self.node.GetParameter("addresses") or "[]")

    def used(self, address: str, identity: str = "") -> None:
        """Put an address at the head of the list, and note whose it is, without what may be secret in it."""
        address = re.sub(r"^(\w+://)?[^/]*@", r"\1", re.split(r"[?#]", address)[0])
        known = [address, *(other for other in self.addresses if other != address)]
        self.node.SetParameter("addresses", json.dumps(known[:ADDRESSES]))
        if identity:
            self.node.SetParameter(_address(identity), address)

    def address_of(self, identity: str) -> str:
        """Return where the server of an identity was last; empty if that is not known."""
        return self.node.GetParameter(_address(identity))

    def view(self, mark: str) -> dict[str, Any]:
        """Return how a run is looked at, by its `names.mark`; nothing if that is not known."""
        return json.loads(self.node.GetParameter(f"view {mark}") or "{}")

    def keep_view(self, mark: str, view: Mapping[str, Any]) -> None:
        """Remember how a run is looked at."""
        self.node.SetParameter(f"view {mark}", json.dumps(view))

    @property
    def measured(self) -> list[dict[str, Any]]:
        """Rows of the table of measurements, the oldest first."""
        return json.loads(self.node.GetParameter("measured") or "[]")

    def note(self, rows: Iterable[dict[str, Any]]) -> None:
        """Add rows to the table of measurements."""
        self.node.SetParameter("measured", json.dumps([*self.measured, *rows]))

    @property
    def unsent(self) -> list[Unsent]:
        """Labels to be sent again, of each server the oldest first; those deleted with their image are left out."""
        found = []
        for identity in self._awaited():
            role = _role(identity)
            for number in range(self.node.GetNumberOfNodeReferences(role)):
                outlines = self.node.GetNthNodeReference(role, number)
                image = None if outlines is None else nodes.owner(outlines)
                if image is not None:
                    digest = self.node.GetParameter(_noted("submitted", image, identity))
                    learn = self.node.GetParameter(_noted("learn", image, identity)) == "true"
                    found.append(Unsent(names.image_of(image, identity), identity, outlines, digest, learn))
        return found

    def keep(self, outlines: slicer.vtkMRMLSegmentationNode, identity: str, digest: str, learn: bool) -> None:
        """Remember to send the label of an image again, to the server of an identity, and to learn then or not."""
        if not self.node.HasNodeReferenceID(_role(identity), outlines.GetID()):
            self.node.AddNodeReferenceID(_role(identity), outlines.GetID())
        image = nodes.owner(outlines)
        self.node.SetParameter(_noted("submitted", image, identity), digest)
        self.node.SetParameter(_noted("learn", image, identity), "true" if learn else "false")

    def sent(self, outlines: slicer.vtkMRMLSegmentationNode, identity: str) -> None:
        """Forget about a label: the server of an identity has it. If nobody knows whose it was, it was that one's."""
        image = nodes.owner(outlines)
        for whose in {identity, ""}:
            role = _role(whose)
            for number in reversed(range(self.node.GetNumberOfNodeReferences(role))):
                if self.node.GetNthNodeReferenceID(role, number) == outlines.GetID():
                    self.node.RemoveNthNodeReferenceID(role, number)
            if image is not None:
                for what in ("submitted", "learn"):
                    self.node.UnsetParameter(_noted(what, image, whose))

    def _awaited(self) -> list[str]:
        """Return the identities of servers that something waits for."""
        roles = [self.node.GetNthNodeReferenceRole(n) for n in range(self.node.GetNumberOfNodeReferenceRoles())]
        kept = (role.partition(".") for role in roles)
        return [identity for role, _, identity in kept if role == _UNSENT]


def _address(identity: str) -> str:
    return f"address of {identity}"


def _role(identity: str) -> str:
    return f"{_UNSENT}.{identity}" if identity else _UNSENT


def _noted(what: str, image: slicer.vtkMRMLVolumeNode, identity: str) -> str:
    """Return where something is written down of an image whose label waits to be sent."""
    return " ".join(filter(None, (what, identity, names.mark(image))))


def _new_node() -> slicer.vtkMRMLScriptedModuleNode:
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetSingletonTag(MODULE)
    node.SetAttribute("ModuleName", MODULE)
    node.SetName(MODULE)
    added = slicer.mrmlScene.AddNode(node)
    # The scene holds it now; what created it did not.
    node.UnRegister(None)
    return added
