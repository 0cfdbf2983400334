"""Label names as CLIP embeddings, with an optional dependency."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch
from torch import Tensor

from salt_monailabel.models import WeightsError
from salt_monailabel.models.clip import embed_labels


class Tokenizer:
    """Gives a text its length, and remembers the texts."""

    seen: tuple[str, ...] = ()

    @classmethod
    def from_pretrained(cls, name: str) -> Tokenizer:
        return cls()

    def __call__(self, texts: list[str], **settings: Any) -> dict[str, Tensor]:
        Tokenizer.seen = tuple(texts)
        return {"lengths": torch.tensor([[float(len(text))] for text in texts])}


class TextModel:
    """Embeds a text of length n as (3n, 4n)."""

    @classmethod
    def from_pretrained(cls, name: str) -> TextModel:
        return cls()

    def eval(self) -> TextModel:
        return self

    def __call__(self, lengths: Tensor) -> SimpleNamespace:
        return SimpleNamespace(text_embeds=lengths * torch.tensor([[3.0, 4.0]]))


class NoModel:
    """What a computer without network answers."""

    @classmethod
    def from_pretrained(cls, name: str) -> NoReturn:
        raise OSError(f"cannot reach the hub for {name}")


def transformers(tokenizer: type, model: type) -> ModuleType:
    """Return a stand-in for the package, which is not among the dependencies of the tests."""
    package = ModuleType("transformers")
    vars(package).update(CLIPTokenizer=tokenizer, CLIPTextModelWithProjection=model)
    return package


def test_without_transformers_the_message_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(WeightsError, match=r"pip install 'salt-monailabel\[clip\]'"):
        embed_labels(["vessel"])


@pytest.mark.parametrize(("tokenizer", "model"), [(NoModel, TextModel), (Tokenizer, NoModel)])
def test_without_network_the_message_names_the_model_and_the_way_around(
    monkeypatch: pytest.MonkeyPatch, tokenizer: type, model: type
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", transformers(tokenizer, model))
    with pytest.raises(WeightsError, match=r"CLIP 'some/clip' cannot be loaded.*copy the model's folder"):
        embed_labels(["vessel"], "some/clip")


def test_labels_are_read_as_words_and_embedded_with_unit_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", transformers(Tokenizer, TextModel))
    embeddings = embed_labels(["vessel", "left_main_artery"])
    assert Tokenizer.seen == ("vessel", "left main artery")
    torch.testing.assert_close(embeddings, torch.tensor([[0.6, 0.8], [0.6, 0.8]]))
