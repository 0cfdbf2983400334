"""What can be wrong with an installation, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from salt_monailabel.models import BASES, WeightsError, load_base
from salt_monailabel.models.precision import has_bfloat16
from salt_monailabel.models.weights import weights_folder

REINSTALL = "install in a fresh environment: pip install -e ."
NEEDED_BYTES = 2 << 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `remedy` is empty where all is well."""

    what: str
    ok: bool
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at everything; a check that fails in an unforeseen way is itself a finding."""
    checks = (_python, _torch, _accelerator, _torchvision, _monailabel, _pydicom, _base, _downloads, _disk, _cache)
    return [_careful(check) for check in checks]


def _careful(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:
        what = check.__name__.removeprefix("_")
        return Finding(what, False, f"{type(error).__name__}: {error}".splitlines()[0], REINSTALL)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 10) <= sys.version_info[:2] < (3, 13)
    return Finding("Python", fits, version, "" if fits else "use Python 3.10, 3.11 or 3.12; MONAI Label needs it")


def _torch() -> Finding:
    import torch

    half = "with" if has_bfloat16(torch.device("cpu")) else "without"
    return Finding("torch", True, f"{torch.__version__}, {torch.get_num_threads()} threads, CPU {half} bfloat16")


def _accelerator() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return Finding("GPU", True, names)
    if torch.backends.mps.is_available():
        return Finding("GPU", True, "Apple silicon (mps)")
    return Finding("GPU", True, "none; the CPU does all, vessel_t is made for that")


def _torchvision() -> Finding:
    remedy = "install both from one registry: pip install --force-reinstall torch torchvision"
    try:
        import torchvision
        from torchvision.ops import nms  # noqa: F401
    except (ImportError, RuntimeError) as error:
        return Finding("torchvision", False, str(error).splitlines()[0], remedy)
    return Finding("torchvision", True, torchvision.__version__)


def _monailabel() -> Finding:
    version = importlib.metadata.version("monailabel")
    try:
        importlib.import_module("monailabel.interfaces.app")
    except ImportError as error:
        return Finding("MONAI Label", False, f"{version}: {error}", "pip install 'pydicom<3' 'dicomweb-client<0.60'")
    fits = version == "0.8.5"
    return Finding("MONAI Label", fits, version, "" if fits else "pip install monailabel==0.8.5")


def _pydicom() -> Finding:
    version = importlib.metadata.version("pydicom")
    fits = version.split(".")[0] == "2"
    return Finding("pydicom", fits, version, "" if fits else "pip install 'pydicom>=2.4.5,<3'; 3 breaks pydicom-seg")


def _base() -> Finding:
    try:
        model = load_base("vessel_t")
    except WeightsError as error:
        return Finding("vessel_t", False, "cannot be loaded", str(error))
    millions = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    return Finding("vessel_t", True, f"{millions:.1f} million parameters, in the package")


def _downloads() -> Finding:
    folder = weights_folder()
    present = [name for name, base in BASES.items() if base.url and (folder / base.url.rsplit("/", 1)[-1]).exists()]
    return Finding("Meta's checkpoints", True, ", ".join(present) or f"none in {folder}; downloaded when asked for")


def _disk() -> Finding:
    folder = _existing(platformdirs.user_cache_path("salt"))
    free = shutil.disk_usage(folder).free
    fits = free > NEEDED_BYTES
    return Finding("disk", fits, f"{free / 2**30:.0f} GiB free", "" if fits else f"free at least 2 GiB on {folder}")


def _cache() -> Finding:
    folder = platformdirs.user_cache_path("salt")
    fits = os.access(_existing(folder), os.W_OK)
    return Finding("cache", fits, str(folder), "" if fits else "make it writable; without it every start is slower")


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
