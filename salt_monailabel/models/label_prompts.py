"""Label prompts: what tells the decoder and the detail head which structure is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class UnknownLabelError(ValueError):
    """A label was asked for that the model has no prompt for."""


class LabelPrompts(nn.Module):
    """For each label a token, appended to the sparse prompts of SAM's decoder, and a modulation of the detail head.

    The token acts through the decoder, whose matrices an adapter leaves frozen; the modulation acts on the head alone
    (FiLM, Perez et al. 2018). It starts at zero, where all labels are alike to the head.

    Without text embeddings a token is learned directly. With them it is an affine map of a frozen CLIP embedding of
    the label's name, as in the paper (arXiv 2503.16055, section 2); the embeddings are a buffer and travel with the
    weights, so that CLIP is not needed to serve.

    Parameters
    ----------
    labels : sequence of str
        Distinct names, in the order of their values in a label map (1, 2, …).
    dim : int
        Width of the decoder's tokens; 256 in every SAM.
    modulation : int
        Width of the detail head's modulation.
    text_embeddings : Tensor, (labels, text_dim), optional
        See :func:`salt_monailabel.models.clip.embed_labels`.
    """

    text: Tensor | None

    def __init__(self, labels: Sequence[str], dim: int, modulation: int, text_embeddings: Tensor | None = None) -> None:
        super().__init__()
        if not labels or len(set(labels)) != len(labels):
            raise ValueError(f"labels must be distinct names and at least one; got {list(labels)}")
        self.labels = tuple(labels)
        self.register_buffer("text", text_embeddings)
        self.modulation = nn.Parameter(torch.zeros(len(labels), modulation))
        if text_embeddings is None:
            # As large as SAM's own tokens.
            self.tokens = nn.Parameter(torch.randn(len(labels), dim))
        else:
            self.affine = nn.Linear(text_embeddings.shape[1], dim)

    def index(self, label: str) -> int:
        """Return the row of `label`; raises `UnknownLabelError` naming the known labels."""
        if label not in self.labels:
            raise UnknownLabelError(f"unknown label '{label}'; this model knows: {', '.join(self.labels)}")
        return self.labels.index(label)

    def forward(self, indices: Tensor) -> Tensor:
        """Return the tokens (B, 1, dim) of the labels at `indices` (B,)."""
        tokens = self.tokens if self.text is None else self.affine(self.text)
        return tokens[indices].unsqueeze(1)
