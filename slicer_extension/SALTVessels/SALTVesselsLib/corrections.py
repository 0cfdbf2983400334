"""What the radiologist has done to one label on one frame, and the way back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

STEPS = 200
VESSEL, PAINTED, ERASED = 1, 2, 3

Pixel = tuple[int, int]


@dataclass(frozen=True)
class _State:
    """One step of the history: three masks, a bit a pixel, the clicks, and what was asked for in this step."""

    mask: bytes
    painted: bytes
    erased: bytes
    foreground: tuple[Pixel, ...]
    background: tuple[Pixel, ...]
    asked: tuple[Any, ...]


class Corrections:
    """A mask, the strokes drawn on it by hand, and the clicks that led to it.

    A stroke is never overwritten: whatever a model predicts, what was painted stays and what was erased stays away.

    Parameters
    ----------
    mask : ndarray of bool, (rows, columns)
        What is outlined to begin with, by whomever: none of it counts as painted.

    Attributes
    ----------
    mask, painted, erased : ndarray of bool, (rows, columns)
        Not to be written to. `painted` lies inside of `mask`, `erased` outside of it.
    foreground, background : tuple of (i, j)
        Clicks since the last prediction without any; i counts columns and j rows.
    asked : tuple
        What was asked for, one after the other, and answered together by the mask there is.
    """

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = np.array(mask, dtype=bool)
        self.painted = np.zeros_like(self.mask)
        self.erased = np.zeros_like(self.mask)
        self.foreground: tuple[Pixel, ...] = ()
        self.background: tuple[Pixel, ...] = ()
        self.asked: tuple[Any, ...] = ()
        self._past: deque[_State] = deque(maxlen=STEPS)
        self._future: list[_State] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is a correction to go back."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is a correction to do again."""
        return bool(self._future)

    @property
    def by_hand(self) -> bool:
        """Whether something was drawn, or clicks led to what there is."""
        return bool(self.foreground or self.background or self.painted.any() or self.erased.any())

    @property
    def previous(self) -> np.ndarray | None:
        """The mask before the last correction, bool, (rows, columns); None if there was none."""
        return self._unpacked(self._past[-1].mask) if self._past else None

    def outlined(self, mask: np.ndarray) -> None:
        """Take a new prediction that no click led to."""
        self.answered(mask, (), ())

    def answered(
        self, mask: np.ndarray, foreground: Iterable[Pixel], background: Iterable[Pixel], asked: Iterable[Any] = ()
    ) -> None:
        """Take what came back for these clicks, all of those that were sent.

        If it answers the first of several things that were answered together before, and taken back, the others can
        still be done again.
        """
        predicted, asked, future = self._fitting(mask), tuple(asked), self._future
        self._keep()
        others = future[-1].asked[len(asked) :] if future else ()
        if asked and others and future[-1].asked == (*asked, *others):
            self._future = [*future[:-1], replace(future[-1], asked=others)]
        self.mask = (predicted | self.painted) & ~self.erased
        self.foreground = tuple((int(i), int(j)) for i, j in foreground)
        self.background = tuple((int(i), int(j)) for i, j in background)
        self.asked = asked

    def drawn(self, mask: np.ndarray) -> bool:
        """Take the user's own edit, found by comparing with `mask` of before.

        Returns
        -------
        bool
            Whether any pixel differs. If none does, nothing is remembered.
        """
        edited = self._fitting(mask)
        if np.array_equal(edited, self.mask):
            return False
        self._keep()
        self.asked = ()
        self.painted = (self.painted & edited) | (edited & ~self.mask)
        self.erased = (self.erased & ~edited) | (self.mask & ~edited)
        self.mask = edited
        return True

    def undo(self) -> bool:
        """Go one correction back; False if there is none."""
        return self._step(self._past, self._future)

    def redo(self) -> bool:
        """Do again what `undo` took back; False if there is nothing."""
        return self._step(self._future, self._past)

    def coded(self) -> np.ndarray:
        """Return mask and strokes as the server takes them.

        Returns
        -------
        ndarray of uint8, (rows, columns)
            0 no vessel, 1 vessel, 2 painted by hand, 3 erased by hand.
        """
        values = self.mask.astype(np.uint8) * np.uint8(VESSEL)
        values[self.painted] = PAINTED
        values[self.erased] = ERASED
        return values

    def _fitting(self, mask: np.ndarray) -> np.ndarray:
        if mask.shape != self.mask.shape:
            raise ValueError(f"a mask of {mask.shape} pixels does not fit an image of {self.mask.shape}")
        return np.array(mask, dtype=bool)

    def _keep(self) -> None:
        self._past.append(self._state())
        self._future = []

    def _step(self, source: deque[_State] | list[_State], target: deque[_State] | list[_State]) -> bool:
        if not source:
            return False
        target.append(self._state())
        state = source.pop()
        self.mask, self.painted, self.erased = map(self._unpacked, (state.mask, state.painted, state.erased))
        self.foreground, self.background, self.asked = state.foreground, state.background, state.asked
        return True

    def _state(self) -> _State:
        mask, painted, erased = (np.packbits(array).tobytes() for array in (self.mask, self.painted, self.erased))
        return _State(mask, painted, erased, self.foreground, self.background, self.asked)

    def _unpacked(self, packed: bytes) -> np.ndarray:
        bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=self.mask.size)
        return bits.reshape(self.mask.shape).astype(bool)
