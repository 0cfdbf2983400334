"""Cost of a training step of SALT, as the paper prints it and as it is computed here, and of inference once merged.

The model is the encoder of SAM's ViT-B at 512 pixels, one image a step; its weights are random, for time and memory do
not depend on their values. Variants are timed in turn within one process, and ratios are taken within each round, so
that whatever else the machine does falls on both sides. The peak memory of each is read in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from salt_monailabel.adapters import Adapter, AdapterConfig, attach
from salt_monailabel.adapters.basis import Basis
from salt_monailabel.adapters.salt import Salt
from salt_monailabel.models import BASES, VesselSam

RANKS = {"attention": 760, "mlp": 50, "neck": 250}
METHODS, DTYPES = ("literal", "salt", "lora"), ("float32", "bfloat16")
STDERR = Console(stderr=True)
Call = Callable[[str], None]


class LiteralSalt(Salt):
    """Eq. 2 to 4 as printed: W' = U ReLU(M) Vᵀ with a dense M, both built anew at each forward; X and Y random."""

    def __init__(self, basis: Basis, rank: int, lora_rank: int) -> None:
        super().__init__(basis, rank, lora_rank)
        if self.y is not None:
            nn.init.normal_(self.y, std=self.y.shape[1] ** -0.5)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the adapted weight, of the shape of `weight`, of which nothing else is used."""
        r = len(self.alpha)
        middle = torch.diag(self.alpha * self.sigma[:r] + self.beta)
        if self.x is not None and self.y is not None:
            middle = torch.block_diag(middle, torch.diag(self.sigma[r:]) + self.x @ self.y)
        return (self.u @ middle.relu() @ self.vt).view_as(weight)


@dataclass(frozen=True)
class Setup:
    """What all variants have in common; `cache` is the folder of the bases, by default the user's."""

    base: str
    input_size: int
    device: str
    cache: Path | None

    def model(self) -> VesselSam:
        """Build the model, frozen, with the same random weights each time, so that the cached bases fit."""
        torch.manual_seed(0)
        model = VesselSam(BASES[self.base].architecture, input_size=self.input_size)
        return model.requires_grad_(False).to(self.device)

    def adapter(self, method: str, lora_rank: int) -> Adapter:
        """Attach an adapter, and nothing trained besides, to a model of its own."""
        config = AdapterConfig("lora" if method == "lora" else "salt", RANKS, lora_rank, also_train={})
        adapter = attach(self.model(), config, cache=self.cache)
        if method == "literal":
            for name in adapter.bases:
                chain = adapter.model.get_submodule(name).parametrizations.weight
                chain[0] = LiteralSalt(Basis(chain[0].u, chain[0].sigma, chain[0].vt), len(chain[0].alpha), lora_rank)
        return adapter

    def image(self) -> Tensor:
        """Return an image as the encoder takes it, (1, 3, S, S)."""
        return torch.randn(1, 3, self.input_size, self.input_size, device=self.device)

    def autocast(self, dtype: str) -> torch.autocast:
        """Return the context that computes in `dtype`."""
        return torch.autocast(self.device, torch.bfloat16, enabled=dtype == "bfloat16")


def training_step(setup: Setup, method: str, lora_rank: int) -> Call:
    """Return a call of the encoder's forward and backward and a step of AdamW on the adapter's parameters."""
    adapter, image = setup.adapter(method, lora_rank), setup.image()
    optimizer = torch.optim.AdamW([parameter for _, parameter in adapter.parameters()], lr=1e-4)

    def step(dtype: str) -> None:
        optimizer.zero_grad()
        with setup.autocast(dtype):
            embedding = adapter.model.image_encoder(image)
        # Not the mean square, which the encoder's last norm holds constant: its gradient would be rounding noise.
        embedding.float().abs().mean().backward()
        optimizer.step()

    return step


def inference_call(setup: Setup, model: nn.Module) -> Call:
    """Return a call of the encoder's forward without gradients."""
    image = setup.image()

    @torch.no_grad()
    def forward(dtype: str) -> None:
        with setup.autocast(dtype):
            model.image_encoder(image)

    return forward


