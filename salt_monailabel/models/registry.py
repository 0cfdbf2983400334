"""The base models: what they are, where their weights come from, and how to load them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from .vessel_sam import Architecture, VesselSam
from .weights import WeightsError, fetch, read_safetensors, read_sam_checkpoint

SHIPPED = Path(__file__).parent / "weights"
_META = "https://dl.fbaipublicfiles.com/segment_anything/"


@dataclass(frozen=True)
class Base:
    """A base model: its architecture and, unless it ships with the package, where to fetch it and its SHA-256.

    `mute` names labels whose prompt, as it was trained, is answered by nothing: they start as labels it lacks do.
    """

    architecture: Architecture
    url: str = ""
    sha256: str = ""
    mute: frozenset[str] = frozenset()


BASES = {
    # Windows of 16 tokens tile the 256-pixel input exactly; SAM's 14 would pad every block to 28 x 28 tokens.
    "vessel_t": Base(Architecture(192, 12, 3, (2, 5, 8, 11), window=16, input_size=256), mute=frozenset({"catheter"})),
    "vit_b": Base(
        Architecture(768, 12, 12, (2, 5, 8, 11)),
        _META + "sam_vit_b_01ec64.pth",
        "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    "vit_l": Base(
        Architecture(1024, 24, 16, (5, 11, 17, 23)),
        _META + "sam_vit_l_0b3195.pth",
        "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    "vit_h": Base(
        Architecture(1280, 32, 16, (7, 15, 23, 31)),
        _META + "sam_vit_h_4b8939.pth",
        "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
}


def base(name: str) -> Base:
    """Return the base called `name`; raises `WeightsError` that lists the known ones."""
    if name not in BASES:
        raise WeightsError(f"unknown base model '{name}'; one of {', '.join(BASES)}")
    return BASES[name]


def load_base(
    name: str,
    labels: Sequence[str] = ("vessel",),
    *,
    weights: str | Path | None = None,
    input_size: int | None = None,
    text_embeddings: Tensor | None = None,
) -> VesselSam:
    """Build a base model with its pretrained weights, in float32 on the CPU, in evaluation mode.

    Parameters
    ----------
    name : str
        A key of `BASES`.
    labels : sequence of str
        Label prompts. Where the base has some, each starts as that of its name, else as the first: any structure is a
        vessel at first.
    weights : path, optional
        A checkpoint to use instead of the shipped or downloaded one.
    input_size : int, optional
        Side of the model's input in pixels; position embeddings are resized to it.
    text_embeddings : Tensor, (labels, text_dim), optional
        Start the label tokens from text embeddings instead.

    Raises
    ------
    WeightsError
        If the weights cannot be had, are damaged, or are of another model; the message tells the remedy.
    """
    known, path = base(name), _checkpoint(name, weights)
    state, card = read_safetensors(path) if path.suffix == ".safetensors" else (read_sam_checkpoint(path), {})
    # What the checkpoint lacks (a detail head, label prompts) starts alike on every machine.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VesselSam(known.architecture, labels, input_size, text_embeddings)
    trained = {label: row for row, label in enumerate(card.get("labels", [])) if label not in known.mute}
    rows = [trained.get(label, 0) for label in model.labels]
    if text_embeddings is not None:
        state.pop("label_prompts.tokens", None)
    state |= {name: prompts[rows] for name, prompts in state.items() if name.startswith("label_prompts.")}
    _load_state(model, state, path)
    return model.eval()


def taught_labels(name: str, weights: str | Path | None = None) -> frozenset[str]:
    """Return the labels a base finds without an adapter: those it was trained with a prompt for.

    Raises
    ------
    WeightsError
        If the weights cannot be had, or are damaged.
    """
    path = _checkpoint(name, weights)
    card = read_safetensors(path)[1] if path.suffix == ".safetensors" else {}
    return frozenset(card.get("labels", [])) - base(name).mute


def _checkpoint(name: str, weights: str | Path | None) -> Path:
    known = base(name)
    if weights:
        return Path(weights)
    return fetch(known.url, known.sha256) if known.url else SHIPPED / f"{name}.safetensors"


def _load_state(model: VesselSam, state: dict[str, Tensor], path: Path) -> None:
    wanted = model.state_dict()
    for name in state.keys() & wanted.keys():
        if state[name].dim() != wanted[name].dim():
            continue
        if name == "image_encoder.pos_embed":
            state[name] = _resize(state[name].permute(0, 3, 1, 2), wanted[name].shape[1:3]).permute(0, 2, 3, 1)
        elif name.endswith(("rel_pos_h", "rel_pos_w")):
            # As segment_anything resizes them itself at another input size.
            lengthened = functional.interpolate(state[name].T[None], size=len(wanted[name]), mode="linear")
            state[name] = lengthened[0].T
    wrong = [name for name in state.keys() & wanted.keys() if state[name].shape != wanted[name].shape]
    new = ("label_prompts.", "detail_head.")
    missing = [name for name in wanted.keys() - state.keys() if not name.startswith(new)]
    unknown = sorted(state.keys() - wanted.keys())
    if wrong or missing or unknown:
        example = (sorted(wrong) + sorted(missing) + unknown)[0]
        raise WeightsError(f"{path} holds another model: {example} does not fit; check the option `base`")
    model.load_state_dict(state, strict=False)


def _resize(grid: Tensor, size: torch.Size) -> Tensor:
    if grid.shape[-2:] == size:
        return grid
    return functional.interpolate(grid, size=size, mode="bicubic", align_corners=False)
