"""CLIP embeddings of label names, to start label prompts from, as in the paper (arXiv 2503.16055, section 2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .weights import WeightsError

DEFAULT_CLIP = "openai/clip-vit-base-patch32"


def embed_labels(labels: Sequence[str], clip: str = DEFAULT_CLIP) -> Tensor:
    """Embed label names with CLIP's frozen text encoder.

    Only needed once: the embeddings are kept with the adapter.

    Parameters
    ----------
    labels : sequence of str
    clip : str
        A folder with a CLIP model in Hugging Face's layout, or its name on the hub.

    Returns
    -------
    Tensor, (labels, text_dim), of unit length

    Raises
    ------
    WeightsError
        If `transformers` is not installed, or the model cannot be found.
    """
    try:
        from transformers import CLIPTextModelWithProjection, CLIPTokenizer
    except ImportError as error:
        raise WeightsError("CLIP needs the package transformers: pip install 'salt-monailabel[clip]'") from error
    try:
        tokenizer = CLIPTokenizer.from_pretrained(clip)
        model = CLIPTextModelWithProjection.from_pretrained(clip).eval()
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"CLIP '{clip}' cannot be loaded ({error}). Offline: copy the model's folder from another computer and "
            "give its path"
        ) from error
    tokens = tokenizer([name.replace("_", " ") for name in labels], padding=True, return_tensors="pt")
    with torch.no_grad():
        embeddings = model(**tokens).text_embeds
    return embeddings / embeddings.norm(dim=-1, keepdim=True)