def time_in_turn(calls: Mapping[str, Call], repeats: int, device: str) -> dict[str, list[float]]:
    """Return the seconds of each call in each type and each round, after one round that does not count."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    times: dict[str, list[float]] = {f"{name}-{dtype}": [] for name, dtype in product(calls, DTYPES)}
    for _ in track(range(repeats + 1), "timing", console=STDERR):
        for (name, call), dtype in product(calls.items(), DTYPES):
            synchronize()
            start = time.perf_counter()
            call(dtype)
            synchronize()
            times[f"{name}-{dtype}"].append(time.perf_counter() - start)
    return {name: seconds[1:] for name, seconds in times.items()}


def summary(values: list[float]) -> dict[str, float]:
    """Return median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(times: dict[str, list[float]], pairs: list[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Summarise the ratios of pairs of variants, taken within each round."""
    return {f"{a} / {b}": summary([x / y for x, y in zip(times[a], times[b], strict=True)]) for a, b in pairs}


def peak_in_own_process(variant: str) -> int | None:
    """Start this script again for the peak memory of one variant."""
    command = [sys.executable, __file__, *sys.argv[1:], "--variant", variant]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def peak_memory(setup: Setup, variant: str) -> int | None:
    """Return the peak memory in bytes of a training step, all of the process on a CPU; None where it cannot be read."""
    method, lora_rank, dtype = variant.split("-")
    step = training_step(setup, method, int(lora_rank))
    step(dtype)
    if setup.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        step(dtype)
        return torch.cuda.max_memory_allocated()
    try:
        # Not ru_maxrss, which starts at the peak of the parent process and cannot be reset after building the model.
        Path("/proc/self/clear_refs").write_text("5")
        step(dtype)
        return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) * 1024
    except OSError:
        return None


def machine(device: str) -> dict[str, Any]:
    """Return what the figures depend on, and nothing that tells one machine from another of its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    facts: dict[str, Any] = {
        "processor": (re.findall(r"model name\s*: (.+)", text) or [platform.processor()])[0],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "extensions": sorted({"avx2", "avx512f", "avx512_bf16", "amx_bf16"} & set(text.split())),
        "torch": torch.__version__,
        "device": device,
    }
    if device == "cuda":
        facts |= {"gpu": torch.cuda.get_device_name(), "bfloat16": torch.cuda.is_bf16_supported()}
    return facts


def measure(setup: Setup, lora_ranks: list[int], repeats: int) -> dict[str, Any]:
    """Time all variants in turn, then start each once more for its memory; returns what the JSON file holds."""
    steps = {f"{m}-{rank}": training_step(setup, m, rank) for rank, m in product(lora_ranks, METHODS)}
    training = time_in_turn(steps, repeats, setup.device)
    steps.clear()
    models = {"base": setup.model(), "merged": setup.adapter("salt", lora_ranks[0]).merge()}
    forwards = {name: inference_call(setup, model) for name, model in models.items()}
    inference = time_in_turn(forwards, repeats, setup.device)

    pairs = [(f"{m}-{n}-{d}", f"salt-{n}-{d}") for n, d, m in product(lora_ranks, DTYPES, ("literal", "lora"))]
    pairs += [(f"{m}-{n}-float32", f"salt-{n}-bfloat16") for n, m in product(lora_ranks, ("literal", "salt"))]
    shape = {"base": setup.base, "input_size": setup.input_size, "batch": 1}
    return {
        "machine": machine(setup.device),
        "settings": shape | {"ranks": RANKS, "repeats": repeats},
        "training_seconds": {name: summary(seconds) for name, seconds in training.items()},
        "training_peak_bytes": {name: peak_in_own_process(name) for name in track(training, "memory", console=STDERR)},
        "training_ratios": ratios(training, pairs),
        "inference_seconds": {name: summary(seconds) for name, seconds in inference.items()},
        "inference_ratios": ratios(inference, [(f"merged-{dtype}", f"base-{dtype}") for dtype in DTYPES]),
    }


def show(report: dict[str, Any]) -> None:
    """Print a report as tables."""
    console = Console()
    console.print(" · ".join(f"{key} {value}" for key, value in (report["machine"] | report["settings"]).items()))
    for part, title in (("training", "One training step"), ("inference", "One forward")):
        peaks = report.get(f"{part}_peak_bytes", {})
        table = Table("variant", "median, ms", "min", "max", "peak, MB", title=title)
        for name, row in report[f"{part}_seconds"].items():
            peak = f"{peaks[name] / 1e6:.0f}" if peaks.get(name) else ""
            table.add_row(name, *(f"{1e3 * value:.1f}" for value in row.values()), peak)
        console.print(table)
        table = Table("ratio, within each round", "median", "min", "max")
        for name, row in report[f"{part}_ratios"].items():
            table.add_row(name, *(f"{value:.2f}" for value in row.values()))
        console.print(table)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--lora-rank", type=int, nargs="+", default=[4, 256], metavar="L")
    parser.add_argument("--repeats", type=int, default=5, help="rounds that count")
    parser.add_argument("--base", choices=list(BASES), default="vit_b")
    parser.add_argument("--input-size", type=int, default=512, metavar="PIXELS")
    parser.add_argument("--cache", type=Path, help="folder of the bases; the user's cache folder by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "adapters.json")
    parser.add_argument("--variant", help="print the peak memory in bytes of one variant only, such as salt-4-bfloat16")
    args = parser.parse_args()
    setup = Setup(args.base, args.input_size, args.device, args.cache)
    if args.variant:
        print(json.dumps(peak_memory(setup, args.variant)))
        return
    report = measure(setup, args.lora_rank, args.repeats)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, indent=2) + "\n")
    show(report)


if __name__ == "__main__":
    main()
