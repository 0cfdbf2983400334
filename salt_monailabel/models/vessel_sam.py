"""Segment Anything with label prompts and a native-resolution head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, TwoWayTransformer
from torch import Tensor, nn
from torch.nn import functional

from .detail_head import DetailHead
from .hints import draw_hints
from .label_prompts import LabelPrompts

PROMPT_DIM = 256
# How sure a previous mask is taken to be at most: about as sure as SAM is of its own.
MASK_LOGIT = 6.0


@dataclass(frozen=True)
class Architecture:
    """The shape of an image encoder.

    Attributes
    ----------
    width, depth, heads : int
        Channels, blocks and attention heads.
    global_attention : tuple of int
        Blocks that attend to the whole image; the others attend within windows.
    window : int
        Side of an attention window, in tokens.
    input_size : int
        Side of the square input in pixels the model is built for unless told otherwise.
    patch : int
        Side of a token in pixels.
    """

    width: int
    depth: int
    heads: int
    global_attention: tuple[int, ...]
    window: int = 14
    input_size: int = 512
    patch: int = 16


@dataclass
class Prompts:
    """What a user asks of each image of a batch, in pixels of the model's input.

    Attributes
    ----------
    labels : Tensor of int64, (B,)
        Rows of the label prompts.
    points : Tensor, (B, N, 2), optional
        Clicks as (x, y).
    point_labels : Tensor, (B, N), optional
        1 foreground click, 0 background click, -1 padding.
    boxes : Tensor, (B, 4), optional
        Corners (x0, y0, x1, y1).
    masks : Tensor, (B, 1, S, S), optional
        Probabilities of a previous mask.
    """

    labels: Tensor
    points: Tensor | None = None
    point_labels: Tensor | None = None
    boxes: Tensor | None = None
    masks: Tensor | None = None

    def to(self, device: torch.device) -> Prompts:
        """Return the prompts on another device."""
        moved = {name: tensor.to(device) for name, tensor in vars(self).items() if tensor is not None}
        return Prompts(**moved)


class VesselSam(nn.Module):
    """SAM (Kirillov et al. 2023) on its own modules, prompted by labels and read out at native resolution.

    The encoder, prompt encoder and mask decoder are `segment_anything`'s classes, unchanged, and keep their names, so
    that Meta's checkpoints fit. Only the first (single-mask) output of the decoder is used.

    Parameters
    ----------
    architecture : Architecture
    labels : sequence of str
        Names of the label prompts.
    input_size : int, optional
        Side of the square input in pixels, a multiple of the patch size; the architecture's own by default.
    text_embeddings : Tensor, (labels, text_dim), optional
        Start the label prompts from frozen text embeddings.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        architecture: Architecture,
        labels: Sequence[str] = ("vessel",),
        input_size: int | None = None,
        text_embeddings: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.input_size = input_size or architecture.input_size
        if self.input_size % architecture.patch:
            raise ValueError(f"input_size {self.input_size} is not a multiple of the patch size {architecture.patch}")
        grid = self.input_size // architecture.patch
        self.image_encoder = ImageEncoderViT(
            img_size=self.input_size,
            patch_size=architecture.patch,
            embed_dim=architecture.width,
            depth=architecture.depth,
            num_heads=architecture.heads,
            out_chans=PROMPT_DIM,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=architecture.window,
            global_attn_indexes=architecture.global_attention,
        )
        self.prompt_encoder = PromptEncoder(
            embed_dim=PROMPT_DIM,
            image_embedding_size=(grid, grid),
            input_image_size=(self.input_size, self.input_size),
            mask_in_chans=16,
        )
        self.mask_decoder = MaskDecoder(
            transformer_dim=PROMPT_DIM,
            transformer=TwoWayTransformer(depth=2, embedding_dim=PROMPT_DIM, mlp_dim=2048, num_heads=8),
        )
        self.detail_head = DetailHead(PROMPT_DIM // 8)
        self.label_prompts = LabelPrompts(labels, PROMPT_DIM, self.detail_head.modulation_width, text_embeddings)
        self.register_buffer("pixel_mean", torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1) / 255, False)
        self.register_buffer("pixel_std", torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1) / 255, False)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the label prompts, in the order of their values in a label map."""
        return self.label_prompts.labels

    def normalize(self, images: Tensor) -> Tensor:
        """Scale RGB in 0..1 with the mean and deviation SAM was trained with."""
        return (images - self.pixel_mean) / self.pixel_std

    def encode(self, images: Tensor) -> Tensor:
        """Embed images: (B, 3, S, S) in 0..1 -> (B, 256, S/16, S/16)."""
        return self.image_encoder(self.normalize(images))

    def decode(self, images: Tensor, embeddings: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Answer one prompt per image.

        Parameters
        ----------
        images : Tensor, (B, 3, S, S)
            RGB in 0..1; the detail head looks at it again.
        embeddings : Tensor, (B, 256, S/16, S/16)
            From :meth:`encode`.
        prompts : Prompts

        Returns
        -------
        logits : Tensor, (B, 1, S, S)
            Mask logits at native resolution; a vessel where positive.
        coarse : Tensor, (B, 1, S/4, S/4)
            SAM's own logits.
        """
        coarse, upscaled = self.decode_coarse(embeddings, prompts)
        upsampled = functional.interpolate(coarse, size=images.shape[-2:], mode="bilinear", align_corners=False)
        hints = draw_hints(self.input_size, prompts.points, prompts.point_labels, prompts.masks, len(images))
        modulation = self.label_prompts.modulation[prompts.labels]
        residual = self.detail_head(self.normalize(images), upscaled, hints.to(images.device), modulation)
        return upsampled + residual, coarse

    def decode_coarse(self, embeddings: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Answer one prompt per image as SAM does, without the detail head.

        Returns
        -------
        coarse : Tensor, (B, 1, S/4, S/4)
            SAM's own logits.
        upscaled : Tensor, (B, 32, S/4, S/4)
            The decoder's upscaled embedding.
        """
        points = None if prompts.points is None else (prompts.points, prompts.point_labels)
        previous = None if prompts.masks is None else self._low_resolution(prompts.masks)
        sparse, dense = self.prompt_encoder(points=points, boxes=prompts.boxes, masks=previous)
        label = self.label_prompts(prompts.labels)
        sparse = torch.cat([label, sparse.expand(len(label), -1, -1)], dim=1)
        return self._decode_mask(embeddings, sparse, dense)

    def forward(self, images: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        """Encode and decode; see :meth:`decode`."""
        return self.decode(images, self.encode(images), prompts)

    @staticmethod
    def _low_resolution(masks: Tensor) -> Tensor:
        """Turn probabilities into the logits at stride 4 that SAM takes as a mask prompt."""
        return torch.logit(functional.avg_pool2d(masks, 4), eps=1e-6).clamp(-MASK_LOGIT, MASK_LOGIT)

    def _decode_mask(self, embeddings: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        # MaskDecoder.forward answers many prompts on ONE image and hides the upscaled embedding; the same layers are
        # called here for one prompt on each of many images.
        decoder = self.mask_decoder
        output_tokens = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(len(sparse), -1, -1), sparse], dim=1)
        position = self.prompt_encoder.get_dense_pe().expand(len(sparse), -1, -1, -1)
        hidden, source = decoder.transformer(embeddings + dense, position, tokens)
        upscaled = decoder.output_upscaling(source.transpose(1, 2).reshape(embeddings.shape))
        weights = decoder.output_hypernetworks_mlps[0](hidden[:, 1])
        return torch.einsum("bc,bchw->bhw", weights, upscaled).unsqueeze(1), upscaled
