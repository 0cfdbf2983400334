"""What a request to learn asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException

from salt_monailabel.models.precision import best_device
from salt_monailabel.training import FitConfig

# From the version in use on what is new; or from the base on everything, for the night.
MODES = ("update", "refit")


@dataclass(frozen=True)
class Wish:
    """What a request asks for.

    Attributes
    ----------
    mode : str
        One of `MODES`.
    seconds : float, optional
        Time to train; by default as the options say.
    learning_rate : float
    device : str
    asked_by : str
    """

    mode: str = "update"
    seconds: float | None = None
    learning_rate: float = FitConfig().learning_rate
    device: str = "auto"
    asked_by: str = "local"

    @classmethod
    def of(cls, request: Mapping[str, Any], device: str) -> Wish:
        """Read a request; raises `HTTPException` 400 if it cannot be meant."""
        mode = request.get("mode") or MODES[0]
        # Slicer sends the whole list back if nobody touched it.
        mode = mode[0] if isinstance(mode, list) and mode else mode
        if mode not in MODES:
            raise HTTPException(400, f"mode must be one of {', '.join(MODES)}; got {mode}")
        rate = _positive(request, "learning_rate") or cls.learning_rate
        wanted = str(request.get("device") or device)
        try:
            best_device(wanted)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return cls(str(mode), _positive(request, "seconds"), rate, wanted, str(request.get("asked_by") or "local"))


def _positive(request: Mapping[str, Any], name: str) -> float | None:
    """Return a number of the request; None if it is not given or zero, which stands for the default."""
    try:
        value = float(request.get(name) or 0)
    except (TypeError, ValueError, OverflowError) as error:
        raise HTTPException(400, f"{name} must be a number; got {request[name]}") from error
    if not 0 <= value < math.inf:
        raise HTTPException(400, f"{name} must be above zero, or zero for the default; got {value}")
    return value or None
