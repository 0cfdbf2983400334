"""Where and in which precision to compute."""

from __future__ import annotations

import pytest
import torch

from salt_monailabel.models.precision import autocast, best_device, never_emulated


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [
        pytest.param({"avx512_bf16": True}, torch.bfloat16, id="AVX-512"),
        pytest.param({"amx_bf16": True}, torch.bfloat16, id="AMX"),
        pytest.param({"avx2": True, "avx512_bf16": False}, torch.float32, id="neither"),
    ],
)
def test_a_cpu_computes_in_bfloat16_only_with_instructions_for_it(
    capabilities: dict[str, bool], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: capabilities)
    with autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize("native", [True, False])
def test_muon_is_not_emulated_where_there_is_no_bfloat16(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": native})
    weight = torch.nn.Parameter(torch.zeros(8, 12))
    weight.grad = torch.randn(8, 12, generator=torch.Generator().manual_seed(0))
    with never_emulated(torch.device("cpu")):
        torch.optim.Muon([weight], lr=1.0).step()
    # A step that was computed in bfloat16 is the same number in it.
    assert torch.equal(weight, weight.bfloat16().float()) == native
    assert torch.linalg.svdvals(weight.detach()).min() > 0.1


@pytest.mark.parametrize(
    ("cuda", "mps", "device"), [(True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")]
)
def test_auto_takes_the_accelerator_that_is_there(
    cuda: bool, mps: bool, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    assert best_device("auto") == best_device("") == torch.device(device)


def test_the_cpu_can_be_named() -> None:
    assert best_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "meta"])
def test_a_device_that_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=f"no device '{name}' here"):
        best_device(name)
