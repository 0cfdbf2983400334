"""Who was handed which image, so that no two users are handed the same one.

The file is JSON, replaced by an atomic rename:

    {"IMAGE": {"who": "USER", "until": SECONDS SINCE 1970}, …}
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from salt_monailabel.whole_files import written_whole

logger = logging.getLogger(__name__)
# The share of a lease that must be used up before it is renewed.
OFTEN = 0.1


@dataclass(frozen=True)
class Lease:
    """Whose an image is, and until when, in seconds since 1970."""

    who: str
    until: float


class Leases:
    """The leases of a server; they outlive it.

    Parameters
    ----------
    path : path
        Where they are kept; the folder is made when it is needed. A damaged file counts as none.
    seconds : float
        How long a lease lasts if it is neither released, renewed nor taken again.
    """

    def __init__(self, path: str | Path, seconds: float = 1800) -> None:
        self.path = Path(path)
        self.seconds = seconds
        self._lock = threading.Lock()
        self._leases = self._read()

    def take(self, candidates: Sequence[str], who: str, now: float | None = None) -> str | None:
        """Lease an image to a user.

        That is the first candidate nobody has. Where there is none, the user gets one of their own once more, the one
        they used longest ago: asking for the next image without submitting skips one, and in the end all that were
        skipped come round again. Skipped images stay the user's until the lease ends, for they may still be open.

        Parameters
        ----------
        candidates : sequence of str
            Images, the most wanted first.
        who : str
        now : float, optional
            Seconds since 1970; the time it is by default.

        Returns
        -------
        str or None
            The image; None if others have all of them.
        """
        now = time.time() if now is None else now
        with self._lock:
            self._leases = {image: lease for image, lease in self._leases.items() if lease.until > now}
            image = next((c for c in candidates if c not in self._leases), None)
            if image is None:
                own = [c for c in candidates if self._leases[c].who == who]
                image = min(own, key=lambda c: self._leases[c].until, default=None)
            if image is not None:
                self._leases[image] = Lease(who, now + self.seconds)
                self._write()
            return image

    def renew(self, image: str, who: str, now: float | None = None) -> None:
        """Have a lease of a user last as long as if it began now, be it that it ended and nobody else took the image.

        Parameters
        ----------
        image, who : str
            Nothing happens if this user does not have this image.
        now : float, optional
            As for `take`.
        """
        now = time.time() if now is None else now
        with self._lock:
            lease = self._leases.get(image)
            # Not with each click: to write takes longer than to answer one.
            if lease is not None and lease.who == who and lease.until < now + (1 - OFTEN) * self.seconds:
                self._leases[image] = Lease(who, now + self.seconds)
                self._write()

    def release(self, image: str) -> None:
        """End the lease of an image, whoever has it; nothing happens if nobody does."""
        with self._lock:
            if self._leases.pop(image, None) is not None:
                self._write()

    def holders(self, now: float | None = None) -> dict[str, str]:
        """Return who has which image; `now` as for `take`."""
        now = time.time() if now is None else now
        with self._lock:
            return {image: lease.who for image, lease in self._leases.items() if lease.until > now}

    def _read(self) -> dict[str, Lease]:
        try:
            kept = json.loads(self.path.read_text())
            return {image: Lease(str(lease["who"]), float(lease["until"])) for image, lease in kept.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            logger.warning("%s cannot be read, so nobody counts as having an image: %s", self.path, error)
            return {}

    def _write(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps({image: asdict(lease) for image, lease in self._leases.items()}, indent=1)
            with written_whole(self.path, durable=False) as partial:
                partial.write_text(text)
        except OSError as error:
            # They hold as long as the server runs; a full disk is no reason to hand out nothing.
            logger.warning("leases could not be written to %s: %s", self.path, error)
