"""The settings of the app, as `--conf` gives them."""

from __future__ import annotations

from pathlib import Path

import pytest

from salt_monailabel.models import BASES
from salt_monailabel.serving.options import Options


def test_no_setting_at_all_gives_the_shipped_base_and_one_label() -> None:
    options = Options.from_conf({})
    assert options == Options()
    assert (options.base, options.labels, options.method, options.device) == ("vessel_t", ("vessel",), "salt", "auto")
    assert 0 < options.threshold < 1
    assert 0 < options.rank <= 1


def test_every_option_is_read_from_text() -> None:
    conf = {
        "base": "vit_b",
        "weights": "/w/sam.pth",
        "labels": " artery, vein ,",
        "method": "lora",
        "rank": "0.25",
        "lora_rank": "8",
        "input_size": "512",
        "device": "cpu",
        "seconds": "30",
        "threshold": "0.4",
        "adapters": "/a",
        "tokens": "always",
        "origins": "https://a.org, https://b.org:3000",
        "upload_mb": "20",
    }
    assert Options.from_conf(conf) == Options(
        base="vit_b",
        weights="/w/sam.pth",
        labels=("artery", "vein"),
        method="lora",
        rank=0.25,
        lora_rank=8,
        input_size=512,
        device="cpu",
        seconds=30.0,
        threshold=0.4,
        adapters="/a",
        tokens="always",
        origins=("https://a.org", "https://b.org:3000"),
        upload_mb=20.0,
    )


def test_settings_of_monai_label_itself_are_left_alone() -> None:
    assert Options.from_conf({"models": "all", "server_mode": "true"}) == Options()


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("base", "vit_x", "vessel_t, vit_b"),
        ("method", "dora", "salt, lora"),
        ("labels", "", "names"),
        ("labels", " , ", "names"),
        ("labels", "artery,artery", "distinct"),
        ("tokens", "never", "remote or always"),
        ("upload_mb", "0", "above 0"),
        ("rank", "half", "float"),
        ("rank", "0", "above 0"),
        ("rank", "1.5", "at most 1"),
        ("rank", "nan", "above 0"),
        ("lora_rank", "0", "from 1 to"),
        ("lora_rank", "2.5", "int"),
        ("threshold", "0", "above 0"),
        ("threshold", "1", "below 1"),
        ("threshold", "-0.5", "above 0"),
        ("seconds", "soon", "float"),
        ("seconds", "-5", "0"),
        ("seconds", "nan", "0"),
        ("input_size", "big", "int"),
        ("input_size", "100", "multiple of"),
        ("input_size", "-256", "multiple of"),
        ("device", "toaster", "auto"),
        ("modality", "mri", "octa"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_what_can(name: str, value: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=name) as refusal:
        Options.from_conf({name: value})
    assert remedy in str(refusal.value)


def test_each_folder_and_each_archive_has_versions_of_its_own() -> None:
    options, app = Options(), Path("app") / "model" / "adapters"
    assert options.store("studies", "app") == Path("studies") / "adapters"
    here, there = (options.store(f"https://pacs.{name}.org/dicom-web", "app") for name in ("here", "there"))
    assert here == options.store("https://pacs.here.org/dicom-web/", "app")
    assert (here.parent, there.parent) == (app, app)
    assert len({here, there, Options(labels=("artery",)).store("https://pacs.here.org/dicom-web", "app")}) == 3


def test_the_refusal_of_a_base_lists_every_base() -> None:
    with pytest.raises(ValueError, match="sam3") as refusal:
        Options.from_conf({"base": "sam3"})
    assert all(name in str(refusal.value) for name in BASES)


def test_a_new_adapter_has_the_method_and_ranks_asked_for() -> None:
    config = Options.from_conf({"method": "salt", "rank": "0.25", "lora_rank": "4"}).adapter_config()
    assert (config.method, config.lora_rank) == ("salt", 4)
    assert set(config.ranks.values()) == {0.25}


def test_an_update_takes_as_long_with_any_number_of_labels_and_a_refit_longer_with_more() -> None:
    automatic = Options()
    assert automatic.budget(1, "update", "cpu") == automatic.budget(1000, "update", "cpu") == 18
    assert automatic.budget(1000, "update", "cuda") == 6
    assert 0 < automatic.budget(1, "refit", "cpu") < automatic.budget(4, "refit", "cpu")
    assert automatic.budget(1000, "refit", "cpu") == automatic.budget(2000, "refit", "cpu")
    assert {Options(seconds=7.0).budget(n, mode, "cpu") for n in (1, 1000) for mode in ("update", "refit")} == {7.0}
