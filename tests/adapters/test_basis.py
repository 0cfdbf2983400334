"""The singular vectors an adapter is written in: the same everywhere, cached, and never silently others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from salt_monailabel.adapters import AdapterError, attach, load, save
from salt_monailabel.adapters.basis import cached_bases, decompose, fingerprint

from .network import SALT, network, network_config, noise, perturb

ADAPTED = ("conv", "linear", "last")
MERGE_ELSEWHERE = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from salt_monailabel.adapters import load
from tests.adapters.network import network

adapter, cache, merged = map(Path, sys.argv[1:])
save_file(load(network(), adapter, cache=cache).merge().state_dict(), merged)
"""


def weights() -> dict[str, Tensor]:
    model = network()
    return {name: model.get_submodule(name).weight for name in ADAPTED}


@pytest.fixture
def no_more_svd(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def computed(*args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError("the SVD was computed again")

    return lambda: monkeypatch.setattr("scipy.linalg.svd", computed)


def trained_adapter(path: Path, method: str, cache: Path) -> dict[str, Tensor]:
    """Train for a few steps, save to `path`, and return the merged weights."""
    model = network()
    adapter = attach(model, network_config(method), cache=cache)
    optimizer = torch.optim.Adam([parameter for _, parameter in adapter.parameters()], lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        loss = (model(noise(8, 3, 6, 6)) - noise(8, 5, seed=1)).square().mean() + 0.01 * adapter.regularization()
        loss.backward()
        optimizer.step()
    save(adapter, path)
    return adapter.merge().state_dict()


def assert_same_weights(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=0, atol=1e-5)
    # A training that did nothing would agree with anything.
    assert all((expected[f"{name}.weight"] - weight).abs().max() > 1e-2 for name, weight in weights().items())


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 3), st.integers(0, 1000))
def test_both_drivers_give_the_same_basis(rows: int, channels: int, kernel: int, seed: int) -> None:
    weight = noise(rows, channels, kernel, kernel, seed=seed)
    for one, other in zip(
        vars(decompose(weight, "gesdd")).values(), vars(decompose(weight, "gesvd")).values(), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 3), st.integers(0, 1000))
def test_a_basis_is_a_thin_svd_in_descending_order(rows: int, channels: int, kernel: int, seed: int) -> None:
    weight = noise(rows, channels, kernel, kernel, seed=seed)
    basis = decompose(weight)
    identity = torch.eye(min(rows, channels * kernel**2))
    torch.testing.assert_close(basis.u * basis.sigma @ basis.vt, weight.flatten(1), rtol=0, atol=1e-5)
    torch.testing.assert_close(basis.u.T @ basis.u, identity, rtol=0, atol=1e-5)
    torch.testing.assert_close(basis.vt @ basis.vt.T, identity, rtol=0, atol=1e-5)
    assert (basis.sigma.diff() <= 0).all()


