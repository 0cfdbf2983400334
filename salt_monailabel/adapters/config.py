"""What is adapted, how, and with how many parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

Method = Literal["salt", "lora", "ssam", "bias", "full"]
Relu = Literal["diagonal", "elementwise"]

# More than any weight of a SAM has singular values; a file that asks for it would fill the memory.
LARGEST_RANK = 4096
TARGETS: Mapping[str, tuple[str, ...]] = {
    "attention": ("image_encoder.blocks.*.attn.qkv", "image_encoder.blocks.*.attn.proj"),
    "mlp": ("image_encoder.blocks.*.mlp.lin1", "image_encoder.blocks.*.mlp.lin2"),
    "neck": ("image_encoder.neck.0", "image_encoder.neck.2"),
}
ALSO_TRAIN: Mapping[str, tuple[str, ...]] = {
    "norms": ("*norm*", "image_encoder.neck.1.*", "image_encoder.neck.3.*", "mask_decoder.output_upscaling.1.*"),
    "position": ("image_encoder.pos_embed",),
    "prompts": ("label_prompts.*",),
    "head": ("detail_head.*",),
}


@dataclass(frozen=True)
class AdapterConfig:
    """The configuration of an adapter. The defaults fit any SAM.

    Attributes
    ----------
    method : {"salt", "lora", "ssam", "bias", "full"}
        SALT; LoRA; S-SAM (all singular values scaled and shifted, no low-rank update); the encoder's biases; all
        parameters.
    ranks : mapping of family to int or float
        SALT's r: how many of the largest singular values of each weight are scaled and shifted. A float is a share of
        all p of them. The paper used 760 / 50 / 250 on ViT-B; fewer leave more of the weight to the low-rank update.
    lora_rank : int
        Rank l of SALT's update of the remaining singular values, and of LoRA.
    relu : {"diagonal", "elementwise"}
        Where SALT's ReLU applies: to the scaled singular values, or to every entry of the middle matrix as in the
        paper (eq. 4), which makes its update full-rank.
    targets : mapping of family to patterns
        Names of the adapted modules, as `fnmatch` patterns.
    also_train : mapping of part to patterns
        Names of the parameters trained besides. An empty mapping trains the adapter alone.
    """

    method: Method = "salt"
    ranks: Mapping[str, int | float] = field(default_factory=lambda: dict.fromkeys(TARGETS, 0.1))
    lora_rank: int = 16
    relu: Relu = "diagonal"
    targets: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(TARGETS))
    also_train: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(ALSO_TRAIN))

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ValueError(f"unknown adapter method '{self.method}'; one of {', '.join(get_args(Method))}")
        if self.relu not in get_args(Relu):
            raise ValueError(f"unknown relu '{self.relu}'; one of {', '.join(get_args(Relu))}")
        if not 1 <= self.lora_rank <= LARGEST_RANK:
            raise ValueError(f"lora_rank must be from 1 to {LARGEST_RANK}; got {self.lora_rank}")
        if missing := set(self.targets) - set(self.ranks):
            raise ValueError(f"no rank is given for the families {', '.join(sorted(missing))}")

    def rank(self, family: str, singular_values: int) -> int:
        """Return r for a weight of `family` that has so many singular values; at least 1 and at most all."""
        rank = self.ranks[family]
        count = round(rank * singular_values) if isinstance(rank, float) else rank
        return max(1, min(count, singular_values))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold; the inverse of `from_dict`."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AdapterConfig:
        """Build a configuration from `to_dict`'s values; raises `ValueError` for an unknown key."""
        if unknown := set(values) - {f.name for f in fields(cls)}:
            raise ValueError(f"unknown adapter settings: {', '.join(sorted(unknown))}")
        known = dict(values)
        for key in ("targets", "also_train"):
            if key in known:
                if any(isinstance(patterns, str) for patterns in known[key].values()):
                    raise ValueError(f"{key} must map names to lists of patterns")
                known[key] = {family: tuple(patterns) for family, patterns in known[key].items()}
        return cls(**known)
