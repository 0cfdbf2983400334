"""What every way of adapting promises, whatever the model and the shapes of its weights."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize

from salt_monailabel.adapters import Adapter, AdapterConfig, attach, load, save
from salt_monailabel.models import Prompts, VesselSam

from .network import (
    IN_SINGULAR_VECTORS,
    METHODS,
    NETWORK,
    SALT,
    eq_4,
    eq_5,
    network,
    network_config,
    noise,
    perturb,
    salts,
)

all_methods = pytest.mark.parametrize("method", METHODS)


@dataclass
class Subject:
    """A model to adapt, with the settings that fit it and an input to run it on."""

    model: nn.Module
    settings: dict[str, Any]
    run: Callable[[nn.Module], Tensor]

    def attach(self, method: str, cache: Path) -> Adapter:
        return attach(self.model, AdapterConfig(**METHODS[method], **self.settings), cache=cache)

    def output(self) -> Tensor:
        with torch.no_grad():
            return self.run(self.model)


@pytest.fixture(params=["network", "sam"])
def subject(request: pytest.FixtureRequest, tiny_sam: VesselSam) -> Subject:
    if request.param == "network":
        return Subject(network(), NETWORK, lambda model: model(noise(4, 3, 6, 6)))
    image, prompts = noise(1, 3, 64, 64).sigmoid(), Prompts(torch.tensor([0]))
    return Subject(tiny_sam, {"lora_rank": 4}, lambda model: model(image, prompts)[0])


@all_methods
def test_attaching_changes_no_output(subject: Subject, method: str, basis_cache: Path) -> None:
    before = subject.output()
    subject.attach(method, basis_cache)
    torch.testing.assert_close(subject.output(), before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["salt diagonal", "salt elementwise", "lora", "ssam"])
def test_attaching_changes_no_bit_of_a_bfloat16_weight(method: str, basis_cache: Path) -> None:
    model = network().to(torch.bfloat16)
    before = {name: model.get_submodule(name).weight.clone() for name in ("conv", "linear", "last")}
    attach(model, network_config(method), cache=basis_cache)
    for name, weight in before.items():
        assert torch.equal(model.get_submodule(name).weight, weight)


@all_methods
def test_merging_keeps_the_trained_output(subject: Subject, method: str, basis_cache: Path) -> None:
    before = subject.output()
    adapter = subject.attach(method, basis_cache)
    perturb(adapter)
    unmerged = subject.output()
    adapter.merge()
    assert not torch.allclose(unmerged, before, atol=1e-2)
    torch.testing.assert_close(subject.output(), unmerged, rtol=1e-5, atol=1e-5)


@all_methods
def test_a_merged_model_is_plain_and_frozen(subject: Subject, method: str, basis_cache: Path) -> None:
    names = set(subject.model.state_dict())
    model = subject.attach(method, basis_cache).merge()
    assert set(model.state_dict()) == names
    assert not any(parametrize.is_parametrized(module) for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())


@all_methods
def test_merging_twice_is_merging_once(subject: Subject, method: str, basis_cache: Path) -> None:
    adapter = subject.attach(method, basis_cache)
    perturb(adapter)
    once = deepcopy(adapter.merge().state_dict())
    twice = adapter.merge().state_dict()
    assert once.keys() == twice.keys()
    assert all(torch.equal(once[name], twice[name]) for name in once)


@all_methods
def test_detaching_gives_the_base_back_to_the_bit(subject: Subject, method: str, basis_cache: Path) -> None:
    base = deepcopy(subject.model.state_dict())
    adapter = subject.attach(method, basis_cache)
    perturb(adapter)
    back = adapter.detach().state_dict()
    assert back.keys() == base.keys()
    assert all(torch.equal(back[name], base[name]) for name in base)


@all_methods
@pytest.mark.parametrize("end", [Adapter.merge, Adapter.detach])
def test_detaching_what_is_merged_or_detached_is_refused(
    method: str, end: Callable[[Adapter], nn.Module], basis_cache: Path
) -> None:
    adapter = attach(network(), network_config(method), cache=basis_cache)
    end(adapter)
    with pytest.raises(RuntimeError, match="load the base again"):
        adapter.detach()


@all_methods
def test_a_second_adapter_is_refused(method: str, basis_cache: Path) -> None:
    model = network()
    attach(model, network_config(method), cache=basis_cache)
    with pytest.raises(ValueError, match="has an adapter already"):
        attach(model, network_config(method), cache=basis_cache)


@all_methods
def test_a_saved_adapter_gives_the_same_output_on_a_fresh_base(
    subject: Subject, method: str, basis_cache: Path, tmp_path: Path
) -> None:
    fresh = deepcopy(subject.model)
    adapter = subject.attach(method, basis_cache)
    perturb(adapter)
    save(adapter, tmp_path / "a.safetensors")
    load(fresh, tmp_path / "a.safetensors", cache=basis_cache)
    with torch.no_grad():
        torch.testing.assert_close(subject.run(fresh), subject.output(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("subject", "method"),
    # Full training of a SAM also lists its quality score and its second to fourth mask, which nothing here reads.
    [(model, method) for model in ("network", "sam") for method in METHODS if (model, method) != ("sam", "full")],
    indirect=["subject"],
)
def test_gradients_reach_everything_trained_and_nothing_frozen(
    subject: Subject, method: str, basis_cache: Path
) -> None:
    adapter = subject.attach(method, basis_cache)
    perturb(adapter)
    subject.run(subject.model).square().mean().backward()
    trained = {name for name, _ in adapter.parameters()}
    reached = {name for name, p in subject.model.named_parameters() if p.grad is not None and p.grad.any()}
    touched = {name for name, p in subject.model.named_parameters() if p.grad is not None}
    assert trained
    assert reached == trained
    assert touched == trained


@pytest.mark.parametrize("method", SALT)
def test_the_first_step_of_training_moves_entries_off_the_diagonal(method: str, basis_cache: Path) -> None:
    model = network()
    weights = {name: model.get_submodule(name).weight.detach().clone() for name in ("conv", "linear", "last")}
    adapter = attach(model, network_config(method), cache=basis_cache)
    optimizer = torch.optim.SGD([parameter for _, parameter in adapter.parameters()], lr=0.1)
    (model(noise(4, 3, 6, 6)) - noise(4, 5, seed=1)).square().mean().backward()
    assert all(part.y is not None and part.y.grad is not None and part.y.grad.any() for part in salts(model).values())
    optimizer.step()
    for name, part in salts(model).items():
        assert part.x is not None
        assert part.y is not None
        update = _off_diagonal(part.x @ part.y)
        assert update.abs().max() > 1e-6
        change = (model.get_submodule(name).weight - weights[name]).detach().flatten(1)
        tail = slice(len(part.alpha), None)
        # The elementwise ReLU takes the negative entries away again, and in so small a matrix all may be negative.
        expected = update.relu() if method == "salt elementwise" else update
        torch.testing.assert_close(
            _off_diagonal(part.u[:, tail].T @ change @ part.vt[tail].T), expected, rtol=1e-3, atol=1e-6
        )


def test_at_the_start_the_elementwise_relu_lets_every_entry_learn(basis_cache: Path) -> None:
    gradients = {}
    for method in SALT:
        model = network()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            attach(model, network_config(method), cache=basis_cache)
        model(noise(4, 3, 6, 6)).square().mean().backward()
        gradients[method] = [part.y.grad for part in salts(model).values() if part.y is not None]
    # Off the diagonal all entries start at exactly zero, where most forms of ReLU have no gradient.
    torch.testing.assert_close(gradients["salt elementwise"], gradients["salt diagonal"])


@all_methods
def test_regularization_is_zero_at_the_start_and_lets_training_begin(
    subject: Subject, method: str, basis_cache: Path
) -> None:
    adapter = subject.attach(method, basis_cache)
    penalty = adapter.regularization()
    assert penalty.shape == ()
    assert penalty == 0
    (subject.run(subject.model).square().mean() + 0.01 * penalty).backward()
    gradients = [parameter.grad for _, parameter in adapter.parameters() if parameter.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("method", IN_SINGULAR_VECTORS)
def test_regularization_and_its_gradient_are_eq_5_summed_over_the_weights(
    subject: Subject, method: str, basis_cache: Path
) -> None:
    adapter = subject.attach(method, basis_cache)
    perturb(adapter)
    written = torch.stack([eq_5(part) for part in salts(subject.model).values()]).sum()
    parameters = [parameter for part in salts(subject.model).values() for parameter in part.parameters()]
    torch.testing.assert_close(adapter.regularization().double(), written, rtol=1e-5, atol=1e-6)
    found = torch.autograd.grad(adapter.regularization(), parameters)
    expected = torch.autograd.grad(written, parameters)
    assert all(gradient.isfinite().all() for gradient in found)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["lora", "bias", "full"])
def test_regularization_of_other_methods_stays_zero(method: str, basis_cache: Path) -> None:
    adapter = attach(network(), network_config(method), cache=basis_cache)
    perturb(adapter)
    assert adapter.regularization() == 0


def test_targets_that_match_nothing_are_refused() -> None:
    config = AdapterConfig(targets={"mlp": ("image_encoder.*",)})
    with pytest.raises(ValueError, match="no module matches"):
        attach(network(), config)


def test_a_target_that_is_no_weight_matrix_is_refused() -> None:
    config = AdapterConfig(targets={"mlp": ("norm",)})
    with pytest.raises(ValueError, match="norm is a LayerNorm"):
        attach(network(), config)


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_the_contract_holds_for_any_shape_and_rank(data: st.DataObject, method: str, basis_cache: Path) -> None:
    model, images, config = data.draw(_cases(method))
    base = deepcopy(model.state_dict())
    before = model(images)
    adapter = attach(model, config, cache=basis_cache)
    torch.testing.assert_close(model(images), before, rtol=0, atol=1e-6)

    perturb(adapter)
    unmerged = model(images)
    path = basis_cache / "any_shape.safetensors"
    save(adapter, path)
    assert all(torch.equal(tensor, base[name]) for name, tensor in adapter.detach().state_dict().items())
    adapter = load(model, path, cache=basis_cache)
    torch.testing.assert_close(model(images), unmerged, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(adapter.merge()(images), unmerged, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("method", IN_SINGULAR_VECTORS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_merged_weight_is_eq_4_and_the_regularization_eq_5(
    data: st.DataObject, method: str, basis_cache: Path
) -> None:
    model, _, config = data.draw(_cases(method))
    adapter = attach(model, config, cache=basis_cache)
    # Large enough for the ReLU to clip some of the singular values.
    perturb(adapter, scale=1.0)
    part = salts(model)["0"]
    expected = eq_4(adapter.bases["0"], part)
    torch.testing.assert_close(adapter.regularization().double(), eq_5(part), rtol=1e-4, atol=1e-5)
    merged = adapter.merge().get_parameter("0.weight")
    torch.testing.assert_close(merged.flatten(1).double(), expected, rtol=1e-4, atol=1e-5)


@st.composite
def _cases(draw: st.DrawFn, method: str) -> tuple[nn.Sequential, Tensor, AdapterConfig]:
    seed = draw(st.integers(0, 1000))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer: nn.Module
        if draw(st.booleans()):
            layer = nn.Linear(draw(st.integers(2, 24)), draw(st.integers(2, 24)))
            images = torch.randn(3, layer.in_features)
        else:
            layer = nn.Conv2d(draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 3)))
            images = torch.randn(2, layer.in_channels, 4, 4)
        model = nn.Sequential(layer, nn.GELU())
    rank = draw(st.one_of(st.integers(1, 30), st.floats(0, 1)))
    config = AdapterConfig(
        **METHODS[method],
        targets={"mlp": ("0",)},
        ranks={"mlp": rank},
        also_train={},
        lora_rank=draw(st.integers(1, 8)),
    )
    return model, images, config


def _off_diagonal(matrix: Tensor) -> Tensor:
    return matrix.detach() - torch.diag(matrix.detach().diagonal())
