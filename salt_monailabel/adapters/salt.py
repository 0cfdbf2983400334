"""SALT: scale and shift the largest singular values, add a low-rank update to the rest (arXiv 2503.16055).

For a frozen weight W = U diag(σ) Vᵀ with p singular values in descending order, of which r are "head" and p - r "tail":

    M  = blockdiag( diag(α ⊙ σ_head + β),  diag(σ_tail) + X Y )                                     (eq. 2, 3)
    W' = U ReLU(M) Vᵀ                                                                               (eq. 4)
    L  = ‖α ⊙ σ_head + β - σ_head‖ + ‖X Y‖_F                                                        (eq. 5)

It is computed as a change of W, so that the base stays exact in any precision:

    W' = W + (U_head diag(δ)) V_headᵀ + (U_tail X)(Y V_tailᵀ),    δ = ReLU(α ⊙ σ_head + β) - σ_head

Here ReLU acts on the singular values alone. On every entry, as eq. 4 reads, it clips half of the low-rank update and
makes it full-rank; `relu="elementwise"` does that, for comparison. Y starts at zero, so that W' = W exactly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .basis import Basis
from .config import Relu


class Salt(nn.Module):
    """A parametrization of one weight.

    Parameters
    ----------
    basis : Basis
        Of the frozen weight, seen as a matrix (out, in).
    rank : int
        r, from 1 to p. With r = p there is no tail.
    lora_rank : int
        l. With 0 there is no low-rank update: with r = p as well, this is S-SAM (Paranjape et al. 2024).
    relu : {"diagonal", "elementwise"}
    """

    def __init__(self, basis: Basis, rank: int, lora_rank: int, relu: Relu = "diagonal") -> None:
        super().__init__()
        tail = len(basis.sigma) - rank
        device = basis.sigma.device
        self.relu = relu
        self.alpha = nn.Parameter(torch.ones(rank, device=device))
        self.beta = nn.Parameter(torch.zeros(rank, device=device))
        self.x: nn.Parameter | None = None
        self.y: nn.Parameter | None = None
        if tail and lora_rank:
            self.x = nn.Parameter(torch.randn(tail, lora_rank, device=device) / tail**0.5)
            self.y = nn.Parameter(torch.zeros(lora_rank, tail, device=device))
        self.register_buffer("u", basis.u, persistent=False)
        self.register_buffer("sigma", basis.sigma, persistent=False)
        self.register_buffer("vt", basis.vt, persistent=False)

    u: Tensor
    sigma: Tensor
    vt: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight, of the shape of `weight`."""
        r = len(self.alpha)
        delta = (_relu(self._scaled()) - self.sigma[:r]) * self.u[:, :r] @ self.vt[:r]
        if self.x is not None and self.y is not None:
            u_tail, vt_tail = self.u[:, r:], self.vt[r:]
            if self.relu == "diagonal":
                # In whichever order is cheapest: X Y first where the tail is shorter than l.
                delta = delta + torch.linalg.multi_dot([u_tail, self.x, self.y, vt_tail])
            else:
                tail = torch.diag(self.sigma[r:])
                delta = delta + u_tail @ (_relu(tail + self.x @ self.y) - tail) @ vt_tail
        return weight + delta.view_as(weight).to(weight.dtype)

    def regularization(self) -> Tensor:
        """Eq. 5 for this weight: zero at the start."""
        penalty = torch.linalg.vector_norm(self._scaled() - self.sigma[: len(self.alpha)])
        if self.x is None or self.y is None:
            return penalty
        return penalty + torch.linalg.vector_norm(self.x @ self.y)

    def _scaled(self) -> Tensor:
        return self.alpha * self.sigma[: len(self.alpha)] + self.beta


def _relu(values: Tensor) -> Tensor:
    """ReLU that passes the gradient at exactly zero, where all entries off the diagonal start and would else stay."""
    return torch.where(values >= 0, values, 0)
