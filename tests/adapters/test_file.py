"""The file of an adapter: whole or refused, and harmless."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from salt_monailabel.adapters import Adapter, AdapterConfig, AdapterError, attach, load, read_card, save
from salt_monailabel.adapters.file import FORMAT
from salt_monailabel.models import Prompts, VesselSam

from .network import METHODS, network, network_config, noise, perturb

LORA = AdapterConfig("lora", lora_rank=1)


@pytest.fixture
def adapter(basis_cache: Path) -> Adapter:
    """Return an adapter of `network` that was trained."""
    adapter = attach(network(), network_config("salt diagonal"), cache=basis_cache)
    perturb(adapter)
    return adapter


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "adapter.safetensors"


def labelled_sam(base: VesselSam, labels: tuple[str, ...], text_embeddings: Tensor | None = None) -> VesselSam:
    """Return `base` with other label prompts."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = VesselSam(base.architecture, labels, text_embeddings=text_embeddings)
    state = {name: tensor for name, tensor in base.state_dict().items() if not name.startswith("label_prompts.")}
    model.load_state_dict(state, strict=False)
    return model.eval()


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_of_another_base_is_refused_by_name_and_the_model_left_as_it_was(
    method: str, basis_cache: Path, path: Path
) -> None:
    adapter = attach(network(), network_config(method), cache=basis_cache)
    perturb(adapter)
    save(adapter, path, {"base": "vit_b"})
    other = network(seed=1)
    with pytest.raises(AdapterError, match=r"adapter\.safetensors was trained on another base \(vit_b"):
        load(other, path, cache=basis_cache)
    state = network(seed=1).state_dict()
    assert other.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in other.state_dict().items())


def test_an_adapter_of_another_architecture_is_refused_by_name(
    adapter: Adapter, path: Path, tiny_sam: VesselSam, basis_cache: Path
) -> None:
    save(adapter, path)
    with pytest.raises(AdapterError, match=r"adapter\.safetensors"):
        load(tiny_sam, path, cache=basis_cache)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused_by_name(adapter: Adapter, path: Path, basis_cache: Path, share: float) -> None:
    save(adapter, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(AdapterError, match=r"adapter\.safetensors is damaged"):
        load(network(), path, cache=basis_cache)
    with pytest.raises(AdapterError, match=r"adapter\.safetensors is damaged"):
        read_card(path)


def test_a_text_file_is_refused_by_name(path: Path, basis_cache: Path) -> None:
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4600000\n")
    with pytest.raises(AdapterError, match=r"adapter\.safetensors is damaged or no adapter"):
        load(network(), path, cache=basis_cache)


def test_a_missing_file_is_refused_by_name(path: Path, basis_cache: Path) -> None:
    with pytest.raises(AdapterError, match=r"no adapter at .*adapter\.safetensors"):
        load(network(), path, cache=basis_cache)


def test_other_safetensors_are_refused_by_name(path: Path, basis_cache: Path) -> None:
    save_file(network().state_dict(), path)
    with pytest.raises(AdapterError, match=r"adapter\.safetensors is no adapter of this program"):
        load(network(), path, cache=basis_cache)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"config": {"method": "dora"}}, id="unknown method"),
        pytest.param({"config": {"rank": 3}}, id="unknown setting"),
        pytest.param({"config": None}, id="no config"),
        pytest.param({"base_fingerprint": None}, id="no fingerprint"),
    ],
)
def test_a_card_that_cannot_be_used_is_refused_by_name(
    adapter: Adapter, path: Path, basis_cache: Path, change: dict[str, Any]
) -> None:
    card = {name: value for name, value in (save(adapter, path) | change).items() if value is not None}
    save_file(load_file(path), path, metadata={"card": json.dumps(card)})
    with pytest.raises(AdapterError, match=r"adapter\.safetensors"):
        load(network(), path, cache=basis_cache)


def test_a_card_that_is_no_object_is_refused_by_name(path: Path) -> None:
    save_file({"a": torch.zeros(1)}, path, metadata={"card": f'["{FORMAT}"]'})
    with pytest.raises(AdapterError, match=r"adapter\.safetensors"):
        read_card(path)


