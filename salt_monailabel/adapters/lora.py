"""LoRA: add a product of two thin matrices (Hu et al. 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Lora(nn.Module):
    """A parametrization of one weight: W' = W + B A, with A random and B zero at the start.

    Parameters
    ----------
    weight : Tensor, (out, in) or (out, in, k, k)
        Gives shape and device; a convolution is seen as a matrix (out, in·k·k).
    rank : int
        Rows of A and columns of B.
    """

    def __init__(self, weight: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        self.a = nn.Parameter(torch.randn(rank, columns, device=weight.device) / columns**0.5)
        self.b = nn.Parameter(torch.zeros(rows, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight, of the shape of `weight`."""
        return weight + (self.b @ self.a).view_as(weight).to(weight.dtype)

    def regularization(self) -> Tensor:
        """Return zero: LoRA has no term of its own."""
        return self.b.new_zeros(())
