"""Weights: found, whole, of the right model, harmless, or refused with the remedy."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.error
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file
from segment_anything.modeling.image_encoder import get_rel_pos
from torch import Tensor
from torch.nn import functional

from salt_monailabel.imaging import synthesize, to_rgb
from salt_monailabel.models import BASES, Prompts, VesselSam, WeightsError, load_base, taught_labels
from salt_monailabel.models.registry import SHIPPED, Base
from salt_monailabel.models.weights import fetch, read_safetensors, read_sam_checkpoint, weights_folder

CONTENT = bytes(range(256)) * 20_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OURS = ("label_prompts.", "detail_head.")


class Code:
    """What a pickle that runs code unpickles to."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.fixture
def state(tiny_sam: VesselSam, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Register `tiny`, a base with trained position embeddings, and return its weights."""
    monkeypatch.setitem(BASES, "tiny", Base(tiny_sam.architecture))
    state = deepcopy(tiny_sam.state_dict())
    for seed, name in enumerate(state):
        if "pos" in name:
            state[name] = torch.randn(state[name].shape, generator=torch.Generator().manual_seed(seed))
    return state


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the one for downloads."""
    monkeypatch.setenv("SALT_WEIGHTS", str(tmp_path / "downloads"))
    assert weights_folder() == tmp_path / "downloads"
    return tmp_path / "downloads"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the address of a checkpoint somewhere else."""
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "sam.pth").write_bytes(CONTENT)
    return (tmp_path / "server" / "sam.pth").as_uri()


def stored(state: dict[str, Tensor], path: Path) -> Path:
    """Write weights as they are published: Meta's as .pth, without our parts."""
    if path.suffix == ".pth":
        torch.save({name: tensor for name, tensor in state.items() if not name.startswith(OURS)}, path)
    else:
        save_file(state, path, metadata={"card": json.dumps({"name": "tiny"})})
    return path


@pytest.mark.parametrize("file", ["tiny.safetensors", "tiny.pth"])
def test_a_base_has_the_weights_of_its_file(state: dict[str, Tensor], tmp_path: Path, file: str) -> None:
    model = load_base("tiny", weights=stored(state, tmp_path / file))
    loaded = model.state_dict()
    kept = [name for name in state if file.endswith(".safetensors") or not name.startswith(OURS)]
    assert all(torch.equal(loaded[name], state[name]) for name in kept)
    assert not model.training


def test_half_precision_weights_are_loaded_as_float32(state: dict[str, Tensor], tmp_path: Path) -> None:
    half = {name: tensor.half() for name, tensor in state.items()}
    path = stored(half, tmp_path / "tiny.safetensors")
    for loaded in (read_safetensors(path)[0], load_base("tiny", weights=path).state_dict()):
        assert all(tensor.dtype == torch.float32 for tensor in loaded.values())
        assert all(torch.equal(loaded[name], half[name].float()) for name in state)


def test_weights_come_with_their_card(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = stored(state, tmp_path / "tiny.safetensors")
    assert read_safetensors(path)[1] == {"name": "tiny"}
    save_file(state, path)
    assert read_safetensors(path)[1] == {}


def test_what_a_checkpoint_lacks_starts_alike_and_leaves_the_random_numbers_alone(
    state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = stored(state, tmp_path / "tiny.pth")
    before = torch.random.get_rng_state()
    one = load_base("tiny", weights=path).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.rand(5)
    other = load_base("tiny", weights=path).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_every_label_starts_as_the_label_of_the_base(state: dict[str, Tensor], tmp_path: Path) -> None:
    model = load_base("tiny", ("vessel", "stenosis"), weights=stored(state, tmp_path / "tiny.safetensors"))
    token = state["label_prompts.tokens"]
    assert model.labels == ("vessel", "stenosis")
    assert torch.equal(model.label_prompts.tokens, torch.cat([token, token]))


def test_a_label_the_base_was_trained_for_keeps_its_prompt(state: dict[str, Tensor], tmp_path: Path) -> None:
    state["label_prompts.tokens"] = tokens = torch.randn(3, 256)
    state["label_prompts.modulation"] = modulation = torch.randn(3, 192)
    card = {"labels": ["vessel", "artery", "vein"]}
    save_file(state, tmp_path / "tiny.safetensors", metadata={"card": json.dumps(card)})
    model = load_base("tiny", ("vein", "stent", "artery"), weights=tmp_path / "tiny.safetensors")
    assert torch.equal(model.label_prompts.tokens, tokens[[2, 0, 1]])
    assert torch.equal(model.label_prompts.modulation, modulation[[2, 0, 1]])


def test_text_embeddings_take_the_place_of_the_label_of_the_base(state: dict[str, Tensor], tmp_path: Path) -> None:
    text = torch.eye(2, 6)
    state["label_prompts.modulation"] = torch.randn(1, 192)
    path = stored(state, tmp_path / "tiny.safetensors")
    model = load_base("tiny", ("vessel", "stenosis"), weights=path, text_embeddings=text)
    assert torch.equal(model.label_prompts.modulation, state["label_prompts.modulation"].expand(2, -1))
    assert torch.equal(model.state_dict()["label_prompts.text"], text)
    assert model.label_prompts(torch.tensor([0, 1])).shape == (2, 1, 256)


@pytest.mark.parametrize("size", [32, 96, 112])
def test_positions_are_resized_to_another_input_size(state: dict[str, Tensor], tmp_path: Path, size: int) -> None:
    grid = size // 16
    loaded = load_base("tiny", weights=stored(state, tmp_path / "tiny.pth"), input_size=size).state_dict()

    position = "image_encoder.pos_embed"
    resized = functional.interpolate(state[position].permute(0, 3, 1, 2), (grid, grid), mode="bicubic")
    torch.testing.assert_close(loaded[position], resized.permute(0, 2, 3, 1))

    for axis in ("h", "w"):
        within_windows = f"image_encoder.blocks.0.attn.rel_pos_{axis}"
        assert torch.equal(loaded[within_windows], state[within_windows])
        across = f"image_encoder.blocks.1.attn.rel_pos_{axis}"
        assert loaded[across].shape == (2 * grid - 1, 16)
        torch.testing.assert_close(get_rel_pos(grid, grid, loaded[across]), get_rel_pos(grid, grid, state[across]))


def test_a_base_at_another_input_size_runs(state: dict[str, Tensor], tmp_path: Path) -> None:
    model = load_base("tiny", weights=stored(state, tmp_path / "tiny.pth"), input_size=96)
    with torch.no_grad():
        assert model.encode(torch.zeros(1, 3, 96, 96)).shape == (1, 256, 6, 6)


def test_an_unknown_base_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(WeightsError, match="unknown base model 'vit_x'; one of vessel_t, vit_b, vit_l, vit_h"):
        load_base("vit_x")


@pytest.mark.parametrize("file", ["gone.safetensors", "gone.pth"])
def test_a_missing_file_is_refused_by_name(state: dict[str, Tensor], tmp_path: Path, file: str) -> None:
    with pytest.raises(WeightsError, match=file):
        load_base("tiny", weights=tmp_path / file)


@pytest.mark.parametrize("file", ["cut.safetensors", "cut.pth"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused_by_name(state: dict[str, Tensor], tmp_path: Path, file: str, share: float) -> None:
    path = stored(state, tmp_path / file)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(WeightsError, match=rf"{file} is truncated"):
        load_base("tiny", weights=path)


@pytest.mark.parametrize("file", ["other.safetensors", "other.pth"])
@pytest.mark.parametrize("difference", ["wider", "an entry less", "an entry more", "flat positions"])
def test_weights_of_another_model_are_refused_by_name(
    state: dict[str, Tensor], tmp_path: Path, file: str, difference: str
) -> None:
    lin1 = "image_encoder.blocks.0.mlp.lin1.weight"
    match difference:
        case "wider":
            state[lin1] = torch.zeros(256, 64)
        case "an entry less":
            del state[lin1]
        case "an entry more":
            state["image_encoder.blocks.2.mlp.lin1.weight"] = torch.zeros(128, 32)
        case "flat positions":
            state["image_encoder.pos_embed"] = torch.zeros(1, 16, 32)
    with pytest.raises(WeightsError, match=rf"{file} holds another model"):
        load_base("tiny", weights=stored(state, tmp_path / file))


@pytest.mark.parametrize("content", [[torch.zeros(2)], torch.zeros(2), {"model": {"a": torch.zeros(2)}}, {"epoch": 3}])
def test_a_checkpoint_that_holds_no_weights_is_refused_by_name(
    state: dict[str, Tensor], tmp_path: Path, content: Any
) -> None:
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=r"odd\.pth"):
        load_base("tiny", weights=tmp_path / "odd.pth")


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=40))
@example(b"a text")
@example(b".")
@example(b"<html>404 Not Found</html>")
def test_a_file_of_anything_is_refused_by_name(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "anything.pth"
    path.write_bytes(content)
    for read in (read_sam_checkpoint, read_safetensors):
        with pytest.raises(WeightsError, match=r"anything\.pth is truncated or no"):
            read(path)


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, new_format: bool) -> None:
    trace, path = tmp_path / "it_ran", tmp_path / "sam.pth"
    torch.save({"weight": Code(trace)}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(WeightsError, match=r"sam\.pth"):
        read_sam_checkpoint(path)
    assert not trace.exists()
    torch.load(path, weights_only=False)
    assert trace.exists(), "the pickle is harmless, and the test proves nothing"


def test_a_download_shows_its_progress_and_lies_alone_in_the_folder(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = fetch(url, SHA256)
    assert path.read_bytes() == CONTENT
    assert list(folder.iterdir()) == [path]
    shown = capsys.readouterr().out
    assert "sam.pth" in shown
    assert "5.1/5.1 MB" in shown


def test_what_was_downloaded_is_not_downloaded_again(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = fetch(url, SHA256)
    monkeypatch.setattr("urllib.request.urlopen", offline)
    assert fetch(url, SHA256) == first


def test_a_download_with_another_hash_is_refused_and_not_kept(url: str, folder: Path) -> None:
    with pytest.raises(WeightsError, match=f"SHA-256 is {SHA256}, not {'0' * 64}"):
        fetch(url, "0" * 64)
    assert list(folder.iterdir()) == []


def offline(*args: Any, **kwargs: Any) -> NoReturn:
    raise urllib.error.URLError("Temporary failure in name resolution")


def test_without_network_the_message_tells_what_to_fetch_and_where_to_place_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("urllib.request.urlopen", offline)
    with pytest.raises(WeightsError) as caught:
        load_base("vit_b")
    message = str(caught.value)
    assert BASES["vit_b"].url in message
    assert str(folder / "sam_vit_b_01ec64.pth") in message
    assert "name resolution" in message


def test_a_download_that_breaks_off_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reply(io.BytesIO):
        headers: dict[str, str] = {}  # noqa: RUF012

        def read(self, size: int | None = -1, /) -> bytes:
            chunk = super().read(1000)
            if not chunk:
                raise ConnectionResetError("Connection reset by peer")
            return chunk

    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: Reply(CONTENT[:5000]))
    with pytest.raises(WeightsError, match="Connection reset by peer"):
        fetch("https://example.org/sam.pth", SHA256)
    assert list(folder.iterdir()) == []


def test_the_shipped_base_loads_is_small_half_precision_and_has_a_card() -> None:
    path = SHIPPED / "vessel_t.safetensors"
    model = load_base("vessel_t")
    assert model.labels == ("vessel",)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert path.stat().st_size <= 25_000_000
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["card"])
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"F16"}  # noqa: SIM118


def test_the_encoder_of_the_shipped_base_tells_images_apart() -> None:
    model = load_base("vessel_t")
    drawn = [to_rgb(synthesize(seed, model.input_size, "fundus").image) for seed in (1, 2)]
    images = torch.from_numpy(np.stack(drawn).transpose(0, 3, 1, 2).copy())
    prompts = Prompts(torch.zeros(2, dtype=torch.long))
    with torch.inference_mode():
        embeddings = model.encode(images)
        own, others = (model.decode(images, e, prompts)[0] > 0 for e in (embeddings, embeddings.flip(0)))
    assert embeddings.std(0).mean() > 0.1
    assert (own != others).float().mean() > 0.01


def test_the_shipped_base_knows_arteries_from_veins_by_name() -> None:
    card = read_safetensors(SHIPPED / "vessel_t.safetensors")[1]
    assert card["labels"] == ["vessel", "artery", "vein", "catheter"]
    model = load_base("vessel_t", ("artery", "vein"))
    assert not torch.allclose(model.label_prompts.tokens[0], model.label_prompts.tokens[1])


def test_a_label_whose_prompt_never_answers_starts_as_any_other() -> None:
    prompts = load_base("vessel_t", ("vessel", "catheter", "stent")).label_prompts
    assert torch.equal(prompts.tokens[1], prompts.tokens[0])
    assert torch.equal(prompts.modulation[1], prompts.modulation[0])
    assert torch.equal(prompts.tokens[2], prompts.tokens[0])


def test_a_base_was_taught_what_it_has_a_prompt_for_that_is_answered(
    state: dict[str, Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "tiny.safetensors"
    save_file(state, weights, {"card": json.dumps({"labels": ["vessel", "catheter"]})})
    monkeypatch.setitem(BASES, "tiny", replace(BASES["tiny"], mute=frozenset({"catheter"})))
    assert taught_labels("tiny", weights) == {"vessel"}
    save_file(state, weights)
    assert not taught_labels("tiny", weights)
    assert {"vessel", "artery", "vein"} == taught_labels("vessel_t")
