"""The singular vectors an adapter is written in, the same on every machine.

An adapter's numbers mean something only in the basis they were trained in, and an SVD is unique only up to the signs
of its vectors. So it is computed once, in float64 on the CPU, with canonical signs, and cached on disk under the hash
of the weights. A sketch of the basis travels with each adapter and is compared when it is loaded.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import platformdirs
import scipy.linalg
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from salt_monailabel.whole_files import written_whole

logger = logging.getLogger(__name__)

Driver = Literal["gesdd", "gesvd"]
SKETCH_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Basis:
    """The thin SVD of one weight, seen as a matrix (out, in): U (out, p), σ (p,) descending, Vᵀ (p, in), float32."""

    u: Tensor
    sigma: Tensor
    vt: Tensor


def decompose(weight: Tensor, driver: Driver = "gesdd") -> Basis:
    """Compute the basis of a weight (out, in) or (out, in, k, k).

    The largest entry of each column of U is made positive. On the meta device only the shapes are computed.

    Raises
    ------
    ValueError
        If the weight is not finite.
    """
    matrix = weight.detach().flatten(1)
    if matrix.is_meta:
        p = min(matrix.shape)
        shapes = ((len(matrix), p), (p,), (p, matrix.shape[1]))
        return Basis(*(torch.empty(shape, device="meta") for shape in shapes))
    if not torch.isfinite(matrix).all():
        raise ValueError("the weight has entries that are not finite; the checkpoint is damaged")
    values = matrix.to("cpu", torch.float64).numpy()
    u, sigma, vt = scipy.linalg.svd(values, full_matrices=False, lapack_driver=driver)
    signs = np.sign(u[np.abs(u).argmax(axis=0), np.arange(u.shape[1])])
    arrays = (u * signs, sigma, vt * signs[:, None])
    return Basis(*(torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in arrays))


def cached_bases(weights: Mapping[str, Tensor], cache: Path | None = None) -> dict[str, Basis]:
    """Return the basis of each named weight, from disk if these weights were seen before.

    Parameters
    ----------
    weights : mapping of name to Tensor
    cache : path, optional
        Folder of the cache; the user's cache folder by default.
    """
    if any(weight.is_meta for weight in weights.values()):
        return {name: decompose(weight) for name, weight in weights.items()}
    folder = cache or platformdirs.user_cache_path("salt") / "basis"
    path = folder / f"{fingerprint(weights.items())}.safetensors"
    stored = _read(path)
    wanted = {f"{name}.{part}" for name in weights for part in ("u", "sigma", "vt")}
    if stored is None or stored.keys() != wanted:
        bases = {name: decompose(weight) for name, weight in weights.items()}
        _write(path, {f"{name}.{part}": t for name, b in bases.items() for part, t in vars(b).items()})
        return bases
    return {name: Basis(*(stored[f"{name}.{part}"] for part in ("u", "sigma", "vt"))) for name in weights}


def fingerprint(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of the names, shapes and float32 values of tensors, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().to("cpu", torch.float32).contiguous().numpy().tobytes())
    return digest.hexdigest()


def sketch(basis: Basis) -> Tensor:
    """Four numbers that change if any singular vector changes its sign, mixes with another or is replaced.

    They are projections of U and Vᵀ on fixed waves. Unlike a hash they can be compared with a tolerance, which two
    SVD drivers need: they agree to about ten digits, not to the last bit.
    """
    p = len(basis.sigma)
    waves = [torch.cos(0.7 * torch.arange(p, dtype=torch.float64) ** 1.1 + phase) for phase in (0.0, 1.0)]
    u, vt = basis.u.double().cpu(), basis.vt.double().cpu()
    left = torch.cos(1.3 * torch.arange(len(u), dtype=torch.float64))
    right = torch.cos(1.3 * torch.arange(vt.shape[1], dtype=torch.float64))
    return torch.stack([number for w in waves for number in (left @ u @ w, w @ vt @ right)])


def _read(path: Path) -> dict[str, Tensor] | None:
    try:
        return load_file(path) if path.exists() else None
    except (SafetensorError, OSError) as error:
        logger.warning("the cached basis %s cannot be read (%s); it is computed again", path, error)
        return None


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as partial:
            save_file(tensors, partial)
    except (OSError, SafetensorError) as error:
        logger.warning("the basis is not cached in %s (%s); it will be computed again next time", path, error)
