"""In which precision to compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def autocast(device: torch.device) -> torch.autocast:
    """Return a context that computes in bfloat16 where the device has instructions for it, else in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; a processor without them emulates it, 50 times slower."""
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)


def never_emulated(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which what is converted to bfloat16 is left in float32 if the device lacks bfloat16.

    For code that asks for bfloat16 whatever the device, as `torch.optim.Muon` does.
    """
    return nullcontext() if has_bfloat16(device) else _Float32()


class _Float32(TorchFunctionMode):
    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func is torch.Tensor.to and given.get("dtype") is torch.bfloat16:
            given["dtype"] = torch.float32
        return func(*args, **given)


def best_device(name: str = "auto") -> torch.device:
    """Return the named device; "auto" takes a GPU if there is one.

    Raises
    ------
    ValueError
        If the named device is not there.
    """
    if name in ("", "auto"):
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        # Reading it back: there are devices that hold no numbers.
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"there is no device '{name}' here ({str(error).splitlines()[0]}); use 'auto' or 'cpu'"
        ) from error
    return device
