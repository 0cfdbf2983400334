"""What of a run is looked at: all frames or some, as they are or subtracted, one by one or projected over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from .header import ImageError
from .projection import minimum_intensity, peak_opacification
from .study import Study
from .subtraction import averaged, mask_frame, registered, shifted, subtract

Projection = Literal["none", "minimum", "peak"]
PROJECTIONS: tuple[Projection, ...] = get_args(Projection)


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
        Frame by frame; the darkest value of each pixel over time, one image for all frames; or the frame with the most
        contrast medium alone.
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

    def count(self, study: Study) -> int:
        """Return how many images there are to be segmented; raises as `images` does if there are no such frames."""
        chosen = self._chosen(study)
        return len(chosen) if self.projection == "none" else 1

    def images(self, study: Study) -> Iterator[tuple[Sequence[int], np.ndarray]]:
        """Yield images (rows, columns, channels) to be segmented, each with the frames that its mask is for.

        Raises
        ------
        ImageError
            If the study has no such frames, or is in colour and to be subtracted or projected.
        """
        chosen = self._chosen(study)
        if not self.subtracted and self.projection == "none":
            yield from (([index], study.frame(index)) for index in chosen)
            return
        if study.shape[0] < 2 or study.pixels.shape[-1] > 1:
            raise ImageError(f"{study.name} is no run of gray frames: nothing to subtract or project over time")
        seen = self._seen(study)
        if self.projection == "none":
            yield from (([index], seen(index)[..., None]) for index in chosen)
            return
        frames = np.stack([seen(index) for index in chosen])
        if self.projection == "minimum":
            yield chosen, minimum_intensity(frames)[..., None]
        else:
            peak = peak_opacification(frames)
            yield [chosen[peak]], frames[peak, ..., None]

    def _seen(self, study: Study) -> Callable[[int], np.ndarray]:
        """Return what a frame looks like, (rows, columns), before any projection."""
        # As stored: a window for the eye would bend what is to be subtracted.
        frames = np.asarray(study.pixels)[..., 0]
        if not self.subtracted:
            return frames.__getitem__
        mask = self._mask(study, frames)

        def seen(index: int) -> np.ndarray:
            before = registered(mask, frames[index]) if self.registered else mask
            return subtract(frames[index : index + 1], before, study.acquisition.logarithmic)[0]

        return seen

    def _chosen(self, study: Study) -> range:
        count = study.shape[0]
        chosen = range(self.first, (self.last if self.last >= 0 else count - 1) + 1)
        if not chosen or chosen[0] < 0 or chosen[-1] >= count:
            raise ImageError(f"{study.name} has the frames 0 to {count - 1}; got {self.first} to {self.last}")
        return chosen

    def _mask(self, study: Study, frames: np.ndarray) -> np.ndarray:
        if self.mask is not None:
            return averaged(frames, [self.mask])
        tagged = study.acquisition.mask
        if tagged is None:
            return averaged(frames, [mask_frame(frames)])
        return shifted(averaged(frames, tagged.frames), *tagged.shift)
