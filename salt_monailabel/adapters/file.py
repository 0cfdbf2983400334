"""An adapter's file: safetensors with a JSON card in the header. Nothing in it can run code.

The tensors are the trained parameters under their names in the model and, for methods written in singular vectors,
`basis.sketch`, four numbers per adapted weight in the order of their names. The header's `card` is JSON: `format`,
`config` (the `AdapterConfig`), `base_fingerprint`, `basis_fingerprint` (of the sketch, for people: what is compared is
the sketch itself), and whatever else was given, such as labels and scores.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from salt_monailabel.whole_files import written_whole

from .adapter import Adapter, attach
from .basis import SKETCH_TOLERANCE, fingerprint, sketch
from .config import AdapterConfig

FORMAT = "salt-adapter/1"
SKETCH = "basis.sketch"


class AdapterError(ValueError):
    """An adapter file that cannot be used; the message names the file and the remedy."""


def save(adapter: Adapter, path: str | Path, card: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write an adapter, atomically: `path` holds the whole of it or what was there before.

    Parameters
    ----------
    adapter : Adapter
        Attached, not merged.
    path : path
        Ends in ``.safetensors``.
    card : mapping, optional
        What else to say of it; values that JSON can hold.

    Returns
    -------
    dict
        The card as written.

    Raises
    ------
    OSError
        If there is no room or no permission; nothing is left behind.
    RuntimeError
        If the adapter is merged or detached: there is nothing to write any more.
    """
    if not adapter.attached:
        raise RuntimeError("the adapter is merged or detached; save it before")
    whole = {
        **(card or {}),
        "format": FORMAT,
        "config": adapter.config.to_dict(),
        "base_fingerprint": adapter.base_fingerprint,
        "trainable_parameters": adapter.trainable_parameters(),
    }
    tensors = {name: tensor.to("cpu").contiguous() for name, tensor in adapter.state().items()}
    if adapter.bases:
        tensors[SKETCH] = _sketches(adapter)
        whole["basis_fingerprint"] = fingerprint([(SKETCH, tensors[SKETCH])])
    _write(Path(path), tensors, whole)
    return whole


def copy(source: str | Path, path: str | Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Write the adapter in `source` to `path`, atomically, with what `change` makes of its card; returns that card.

    Raises
    ------
    AdapterError
        If `source` is missing, truncated or no adapter.
    OSError
        If there is no room or no permission; nothing is left behind.
    """
    own, tensors = _read(Path(source))
    card = change(own)
    _write(Path(path), tensors, card)
    return card


def read_card(path: str | Path) -> dict[str, Any]:
    """Return the card of an adapter file.

    Raises
    ------
    AdapterError
        If the file is missing, truncated or no adapter.
    """
    return _read(Path(path), tensors=False)[0]


def load(model: nn.Module, path: str | Path, *, cache: Path | None = None) -> Adapter:
    """Attach the adapter in a file to the base it was trained on.

    Parameters
    ----------
    model : nn.Module
        The base, with the same label prompts.
    path : path
    cache : path, optional
        Folder for computed bases.

    Raises
    ------
    AdapterError
        If the file is missing or truncated, belongs to another base, was written in another basis, or does not fit.
    """
    path = Path(path)
    card, tensors = _read(path)
    try:
        config = AdapterConfig.from_dict(card["config"])
    except (TypeError, ValueError, AttributeError) as error:
        raise AdapterError(
            f"{path} has settings this program does not know ({error}); was it written by a newer one?"
        ) from error
    try:
        adapter = attach(model, config, cache=cache)
    except ValueError as error:
        raise AdapterError(f"{path} does not fit the model: {error}") from error
    try:
        _fill(adapter, card, tensors, path)
    except AdapterError:
        adapter.detach()
        raise
    return adapter


def _fill(adapter: Adapter, card: dict[str, Any], tensors: dict[str, Tensor], path: Path) -> None:
    if card["base_fingerprint"] != adapter.base_fingerprint:
        raise AdapterError(
            f"{path} was trained on another base ({card.get('base', 'unnamed')}, {card['base_fingerprint'][:12]}) than "
            f"the one loaded ({adapter.base_fingerprint[:12]}); load that base, or begin a new folder of adapters"
        )
    written = tensors.pop(SKETCH, None)
    if adapter.bases and (
        written is None or not torch.allclose(written, _sketches(adapter), rtol=0, atol=SKETCH_TOLERANCE)
    ):
        raise AdapterError(
            f"{path} is written in other singular vectors than this machine computes; delete the cached basis, and if "
            "that does not help, train anew"
        )
    state = adapter.state()
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in state.items()}:
        differ = sorted(set(shapes) ^ set(state) or {n for n in shapes if shapes[n] != tuple(state[n].shape)})
        raise AdapterError(
            f"{path} does not fit the model: {', '.join(differ[:3])}; were the labels others, or the program older?"
        )
    with torch.no_grad():
        for name, tensor in state.items():
            tensor.copy_(tensors[name])


def _sketches(adapter: Adapter) -> Tensor:
    return torch.stack([sketch(basis) for _, basis in sorted(adapter.bases.items())])


def _write(path: Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with written_whole(path) as partial:
            save_file(tensors, partial, metadata={"card": json.dumps(card)})
    except SafetensorError as error:
        raise OSError(f"the adapter could not be written to {path}: {error}; is the disk full?") from error


def _read(path: Path, tensors: bool = True) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return the card and the tensors; the card alone takes no longer for a large adapter."""
    if not path.is_file():
        raise AdapterError(f"there is no adapter at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            card = json.loads((file.metadata() or {}).get("card", "{}"))
            names = file.keys() if tensors else ()
            loaded = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise AdapterError(
            f"{path} is damaged or no adapter ({error}); restore it or use an earlier version"
        ) from error
    if not isinstance(card, dict) or card.get("format") != FORMAT or not {"config", "base_fingerprint"} <= card.keys():
        raise AdapterError(f"{path} is no adapter of this program ({FORMAT}), or its card is incomplete")
    return card, loaded
