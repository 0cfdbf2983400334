"""Label prompts: a named sparse token for each structure, in the place of SAM's missing text prompt."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class UnknownLabelError(ValueError):
    """A label was asked for that the model has no prompt for."""


class LabelPrompts(nn.Module):
    """One token per label, appended to the sparse prompts of SAM's decoder.

    Without text embeddings a token is learned directly. With them it is an affine map of a frozen CLIP embedding of
    the label's name, as in the paper (arXiv 2503.16055, section 2); the embeddings are a buffer and travel with the
    weights, so that CLIP is not needed to serve.

    Parameters
    ----------
    labels : sequence of str
        Distinct names, in the order of their values in a label map (1, 2, …).
    dim : int
        Width of the decoder's tokens; 256 in every SAM.
    text_embeddings : Tensor, (labels, text_dim), optional
        See :func:`salt_monailabel.models.clip.embed_labels`.
    """

    text: Tensor | None

    def __init__(self, labels: Sequence[str], dim: int = 256, text_embeddings: Tensor | None = None) -> None:
        super().__init__()
        if not labels or len(set(labels)) != len(labels):
            raise ValueError(f"labels must be distinct names and at least one; got {list(labels)}")
        self.labels = tuple(labels)
        self.register_buffer("text", text_embeddings)
        if text_embeddings is None:
            self.tokens = nn.Parameter(torch.randn(len(labels), dim) * 0.02)
        else:
            self.affine = nn.Linear(text_embeddings.shape[1], dim)

    def index(self, label: str) -> int:
        """Return the row of `label`; raises `UnknownLabelError` naming the known labels."""
        if label not in self.labels:
            raise UnknownLabelError(f"unknown label '{label}'; this model knows: {', '.join(self.labels)}")
        return self.labels.index(label)

    def forward(self, indices: Tensor) -> Tensor:
        """Return the tokens of the labels at `indices` (B,) as (B, 1, dim)."""
        tokens = self.tokens if self.text is None else self.affine(self.text)
        return tokens[indices].unsqueeze(1)
