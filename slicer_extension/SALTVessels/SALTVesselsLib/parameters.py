"""What the panel remembers with the scene."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import slicer

from .scene import nodes, volumes

MODULE = "SALTVessels"
ADDRESSES = 8

_UNSENT = "unsent"


@dataclass(frozen=True)
class Unsent:
    """A label that the server has not got yet.

    Attributes
    ----------
    image : str
        The server's name of the image.
    outlines : vtkMRMLSegmentationNode
    """

    image: str
    outlines: slicer.vtkMRMLSegmentationNode


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

    def used(self, address: str) -> None:
        """Put an address at the head of the list, without what may be secret in it."""
        address = re.sub(r"^(\w+://)?[^/]*@", r"\1", re.split(r"[?#]", address)[0])
        known = [address, *(other for other in self.addresses if other != address)]
        self.node.SetParameter("addresses", json.dumps(known[:ADDRESSES]))

    @property
    def unsent(self) -> list[Unsent]:
        """Labels to be sent again, the oldest first; those that were deleted with their image are left out."""
        referred = (self.node.GetNthNodeReference(_UNSENT, n) for n in range(self._referred()))
        present = (outlines for outlines in referred if outlines is not None and nodes.owner(outlines) is not None)
        return [Unsent(volumes.image_of(nodes.owner(outlines)), outlines) for outlines in present]

    def keep(self, outlines: slicer.vtkMRMLSegmentationNode) -> None:
        """Remember to send the label of an image again."""
        if not self.node.HasNodeReferenceID(_UNSENT, outlines.GetID()):
            self.node.AddNodeReferenceID(_UNSENT, outlines.GetID())

    def sent(self, outlines: slicer.vtkMRMLSegmentationNode) -> None:
        """Forget about a label: the server has it."""
        for number in reversed(range(self._referred())):
            if self.node.GetNthNodeReferenceID(_UNSENT, number) == outlines.GetID():
                self.node.RemoveNthNodeReferenceID(_UNSENT, number)

    def _referred(self) -> int:
        return self.node.GetNumberOfNodeReferences(_UNSENT)


def _new_node() -> slicer.vtkMRMLScriptedModuleNode:
    node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetSingletonTag(MODULE)
    node.SetAttribute("ModuleName", MODULE)
    node.SetName(MODULE)
    added = slicer.mrmlScene.AddNode(node)
    # The scene holds it now; what created it did not.
    node.UnRegister(None)
    return added
