"""A network of three layers to adapt, every method to adapt it with, and the formulas of the paper in float64."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from salt_monailabel.adapters import Adapter, AdapterConfig
from salt_monailabel.adapters.basis import Basis
from salt_monailabel.adapters.salt import Salt

METHODS: dict[str, dict[str, Any]] = {
    "salt diagonal": {"method": "salt", "relu": "diagonal"},
    "salt elementwise": {"method": "salt", "relu": "elementwise"},
    "lora": {"method": "lora"},
    "ssam": {"method": "ssam"},
    "bias": {"method": "bias"},
    "full": {"method": "full"},
}
SALT = ("salt diagonal", "salt elementwise")
IN_SINGULAR_VECTORS = (*SALT, "ssam")
NETWORK: dict[str, Any] = {
    "targets": {"attention": ("linear",), "mlp": ("last",), "neck": ("conv",)},
    "ranks": {"attention": 0.5, "mlp": 2, "neck": 3},
    "also_train": {"norms": ("norm.*",)},
    "lora_rank": 2,
}


def network(seed: int = 0) -> nn.Sequential:
    """Return a network that maps (N, 3, 6, 6) to (N, 5), the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [
            ("conv", nn.Conv2d(3, 6, 3)),
            ("flatten", nn.Flatten()),
            ("linear", nn.Linear(96, 12)),
            ("norm", nn.LayerNorm(12)),
            ("gelu", nn.GELU()),
            ("last", nn.Linear(12, 5)),
        ]
        return nn.Sequential(OrderedDict(layers))


def network_config(method: str) -> AdapterConfig:
    """Return the configuration of a method of `METHODS` on `network`."""
    return AdapterConfig(**METHODS[method], **NETWORK)


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers that do not depend on the tests run before."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def perturb(adapter: Adapter, scale: float = 0.3) -> None:
    """Move every trained parameter at random, as training would."""
    with torch.no_grad():
        for seed, (_, parameter) in enumerate(adapter.parameters()):
            parameter.add_(scale * noise(*parameter.shape, seed=seed))


def salts(model: nn.Module) -> dict[str, Salt]:
    """Return the SALT parametrization of each adapted weight by the name of its module."""
    inside = ".parametrizations.weight.0"
    return {name.removesuffix(inside): module for name, module in model.named_modules() if isinstance(module, Salt)}


def eq_4(basis: Basis, part: Salt) -> Tensor:
    """Return W' (out, in) as the paper writes it."""
    u, sigma, vt = (tensor.double() for tensor in vars(basis).values())
    r = len(part.alpha)
    head = torch.diag(part.alpha.double() * sigma[:r] + part.beta.double())
    tail = torch.diag(sigma[r:])
    if part.x is not None and part.y is not None:
        tail = tail + part.x.double() @ part.y.double()
    if part.relu == "elementwise":
        return u @ torch.block_diag(head, tail).relu() @ vt
    return u @ torch.block_diag(head.relu(), tail) @ vt


def eq_5(part: Salt) -> Tensor:
    """Return the regularization of one weight as the paper writes it."""
    sigma = part.sigma[: len(part.alpha)].double()
    penalty = torch.linalg.vector_norm(part.alpha.double() * sigma + part.beta.double() - sigma)
    if part.x is None or part.y is None:
        return penalty
    return penalty + torch.linalg.matrix_norm(part.x.double() @ part.y.double())
