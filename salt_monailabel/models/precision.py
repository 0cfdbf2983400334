"""In which precision to compute."""

from __future__ import annotations

import torch


def autocast(device: torch.device) -> torch.autocast:
    """Return a context that computes in bfloat16 where the device has instructions for it, else in float32.

    A processor without them emulates bfloat16, more slowly than it computes in float32.
    """
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        fast = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
    else:
        fast = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


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
