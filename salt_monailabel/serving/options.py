"""What `--conf` can set, with defaults that need no thought."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from salt_monailabel.adapters import AdapterConfig
from salt_monailabel.adapters.config import TARGETS
from salt_monailabel.imaging import modality_named
from salt_monailabel.models import BASES
from salt_monailabel.models.precision import best_device

from .archive.client import folder_of, is_address
from .folders import ADAPTERS


@dataclass(frozen=True)
class Options:
    """The options of the app; each is a `--conf NAME VALUE`.

    Attributes
    ----------
    base : str
        Base model: vessel_t (in the package), vit_b, vit_l or vit_h (downloaded).
    weights : str
        A checkpoint of that base, if it is not in its usual place.
    labels : tuple of str
        Structures to segment, comma-separated; the first has the value 1.
    method : str
        salt, lora, ssam, bias or full.
    rank : float
        SALT's r, as a share of all singular values.
    lora_rank : int
        Rank of the low-rank update.
    modality : str
        What all images are of: fundus, octa, xa or other; with auto, what each says or looks like.
    input_size : int
        Side of the model's input in pixels; 0 for the base's own.
    device : str
        auto, cpu, cuda, cuda:1, mps.
    seconds : float
        Time for one training; 0 for 18 s for an update, 6 s on a GPU, judging included, and for a refit 20 s and 14 s
        more for each labelled image, up to 30 minutes.
    threshold : float
        Probability above which a pixel is vessel.
    adapters : str
        Folder of the adapter's versions; `adapters` in the studies folder by default, or, for an archive, a folder of
        its own with the app.
    tokens : str
        Who needs a token: `remote` for requests of other computers, or `always`.
    origins : tuple of str
        Web pages that may use the server, comma-separated, such as https://viewer.hospital.org; none by default.
    upload_mb : float
        The largest upload in megabytes.
    """

    base: str = "vessel_t"
    weights: str = ""
    labels: tuple[str, ...] = ("vessel",)
    method: str = "salt"
    rank: float = 0.1
    lora_rank: int = 16
    modality: str = "auto"
    input_size: int = 0
    device: str = "auto"
    seconds: float = 0.0
    threshold: float = 0.5
    adapters: str = ""
    tokens: str = "remote"
    origins: tuple[str, ...] = ()
    upload_mb: float = 512.0

    @classmethod
    def from_conf(cls, conf: Mapping[str, Any]) -> Options:
        """Read MONAI Label's configuration; keys that are not ours are left to MONAI Label.

        Raises
        ------
        ValueError
            For a value that cannot be used; the message names it and what can.
        """
        values: dict[str, Any] = {}
        for option in fields(cls):
            if option.name not in conf:
                continue
            text = str(conf[option.name]).strip()
            kind: type = type(getattr(cls, option.name))
            if kind is tuple:
                values[option.name] = tuple(name.strip() for name in text.split(",") if name.strip())
                continue
            try:
                values[option.name] = kind(text)
            except ValueError as error:
                raise ValueError(f"--conf {option.name} {text}: {kind.__name__} expected") from error
        options = cls(**values)
        if options.base not in BASES:
            raise ValueError(f"--conf base {options.base}: unknown base model; one of {', '.join(BASES)}")
        if not options.labels or len(set(options.labels)) != len(options.labels):
            raise ValueError(f"--conf labels {','.join(options.labels)}: distinct names expected, separated by commas")
        if taken := {"foreground", "background"} & set(options.labels):
            raise ValueError(f"--conf labels: {taken.pop()} names the clicks of a request and cannot be a label")
        if not 0 < options.threshold < 1 or not 0 < options.rank <= 1:
            raise ValueError("--conf threshold and rank must be above 0, threshold below 1 and rank at most 1")
        if not 0 <= options.seconds < math.inf:
            raise ValueError(f"--conf seconds {options.seconds}: 0 or more expected")
        if options.tokens not in ("remote", "always"):
            raise ValueError(f"--conf tokens {options.tokens}: remote or always expected")
        if not 0 < options.upload_mb < math.inf:
            raise ValueError(f"--conf upload_mb {options.upload_mb}: a number above 0 expected")
        patch = BASES[options.base].architecture.patch
        if options.input_size < 0 or options.input_size % patch:
            raise ValueError(f"--conf input_size {options.input_size}: 0 or a multiple of {patch} expected")
        modality_named(options.modality)
        best_device(options.device)
        options.adapter_config()
        return options

    def adapter_config(self) -> AdapterConfig:
        """Return the configuration of a new adapter."""
        ranks = dict.fromkeys(TARGETS, self.rank)
        return AdapterConfig(method=self.method, ranks=ranks, lora_rank=self.lora_rank)  # type: ignore[arg-type]

    def budget(self, labelled: int, mode: str, device: str) -> float:
        """Return the seconds to train on so many labelled images."""
        if self.seconds > 0:
            return self.seconds
        if mode == "update":
            return 18.0 if device == "cpu" else 6.0
        return min(1800.0, 20.0 + 14.0 * labelled)

    def store(self, studies: str, app_dir: str) -> Path:
        """Return the folder of the adapter's versions.

        It lies with the images that taught it, so that each study folder has its own; for a remote archive, with the
        app, and each archive has its own there, too.
        """
        if self.adapters:
            return Path(self.adapters)
        if is_address(studies):
            return Path(app_dir) / "model" / ADAPTERS / folder_of(studies, self.labels)
        return Path(studies) / ADAPTERS