@pytest.mark.parametrize("method", [*SALT, "ssam"])
def test_an_adapter_trained_on_one_driver_merges_to_the_same_weights_under_the_other(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merged = trained_adapter(tmp_path / "a.safetensors", method, tmp_path / "gesdd")
    monkeypatch.setattr("salt_monailabel.adapters.basis.decompose", partial(decompose, driver="gesvd"))
    again = load(network(), tmp_path / "a.safetensors", cache=tmp_path / "gesvd").merge()
    assert_same_weights(again.state_dict(), merged)


def test_an_adapter_merges_to_the_same_weights_in_another_process(tmp_path: Path) -> None:
    merged = trained_adapter(tmp_path / "a.safetensors", "salt diagonal", tmp_path / "here")
    elsewhere = tmp_path / "merged.safetensors"
    subprocess.run(
        [sys.executable, "-c", MERGE_ELSEWHERE, tmp_path / "a.safetensors", tmp_path / "there", elsewhere],
        check=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert_same_weights(load_file(elsewhere), merged)


def flipped(u: Tensor, vt: Tensor, i: int, j: int) -> None:
    u[:, i] *= -1
    vt[i] *= -1


def swapped(u: Tensor, vt: Tensor, i: int, j: int) -> None:
    u[:, [i, j]] = u[:, [j, i]]
    vt[[i, j]] = vt[[j, i]]


def mixed(u: Tensor, vt: Tensor, i: int, j: int) -> None:
    rotation = torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
    u[:, [i, j]] = u[:, [i, j]] @ rotation
    vt[[i, j]] = rotation.T @ vt[[i, j]]


@pytest.mark.parametrize("change", [flipped, swapped, mixed])
@pytest.mark.parametrize(("i", "j"), [(0, 1), (2, 3), (4, 3)])
@pytest.mark.parametrize("name", ADAPTED)
def test_an_adapter_is_refused_in_other_singular_vectors(
    change: Callable[[Tensor, Tensor, int, int], None], name: str, i: int, j: int, tmp_path: Path
) -> None:
    path, cache = tmp_path / "a.safetensors", tmp_path / "cache"
    save(attach(network(), network_config("salt diagonal"), cache=cache), path)
    (cached,) = cache.iterdir()
    tensors = load_file(cached)
    change(tensors[f"{name}.u"], tensors[f"{name}.vt"], i, j)
    save_file(tensors, cached)
    model = network()
    with pytest.raises(AdapterError, match=r"a\.safetensors is written in other singular vectors.*delete the cached"):
        load(model, path, cache=cache)
    assert all(torch.equal(t, network().state_dict()[n]) for n, t in model.state_dict().items())


def test_a_cached_basis_is_not_computed_again(tmp_path: Path, no_more_svd: Callable[[], None]) -> None:
    first = cached_bases(weights(), tmp_path)
    no_more_svd()
    again = cached_bases(weights(), tmp_path)
    assert first.keys() == again.keys()
    for name, basis in first.items():
        assert all(
            torch.equal(one, other) for one, other in zip(vars(basis).values(), vars(again[name]).values(), strict=True)
        )


@pytest.mark.parametrize("method", ["lora", "bias", "full"])
def test_a_method_without_singular_vectors_caches_nothing(method: str, tmp_path: Path) -> None:
    attach(network(), network_config(method), cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_other_weights_do_not_share_a_cached_basis(tmp_path: Path) -> None:
    one = cached_bases({"w": noise(6, 4)}, tmp_path)["w"]
    other = cached_bases({"w": noise(6, 4, seed=1)}, tmp_path)["w"]
    assert not torch.allclose(one.sigma, other.sigma)


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "other tensors"])
def test_a_damaged_cached_basis_is_computed_again_and_replaced(
    damage: str, tmp_path: Path, no_more_svd: Callable[[], None]
) -> None:
    whole = cached_bases(weights(), tmp_path)
    (cached,) = tmp_path.iterdir()
    if damage == "other tensors":
        save_file({"conv.u": torch.zeros(2)}, cached)
    else:
        content = {"truncated": cached.read_bytes()[:-100], "text": b"not safetensors", "empty": b""}[damage]
        cached.write_bytes(content)
    again = cached_bases(weights(), tmp_path)
    assert all(torch.equal(again[name].u, whole[name].u) for name in whole)
    no_more_svd()
    assert all(torch.equal(basis.u, whole[name].u) for name, basis in cached_bases(weights(), tmp_path).items())


def test_an_adapter_works_where_the_cache_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    # A file in the place of the folder stops even root, whom permissions do not.
    cache = tmp_path / "cache"
    cache.write_text("in the way")
    adapter = attach(network(), network_config("salt diagonal"), cache=cache)
    perturb(adapter)
    save(adapter, tmp_path / "a.safetensors")
    again = load(network(), tmp_path / "a.safetensors", cache=cache)
    assert_same_weights(again.merge().state_dict(), adapter.merge().state_dict())
    assert cache.read_text() == "in the way"
    assert f"the basis is not cached in {cache}" in caplog.text


def test_a_full_disk_leaves_no_partial_file_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(tensors: dict[str, Tensor], path: str) -> NoReturn:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("salt_monailabel.adapters.basis.save_file", full)
    assert set(cached_bases(weights(), tmp_path)) == set(ADAPTED)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused_and_the_model_left_alone(value: float, tmp_path: Path) -> None:
    model = network()
    with torch.no_grad():
        model.get_parameter("linear.weight")[3, 4] = value
    names = set(model.state_dict())
    with pytest.raises(ValueError, match="not finite"):
        attach(model, network_config("salt diagonal"), cache=tmp_path)
    assert set(model.state_dict()) == names
    assert list(tmp_path.iterdir()) == []


def test_a_fingerprint_tells_names_shapes_and_values_apart_but_not_orders() -> None:
    a, b = noise(2, 3), noise(2, 3, seed=1)
    prints = [
        fingerprint([("a", a), ("b", b)]),
        fingerprint([("a", b), ("b", a)]),
        fingerprint([("a", a), ("c", b)]),
        fingerprint([("a", a.T.contiguous().view(3, 2)), ("b", b)]),
        fingerprint([("a", a), ("b", b + 1e-6)]),
    ]
    assert len(set(prints)) == len(prints)
    assert fingerprint([("b", b), ("a", a)]) == prints[0]
