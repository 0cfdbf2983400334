"""What of an adapter's card others may know: how it was made and how good it is, not of whom, by whom and when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from salt_monailabel.imaging.pseudonyms import Pseudonyms

# What it takes to use an adapter, and how it came about.
_CARD = (
    "format", "config", "base_fingerprint", "basis_fingerprint", "trainable_parameters", "base", "labels", "input_size",
    "text_dim", "version", "parent", "modality",
)  # fmt: skip
_TRAINING = (
    "mode", "images", "newest", "steps", "seconds", "device", "loss", "loss_curve", "train_dice", "held_back",
    "share_of_the_way", "promoted",
)  # fmt: skip


def shared_card(card: Mapping[str, Any], pseudonyms: Pseudonyms) -> dict[str, Any]:
    """Return a card for others: images have pseudonyms, a year is left of dates, and what is not known is left out.

    Parameters
    ----------
    card : mapping
        As `read_card` returns it; nothing in it is taken on trust but what the program itself needs.
    pseudonyms : Pseudonyms
    """
    shared = {key: value for key, value in card.items() if key in _CARD}
    year = str(card.get("created", ""))[:4]
    if year.isdecimal():
        shared["created"] = year
    if isinstance(images := card.get("images"), list):
        # In their own order, which says nothing of that of the names.
        shared["images"] = sorted(pseudonyms.case(str(name)) for name in images)
    if isinstance(hashes := card.get("labels_sha256"), dict):
        shared["labels_sha256"] = dict(sorted((pseudonyms.case(str(name)), value) for name, value in hashes.items()))
    if isinstance(training := card.get("training"), dict):
        shared["training"] = {key: value for key, value in training.items() if key in _TRAINING}
    return shared
