"""Which sequence, and which frame of it, a volume shows."""

from __future__ import annotations

from dataclasses import dataclass

import slicer


@dataclass(frozen=True)
class Place:
    """A sequence, and the browser by which one of its frames is shown.

    Attributes
    ----------
    browser : vtkMRMLSequenceBrowserNode
    sequence : vtkMRMLSequenceNode
    """

    browser: slicer.vtkMRMLSequenceBrowserNode
    sequence: slicer.vtkMRMLSequenceNode

    @property
    def frames(self) -> int:
        """How many frames the sequence has."""
        return self.sequence.GetNumberOfDataNodes()

    @property
    def frame(self) -> int:
        """The frame that is shown. Sequences browsed together are matched by index value, not by number."""
        chosen = self.browser.GetSelectedItemNumber()
        if chosen < 0:
            return 0
        value = self.browser.GetMasterSequenceNode().GetNthIndexValue(chosen)
        return max(0, self.sequence.GetItemNumberFromIndexValue(value, False))


def place(node: slicer.vtkMRMLNode) -> Place | None:
    """Return the sequence that a node shows one frame of, or None for a node by itself."""
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        sequence = browser.GetSequenceNode(node)
        if sequence is not None:
            return Place(browser, sequence)
    return None


def holder(node: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLStorableNode:
    """Return the node that keeps what is known of an image: one that shows frames loses its attributes with each."""
    where = place(node)
    return node if where is None else where.sequence