def test_an_adapter_of_other_labels_is_refused(tiny_sam: VesselSam, path: Path, basis_cache: Path) -> None:
    two = labelled_sam(tiny_sam, ("vessel", "stenosis"))
    save(attach(two, LORA, cache=basis_cache), path)
    with pytest.raises(AdapterError, match=r"adapter\.safetensors does not fit.*label_prompts.*labels"):
        load(tiny_sam, path, cache=basis_cache)


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), SafetensorError("I/O error: No space left on device")],
    ids=["OSError", "SafetensorError"],
)
def test_a_full_disk_keeps_the_previous_file_and_leaves_no_partial_one(
    adapter: Adapter, path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    save(adapter, path)
    previous = path.read_bytes()
    perturb(adapter)

    def full(tensors: dict[str, Tensor], partial: str, metadata: dict[str, str]) -> NoReturn:
        Path(partial).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr("salt_monailabel.adapters.file.save_file", full)
    with pytest.raises(OSError, match="No space left on device"):
        save(adapter, path)
    assert path.read_bytes() == previous
    assert list(path.parent.iterdir()) == [path]


def test_who_reads_while_another_version_is_saved_reads_the_whole_previous_one(adapter: Adapter, path: Path) -> None:
    save(adapter, path)
    previous = path.read_bytes()
    perturb(adapter)
    with path.open("rb") as reader:
        beginning = reader.read(100)
        save(adapter, path)
        assert beginning + reader.read() == previous
    assert path.read_bytes() != previous


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("end", [Adapter.merge, Adapter.detach])
def test_saving_what_is_merged_or_detached_is_refused_and_keeps_the_file(
    method: str, end: Callable[[Adapter], nn.Module], basis_cache: Path, path: Path
) -> None:
    adapter = attach(network(), network_config(method), cache=basis_cache)
    save(adapter, path)
    previous = path.read_bytes()
    end(adapter)
    with pytest.raises(RuntimeError, match="save it before"):
        save(adapter, path)
    assert path.read_bytes() == previous


def test_saving_leaves_the_file_alone_in_its_folder(adapter: Adapter, tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "adapter.safetensors"
    save(adapter, path)
    assert list(path.parent.iterdir()) == [path]


def test_a_card_that_json_cannot_hold_leaves_no_file(adapter: Adapter, path: Path) -> None:
    with pytest.raises(TypeError):
        save(adapter, path, {"scores": {1, 2}})
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("method", METHODS)
def test_a_file_is_a_json_header_and_plain_numbers_with_no_room_for_code(
    method: str, basis_cache: Path, path: Path
) -> None:
    save(attach(network(), network_config(method), cache=basis_cache), path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert set(header.pop("__metadata__")) == {"card"}
    assert {entry["dtype"] for entry in header.values()} <= {"F32", "F64"}
    ends = sorted(tuple(entry["data_offsets"]) for entry in header.values())
    assert ends[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(ends))
    assert 8 + length + ends[-1][1] == len(content)


def test_a_file_holds_the_trained_parameters_and_nothing_of_the_frozen_base(adapter: Adapter, path: Path) -> None:
    save(adapter, path)
    assert set(load_file(path)) == {name for name, _ in adapter.parameters()} | {"basis.sketch"}


def test_the_card_comes_back_as_it_was_written(adapter: Adapter, path: Path) -> None:
    said = {"labels": ["vessel", "Gefäß"], "scores": {"dice": 0.81, "hd95": None}, "base": "vessel_t"}
    written = save(adapter, path, said)
    with safe_open(path, framework="pt") as file:
        stored = json.loads(file.metadata()["card"])
    assert read_card(path) == stored == json.loads(json.dumps(written))
    assert said.items() <= stored.items()
    assert stored["format"] == FORMAT
    assert stored["base_fingerprint"] == adapter.base_fingerprint
    assert stored["trainable_parameters"] == adapter.trainable_parameters()
    assert AdapterConfig.from_dict(stored["config"]) == adapter.config


def test_a_card_tells_the_basis_by_its_fingerprint(basis_cache: Path, path: Path) -> None:
    cards = [
        save(attach(network(seed), network_config("salt diagonal"), cache=basis_cache), path) for seed in (0, 0, 1)
    ]
    one, again, other = (card["basis_fingerprint"] for card in cards)
    assert one == again != other
    assert "basis_fingerprint" not in save(attach(network(), network_config("lora"), cache=basis_cache), path)


def test_what_a_card_says_of_itself_cannot_be_overridden(adapter: Adapter, path: Path) -> None:
    card = save(adapter, path, {"format": "mine", "base_fingerprint": "mine"})
    assert card["format"] == FORMAT
    assert card["base_fingerprint"] == adapter.base_fingerprint


def test_text_embeddings_of_the_labels_travel_with_the_adapter(
    tiny_sam: VesselSam, path: Path, basis_cache: Path
) -> None:
    trained = labelled_sam(tiny_sam, ("vessel",), noise(1, 6))
    adapter = attach(trained, LORA, cache=basis_cache)
    perturb(adapter, scale=0.1)
    save(adapter, path)
    server = labelled_sam(tiny_sam, ("vessel",), torch.zeros(1, 6))
    load(server, path, cache=basis_cache)
    image, prompts = noise(1, 3, 64, 64).sigmoid(), Prompts(torch.tensor([0]))
    with torch.no_grad():
        torch.testing.assert_close(server(image, prompts), trained(image, prompts))


def test_detaching_gives_the_text_embeddings_of_the_base_back(
    tiny_sam: VesselSam, path: Path, basis_cache: Path
) -> None:
    save(attach(labelled_sam(tiny_sam, ("vessel",), noise(1, 6)), LORA, cache=basis_cache), path)
    server = labelled_sam(tiny_sam, ("vessel",), torch.zeros(1, 6))
    base = deepcopy(server.state_dict())
    detached = load(server, path, cache=basis_cache).detach().state_dict()
    assert all(torch.equal(detached[name], base[name]) for name in base)
