"""What of a run is looked at: all frames or some, as they are or subtracted, one by one or projected over time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from .acquisition import MaskFrames
from .header import ImageError
from .projection import maximum_intensity, minimum_intensity, peak_opacification
from .study import Frames, Study
from .subtraction import averaged, check_mask, mask_frame, registered, shifted, subtract

Projection = Literal["none", "minimum", "peak"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)
# Of what is subtracted from the frames of a run, which may be another for each, so much is kept.
KEPT = 4


@dataclass(frozen=True)
class RunView:
    """What of a run is looked at.

    Attributes
    ----------
    first, last : int
        Frames, counted from 0; `last` of -1 is the last there is.
    subtracted : bool
        Whether a frame without contrast medium is subtracted from each.
    mask : int, optional
        That frame; by default those the file names, or the last before contrast medium arrives.
    projection : {"none", "minimum", "peak"}
        Frame by frame; the darkest value of each pixel over time, one image for all frames, or the brightest where
        the tags say that the run is shown as a negative; or the frame with the most contrast medium alone.
    registered : bool
        Whether what is subtracted is first moved onto each frame, against the motion of the patient: half a second for
        each, of 512 x 512 pixels.
    """

    first: int = 0
    last: int = -1
    subtracted: bool = False
    mask: int | None = None
    projection: Projection = "none"
    registered: bool = False

    @classmethod
    def of(cls, wanted: Mapping[str, Any]) -> RunView:
        """Read what a request says: `frames` or `frame`, `subtract`, `mask_frame`, `projection` and `register`.

        Raises
        ------
        ImageError
            If it cannot be meant.
        """
        try:
            first, last = wanted.get("frames") or (wanted.get("frame", 0), wanted.get("frame", -1))
            mask = wanted.get("mask_frame")
            view = cls(
                int(first), int(last), bool(wanted.get("subtract")), None if mask is None else int(mask),
                wanted.get("projection") or "none", bool(wanted.get("register")),
            )  # fmt: skip
        except (AttributeError, TypeError, ValueError, OverflowError) as error:
            raise ImageError("'frame' and 'mask_frame' are numbers from 0, 'frames' is [first, last]") from error
        if view.projection not in PROJECTIONS:
            raise ImageError(f"unknown projection '{view.projection}'; one of {', '.join(PROJECTIONS)}")
        return view

    def told(self) -> dict[str, Any]:
        """Return what a request would say for the same, in JSON; nothing for the frames as they are."""
        said = {
            "frames": [self.first, self.last], "subtract": self.subtracted, "mask_frame": self.mask,
            "projection": self.projection, "register": self.registered,
        }  # fmt: skip
        return {} if self.plain else said

    @property
    def plain(self) -> bool:
        """Whether frames are looked at one by one, as they are."""
        return not self.subtracted and self.projection == "none"

    @property
    def of_all(self) -> RunView:
        """What decides how a frame is seen: frames that are chosen do so in a projection alone."""
        if self.projection == "minimum":
            return self
        look = replace(self, first=0, last=-1, projection="none")
        return look if self.subtracted else RunView()

    def check(self, study: Study) -> None:
        """Raise `ImageError` if a study cannot be looked at so: it is in colour or no run, or has no such frames."""
        self._chosen(study)
        if self.plain:
            return
        if study.shape[0] < 2 or study.pixels.shape[-1] > 1:
            raise ImageError(f"{study.name} is no run of gray frames: nothing to subtract or project over time")
        if self.subtracted and self.mask is not None:
            check_mask([self.mask], study.shape[0])

    def seen(self, study: Study) -> Study:
        """Return a run as it is looked at: each of its frames subtracted, or the projection that stands for it.

        Where the peak is looked at, each frame is still itself: any may turn out to be the one. If the mask had to be
        found, the acquisition of what is returned names it.

        Raises
        ------
        ImageError
            As `check` does.
        """
        self.check(study)
        if self.of_all.plain:
            return study
        acquisition = replace(study.acquisition, modality=study.modality, masks=(), negative_of=None)
        first = self._chosen(study)[0]
        frames: Frames = _Seen(lambda index: study.frame_as(index, first)[..., 0], study.shape, study.pixels.nbytes)
        if self.subtracted:
            masks, found = self._masks(study)
            frames = self._subtracted(study, masks)
            acquisition = replace(acquisition, masks=masks if found else ())
        if self.projection == "minimum":
            chosen = self._chosen(study)
            negative = not self.subtracted and _shown_as_negative(study, chosen[len(chosen) // 2])
            over_time = maximum_intensity if negative else minimum_intensity
            projected = over_time(frames[index][..., 0] for index in chosen)
            frames = _Seen(lambda index: projected, study.shape, projected.nbytes)
        return Study(frames, study.geometry, study.name, acquisition, visible=study.visible, of_run=study.of_run)

    def found(self, seen: Study) -> RunView:
        """Return the same look at a study, with the frame to subtract that was found for it."""
        masks = seen.acquisition.masks
        return replace(self, mask=masks[0].frames[0]) if self.subtracted and masks else self

    def count(self, study: Study) -> int:
        """Return how many images there are to be segmented; raises as `images` does if there are no such frames."""
        chosen = self._chosen(study)
        return len(chosen) if self.projection == "none" else 1

    def images(self, seen: Study) -> Iterator[tuple[Sequence[int], np.ndarray]]:
        """Yield images (rows, columns, channels) to be segmented, each with the frames that its mask is for.

        Parameters
        ----------
        seen : Study
            The run as it is looked at.

        Raises
        ------
        ImageError
            If it has no such frames.
        """
        chosen = self._chosen(seen)
        if self.projection == "none":
            yield from (([index], seen.frame(index)) for index in chosen)
        elif self.projection == "minimum":
            yield chosen, seen.frame(chosen[0])
        else:
            frames = _intensities(seen)
            peak = chosen[peak_opacification(np.stack([frames[index][..., 0] for index in chosen]))]
            yield [peak], seen.frame(peak)

    def _masks(self, study: Study) -> tuple[tuple[MaskFrames, ...], bool]:
        """Return what is to be subtracted, and whether it had to be found."""
        if self.mask is not None:
            return (MaskFrames((self.mask,)),), False
        if study.acquisition.masks:
            return study.acquisition.masks, False
        return (MaskFrames((mask_frame(np.asarray(_intensities(study))[..., 0]),)),), True

    def _subtracted(self, study: Study, masks: Sequence[MaskFrames]) -> _Seen:
        """Return the frames without what was there before."""
        # As stored: a window for the eye would bend what is to be subtracted.
        stored = _intensities(study)

        @lru_cache(KEPT)
        def before(mask: MaskFrames) -> np.ndarray:
            return shifted(averaged(stored, mask.frames)[..., 0], *mask.shift)

        def look(index: int) -> np.ndarray:
            frame = stored[index][..., 0]
            # One that none serves is subtracted like the others: all are looked at alike.
            mask = before(next((mask for mask in masks if mask.serves(index)), masks[0]))
            mask = registered(mask, frame) if self.registered else mask
            return subtract(frame[None], mask, study.acquisition.logarithmic)[0]

        kept = min(KEPT, len(masks)) * math.prod(study.shape[1:]) * np.dtype(np.float32).itemsize
        return _Seen(look, study.shape, study.pixels.nbytes + kept)

    def _chosen(self, study: Study) -> range:
        count = study.shape[0]
        chosen = range(self.first, (count - 1 if self.last == -1 else self.last) + 1)
        if not chosen or chosen[0] < 0 or chosen[-1] >= count:
            raise ImageError(f"{study.name} has the frames 0 to {count - 1}; got {self.first} to {self.last}")
        return chosen


class _Seen:
    """The frames of a gray run, made when they are looked at.

    Parameters
    ----------
    look : callable
        Returns a frame (rows, columns) by its index.
    shape : tuple of int
        Frames, rows and columns.
    nbytes : int
        Memory that is taken by what they are made from.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, look: Callable[[int], np.ndarray], shape: tuple[int, int, int], nbytes: int) -> None:
        self._look = look
        self.shape = (*shape, 1)
        self.nbytes = nbytes

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        return self._look(range(len(self))[index])[..., None].astype(self.dtype, copy=False)

    def __array__(self, dtype: np.dtype | None = None) -> np.ndarray:
        return np.stack([self[index] for index in range(len(self))]).astype(dtype or self.dtype, copy=False)


def _intensities(study: Study) -> Frames:
    """Return the frames of a gray run as stored, or their negatives: brighter where more X-rays come."""
    whole = study.acquisition.negative_of
    if whole is None:
        return study.pixels
    return _Seen(lambda index: whole - study.pixels[index][..., 0], study.shape, study.pixels.nbytes)


def _shown_as_negative(study: Study, index: int) -> bool:
    """Say whether a gray run is shown brighter where fewer X-rays come, contrast medium among it, by one frame of it.

    Tables and slopes may turn values about as well, so what is shown is compared with what came. Nothing but tags
    tells: ribs and catheters, which move, outweigh the vessels in the brightest and the darkest over time.
    """
    shown, came = (frame[::4, ::4, 0].ravel() for frame in (study.frame_as(index, index), _intensities(study)[index]))
    return bool(np.cov(shown, came)[0, 1] < 0)
