"""What all nodes of ours have in common: some are not saved, and some belong to one image and its views."""

from __future__ import annotations

import slicer

_IMAGE = "SALT.of"


def unsaved(node: slicer.vtkMRMLNode) -> None:
    """Keep a node, and how it is shown, out of lists and of saved scenes."""
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    if node.IsA("vtkMRMLDisplayableNode"):
        for number in range(node.GetNumberOfDisplayNodes()):
            node.GetNthDisplayNode(number).SetSaveWithScene(False)


def hidden(class_name: str, name: str) -> slicer.vtkMRMLNode:
    """Add a node that is neither listed nor saved; lists look whether it is as it is added."""
    node = slicer.mrmlScene.CreateNodeByClass(class_name)
    node.UnRegister(None)
    node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
    unsaved(node)
    return slicer.mrmlScene.AddNode(node)


def belong(node: slicer.vtkMRMLDisplayableNode, volume: slicer.vtkMRMLVolumeNode) -> None:
    """Tie what is drawn on an image to that image."""
    node.SetNodeReferenceID(_IMAGE, volume.GetID())
    confine(node)


def owner(node: slicer.vtkMRMLNode) -> slicer.vtkMRMLVolumeNode | None:
    """Return the image that a node was tied to, None if to none or if it is gone."""
    return node.GetNodeReference(_IMAGE)


def tied(volume: slicer.vtkMRMLVolumeNode) -> list[slicer.vtkMRMLDisplayableNode]:
    """Return all that is tied to an image."""
    return [node for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode") if owner(node) is volume]


def remove(node: slicer.vtkMRMLNode) -> None:
    """Take a node out of the scene, with what says how it is shown and stored."""
    parts = [node]
    if node.IsA("vtkMRMLDisplayableNode"):
        parts += [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        parts += [node.GetNthStorageNode(number) for number in range(node.GetNumberOfStorageNodes())]
    for part in parts:
        # A part that the scene took out with another is no longer in it.
        if part is not None and part.GetScene() is not None:
            slicer.mrmlScene.RemoveNode(part)


def confine(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Show a node only where its image is shown, if other views show another image.

    The two planes of a biplane run lie at the same place of the scene: what is drawn on one would appear on both.
    """
    image = owner(node)
    assert image is not None
    shown = {
        composite.GetLayoutName(): composite.GetBackgroundVolumeID()
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")
    }
    alone = {image.GetID()} >= {background for background in shown.values() if background}
    for number in range(node.GetNumberOfDisplayNodes()):
        display = node.GetNthDisplayNode(number)
        display.RemoveAllViewNodeIDs()
        for name, background in shown.items():
            if not alone and background == image.GetID():
                display.AddViewNodeID(slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode").GetID())


def confine_all() -> None:
    """Look again where everything that is tied to an image may be shown."""
    for node in slicer.util.getNodesByClass("vtkMRMLDisplayableNode"):
        if owner(node) is not None:
            confine(node)
