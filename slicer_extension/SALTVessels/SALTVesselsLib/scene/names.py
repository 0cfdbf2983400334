"""What servers call an image of the scene, and what the scene itself calls it.

A name means an image on one server only, and another may have another image of that name. So a name is remembered with
the identity of the server's images, which stays when its address changes. An image may be known to several servers.
"""

from __future__ import annotations

import uuid

import slicer

from .browsing import holder

# Written by earlier panels, and for servers that tell no identity: it counts for whichever server is asked.
ANYWHERE = "SALT.image"
_AT = "SALTImageAt."
_MARK = "SALTMark"


def remember(node: slicer.vtkMRMLVolumeNode, image: str, identity: str) -> None:
    """Write down under which name the server of an identity, empty if it tells none, has the image or run."""
    holder(node).SetAttribute(_AT + identity if identity else ANYWHERE, image)


def image_of(node: slicer.vtkMRMLVolumeNode, identity: str) -> str:
    """Return the name of the image on the server of an identity; empty if that does not have it, as far as is known."""
    kept = holder(node)
    return (kept.GetAttribute(_AT + identity) if identity else "") or kept.GetAttribute(ANYWHERE) or ""


def mark(node: slicer.vtkMRMLVolumeNode) -> str:
    """Return what tells an image from the others of the scene, whatever servers call it; it is saved with the scene."""
    kept = holder(node)
    # Earlier panels kept what they knew of an image under the server's name of it.
    known = kept.GetAttribute(_MARK) or kept.GetAttribute(ANYWHERE)
    if not known:
        known = uuid.uuid4().hex
        kept.SetAttribute(_MARK, known)
    return known
