"""What was drawn by hand, saved with the scene: a segment alone does not tell it from what a model outlined."""

from __future__ import annotations

import base64
import zlib

import numpy as np

from ..corrections import Corrections
from ..parameters import Parameters

# Strokes are few pixels of many.
QUICK = 1


def keep(parameters: Parameters, mark: str, label: str, frame: int, corrections: Corrections) -> None:
    """Write down the strokes of a label on a frame of an image, by its `names.mark`; of none, nothing."""
    name = _name(mark, label, frame)
    if corrections.painted.any() or corrections.erased.any():
        bits = b"".join(np.packbits(drawn).tobytes() for drawn in (corrections.painted, corrections.erased))
        parameters.node.SetParameter(name, base64.b64encode(zlib.compress(bits, QUICK)).decode())
    elif parameters.node.GetParameter(name):
        parameters.node.UnsetParameter(name)


def kept(parameters: Parameters, mark: str, label: str, frame: int) -> bool:
    """Whether strokes of a label on a frame are written down."""
    return bool(parameters.node.GetParameter(_name(mark, label, frame)))


def restore(parameters: Parameters, mark: str, label: str, frame: int, corrections: Corrections) -> None:
    """Give a label on a frame the strokes that were written down, as far as its mask still has them."""
    told = parameters.node.GetParameter(_name(mark, label, frame))
    if not told:
        return
    mask = corrections.mask
    bits = np.frombuffer(zlib.decompress(base64.b64decode(told)), np.uint8)
    if len(bits) != 2 * len(np.packbits(mask)):
        # The image has another size than it had.
        return
    painted, erased = np.unpackbits(bits.reshape(2, -1), axis=1, count=mask.size).reshape(2, *mask.shape).astype(bool)
    corrections.painted, corrections.erased = painted & mask, erased & ~mask


def _name(mark: str, label: str, frame: int) -> str:
    return f"strokes {frame} {label} {mark}"
