"""Attaching an adapter to a model, and taking it off again."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from weakref import WeakSet

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .basis import Basis, cached_bases, fingerprint
from .config import AdapterConfig
from .lora import Lora
from .salt import Salt

# Models that have an adapter: a second one would take the first one's values for the base's.
_ADAPTED: WeakSet[nn.Module] = WeakSet()


class Adapter:
    """A handle on the trained part of a model; make one with :func:`attach`.

    A deep copy of an adapted model shares the original's parametrized classes: merge before copying.

    Attributes
    ----------
    model : nn.Module
    config : AdapterConfig
    bases : dict of name to Basis
        Of each weight adapted in its singular vectors; empty for methods that need none.
    base_fingerprint : str
        SHA-256 of all in the base that `config.also_train` does not name; the adapter fits no other base.
    """

    def __init__(
        self,
        model: nn.Module,
        config: AdapterConfig,
        parts: dict[str, str],
        bases: dict[str, Basis],
        base_fingerprint: str,
    ) -> None:
        self.model = model
        self.config = config
        self.bases = bases
        self.base_fingerprint = base_fingerprint
        self._parts = parts
        self._attached = True
        self._originals = {n: t.clone() for n, t in self.state().items() if ".parametrizations." not in n}
        _ADAPTED.add(model)

    def parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Yield the trained parameters with their names in the model."""
        return ((name, p) for name, p in self.model.named_parameters() if name in self._parts)

    def part(self, name: str) -> str:
        """Return what a trained parameter belongs to: a family of adapted weights, or a part trained besides."""
        return self._parts[name]

    def trainable_parameters(self) -> dict[str, int]:
        """Count the trained parameters of each part: families of adapted weights, then what is trained besides."""
        table: dict[str, int] = dict.fromkeys(self._parts.values(), 0)
        for name, parameter in self.parameters():
            table[self._parts[name]] += parameter.numel()
        return table

    def regularization(self) -> Tensor:
        """Sum eq. 5 of the paper over the adapted weights; a scalar, zero for methods without such a term."""
        terms = [p.regularization() for p in _parametrizations(self.model)]
        return torch.stack(terms).sum() if terms else torch.zeros(())

    def state(self) -> dict[str, Tensor]:
        """Return what an adapter file holds by name: trained parameters, and buffers of the parts trained besides."""
        kept = self._parts.keys() | {n for n, _ in self.model.named_buffers() if _also_trained(n, self.config)}
        return {name: tensor.detach() for name, tensor in self.model.state_dict().items() if name in kept}

    def merge(self) -> nn.Module:
        """Write the adapted weights into the model as plain dense weights and return it, frozen; idempotent."""
        self._remove(leave_parametrized=True)
        return self.model.requires_grad_(False)

    @property
    def attached(self) -> bool:
        """Whether the adapter is still apart from the base, neither merged nor detached."""
        return self._attached

    def detach(self) -> nn.Module:
        """Take the adapter off and return the model: the base again, to the bit.

        Raises
        ------
        RuntimeError
            After `merge`, which leaves nothing to take off.
        """
        if not self._attached:
            raise RuntimeError("the adapter is merged or detached already; load the base again")
        self._remove(leave_parametrized=False)
        with torch.no_grad():
            state = self.model.state_dict()
            for name, original in self._originals.items():
                state[name].copy_(original)
        return self.model

    def _remove(self, leave_parametrized: bool) -> None:
        self._attached = False
        _ADAPTED.discard(self.model)
        for module in list(self.model.modules()):
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=leave_parametrized)


def attach(model: nn.Module, config: AdapterConfig, *, cache: Path | None = None) -> Adapter:
    """Freeze a model and attach an adapter to it. The model's output does not change.

    Parameters
    ----------
    model : nn.Module
        Its modules that match `config.targets` must be `nn.Linear` or `nn.Conv2d`. On the meta device the adapter's
        parameters can be counted without an SVD.
    config : AdapterConfig
    cache : path, optional
        Folder for computed bases; the user's cache folder by default.

    Returns
    -------
    Adapter

    Raises
    ------
    ValueError
        If the patterns match nothing, or a module that is neither linear nor a convolution, or the model has an
        adapter already.
    """
    if model in _ADAPTED:
        raise ValueError("the model has an adapter already; merge or detach it first")
    families = _targets(model, config)
    also = {name: part for name, _ in model.named_parameters() if (part := _also_trained(name, config))}
    base = [(n, t) for n, t in model.state_dict().items() if not _also_trained(n, config) and not t.is_meta]
    base_fingerprint = fingerprint(base)

    weights = {name: model.get_parameter(f"{name}.weight") for name in families}
    bases = cached_bases(weights, cache) if config.method in ("salt", "ssam") else {}
    parts: dict[str, str] = {}
    if config.method == "full":
        parts = {name: "base" for name, _ in model.named_parameters()}
    elif config.method == "bias":
        biases = {f"{name}.bias": f"{family} biases" for name, family in families.items()}
        parts = {name: biases[name] for name, _ in model.named_parameters() if name in biases}
    else:
        for name, family in families.items():
            parametrization = _parametrization(config, family, weights[name], bases.get(name))
            # unsafe skips a check that would run every parametrization once more.
            parametrize.register_parametrization(model.get_submodule(name), "weight", parametrization, unsafe=True)
            prefix = f"{name}.parametrizations.weight.0"
            parts |= {f"{prefix}.{n}": family for n, _ in parametrization.named_parameters()}
    parts |= also
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in parts)
    return Adapter(model, config, parts, bases, base_fingerprint)


def _parametrization(config: AdapterConfig, family: str, weight: Tensor, basis: Basis | None) -> Salt | Lora:
    if basis is None:
        return Lora(weight, config.lora_rank)
    basis = Basis(*(tensor.to(weight.device) for tensor in vars(basis).values()))
    if config.method == "ssam":
        return Salt(basis, rank=len(basis.sigma), lora_rank=0)
    return Salt(basis, config.rank(family, len(basis.sigma)), config.lora_rank, config.relu)


def _targets(model: nn.Module, config: AdapterConfig) -> dict[str, str]:
    """Return the name and family of each module to adapt."""
    found: dict[str, str] = {}
    for family, patterns in config.targets.items():
        for name, module in model.named_modules():
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                if not isinstance(module, nn.Linear | nn.Conv2d):
                    raise ValueError(f"{name} is a {type(module).__name__}; only Linear and Conv2d can be adapted")
                found[name] = family
    if config.targets and not found:
        raise ValueError(f"no module matches the targets {dict(config.targets)}; is this a SAM?")
    return found


def _also_trained(name: str, config: AdapterConfig) -> str:
    """Return the part of `config.also_train` that a parameter or buffer belongs to, or nothing."""
    matches = (part for part, patterns in config.also_train.items() if any(fnmatchcase(name, p) for p in patterns))
    return next(matches, "")


def _parametrizations(model: nn.Module) -> list[Salt | Lora]:
    return [module for module in model.modules() if isinstance(module, Salt | Lora)]
