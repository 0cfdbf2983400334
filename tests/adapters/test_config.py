"""The configuration of an adapter: what it refuses, and that it survives JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt_monailabel.adapters import AdapterConfig

FAMILIES = ("attention", "mlp", "neck")
PATTERNS = st.dictionaries(st.sampled_from(FAMILIES), st.lists(st.text(max_size=8), max_size=3).map(tuple))
RANK = st.one_of(st.integers(1, 1000), st.floats(0, 1))
CONFIGS = st.builds(
    AdapterConfig,
    method=st.sampled_from(["salt", "lora", "ssam", "bias", "full"]),
    ranks=st.fixed_dictionaries(dict.fromkeys(FAMILIES, RANK)),
    lora_rank=st.integers(1, 512),
    relu=st.sampled_from(["diagonal", "elementwise"]),
    targets=PATTERNS,
    also_train=PATTERNS,
)


@settings(max_examples=50, deadline=None)
@given(CONFIGS)
def test_a_configuration_survives_json(config: AdapterConfig) -> None:
    assert AdapterConfig.from_dict(config.to_dict()) == config
    assert AdapterConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "dora"}, "unknown adapter method 'dora'; one of salt, lora, ssam, bias, full"),
        ({"relu": "gelu"}, "unknown relu 'gelu'; one of diagonal, elementwise"),
        ({"rank": 3}, "unknown adapter settings: rank"),
        ({"lora_rank": 0}, "lora_rank must be from 1 to 4096; got 0"),
        ({"lora_rank": 10**9}, "lora_rank must be from 1 to 4096; got 1000000000"),
        ({"targets": {"fpn": ["neck.*"]}}, "no rank is given for the families fpn"),
    ],
)
def test_a_wrong_setting_is_refused_and_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdapterConfig.from_dict(settings)


@pytest.mark.parametrize(
    ("rank", "singular_values", "expected"),
    [(760, 768, 760), (760, 256, 256), (0.5, 768, 384), (0.1, 5, 1), (1.0, 7, 7), (1, 7, 1)],
)
def test_a_rank_is_a_count_or_a_share_within_what_there_is(rank: float, singular_values: int, expected: int) -> None:
    config = AdapterConfig(ranks={"attention": 1, "mlp": rank, "neck": 1})
    assert config.rank("mlp", singular_values) == expected
