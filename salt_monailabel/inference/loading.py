"""From a base's name and an adapter file to a model that is ready to predict or to train further."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from salt_monailabel.adapters import Adapter, AdapterConfig, AdapterError, attach, load, read_card
from salt_monailabel.models import VesselSam, load_base


def adapted_model(path: Path, weights: str | Path | None = None) -> Adapter:
    """Load the base an adapter file names, with its labels, and attach the adapter to it.

    Parameters
    ----------
    path : path
        An adapter file, whose card has `base`, `labels` and `input_size`.
    weights : path, optional
        The base's checkpoint, if it is not in its usual place.

    Raises
    ------
    AdapterError, WeightsError
        If either cannot be used.
    """
    card = read_card(path)
    if missing := {"base", "labels", "input_size"} - card.keys():
        raise AdapterError(f"the card of {path} lacks {', '.join(sorted(missing))}; it was not written by training")
    text = torch.zeros(len(card["labels"]), card["text_dim"]) if card.get("text_dim") else None
    model = load_base(
        card["base"], card["labels"], weights=weights, input_size=card["input_size"], text_embeddings=text
    )
    return load(model, path)


def fresh_adapter(
    base: str,
    labels: Sequence[str],
    config: AdapterConfig,
    *,
    weights: str | Path | None = None,
    input_size: int | None = None,
    text_embeddings: torch.Tensor | None = None,
) -> Adapter:
    """Load a base and attach an untrained adapter to it."""
    model = load_base(base, labels, weights=weights, input_size=input_size, text_embeddings=text_embeddings)
    return attach(model, config)


def card_of(base: str, model: VesselSam) -> dict[str, Any]:
    """Return what an adapter's card must say for `adapted_model` to find its base again."""
    text = model.label_prompts.text
    return {
        "base": base,
        "labels": list(model.labels),
        "input_size": model.input_size,
        "text_dim": None if text is None else text.shape[1],
    }
