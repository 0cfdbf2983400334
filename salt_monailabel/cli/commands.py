"""What `salt predict`, `evaluate`, `train` and `pretrain` do, with progress for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    track,
)
from rich.table import Table

from salt_monailabel.adapters import Adapter, read_card, save
from salt_monailabel.imaging import ImageError, Modality, modality_named, overlay, read_study, split_name, to_rgb
from salt_monailabel.imaging.result import check_result, write_result
from salt_monailabel.inference import Predictor, adapted_model, card_of
from salt_monailabel.models import VesselSam, load_base, registry
from salt_monailabel.models.precision import best_device
from salt_monailabel.models.weights import read_safetensors
from salt_monailabel.training import (
    FitConfig,
    Score,
    TrainingError,
    evaluate,
    fit,
    mean_score,
    read_cases,
    read_labelled,
)
from salt_monailabel.training.fit import Progress as Step
from salt_monailabel.training.parallel import place, together
from salt_monailabel.training.pretrain import LABELS, PretrainConfig, PretrainProgress, export, initialize, start_from
from salt_monailabel.training.pretrain import pretrain as run_pretraining
from salt_monailabel.versions import VersionStore


def load_predictor(
    adapter: Path | None, base: str | None, weights: Path | None, device: str, threshold: float
) -> Predictor:
    """Load an adapted model, which has a base of its own, or a base alone: by default the one that ships."""
    model = load_base(base or "vessel_t", weights=weights) if adapter is None else _adapted(adapter, base, weights)
    assert isinstance(model, VesselSam)
    return Predictor(model, best_device(device), threshold=threshold)


def _adapted(adapter: Path, base: str | None, weights: Path | None) -> torch.nn.Module:
    if base not in (None, own := read_card(adapter).get("base")):
        raise ValueError(f"{adapter} is for the base {own}, not {base}; leave out --base, or the adapter")
    return adapted_model(adapter, weights).merge()


def modality_for(said: str, adapter: Path | None) -> Modality | None:
    """Return what the user says that images are of; with `auto`, what those were said to be that taught the adapter."""
    taught = "auto" if adapter is None else str(read_card(adapter).get("modality", "auto"))
    return modality_named(taught if said == "auto" else said)


def predict_images(
    images: Sequence[Path],
    modality: Modality | None,
    out: Path,
    predictor: Predictor,
    extension: str,
    console: Console,
) -> None:
    """Write NAME.nrrd, or as `extension` says, and NAME_overlay.png for each image; a bad one is named and left out.

    The overlay is that of the first frame.
    """
    check_result(extension)
    names = [split_name(path.name)[0] for path in images]
    if clash := next((name for name in names if names.count(name) > 1), None):
        raise ImageError(f"several would be written as {clash}{extension}; segment them into different folders")
    written = {(out / f"{name}{end}").resolve() for name in names for end in (extension, "_overlay.png")}
    if own := next((path for path in images if path.resolve() in written), None):
        raise ImageError(f"{own} would be overwritten by a result; choose another folder with --out")
    out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for path, name in track(list(zip(images, names, strict=True)), "segmenting", console=console):
        try:
            _predict(path, modality, out / f"{name}{extension}", out / f"{name}_overlay.png", predictor)
        except ImageError as error:
            console.print(str(error), style="red", markup=False, highlight=False)
            failed += 1
    console.print(f"{len(images) - failed} mask(s) and overlay(s) in {out}")
    if failed:
        raise typer.Exit(1)


def _predict(path: Path, modality: Modality | None, result: Path, picture: Path, predictor: Predictor) -> None:
    study = read_study(path, modality)
    embedded = (predictor.embed(frame, study.kind) for frame in study.frames())
    mask = study.within(np.stack([predictor.outline(frame) for frame in embedded]))
    write_result(mask, predictor.model.labels, study, path, result)
    Image.fromarray(overlay(to_rgb(study.frame(0)), mask[0])).save(picture)


def evaluate_dataset(
    predictor: Predictor,
    dataset: Path,
    split: str,
    label: str,
    limit: int | None,
    modality: Modality | None,
    out: Path | None,
    console: Console,
) -> None:
    """Print the scores of each image and their mean."""
    cases = read_cases(dataset, split)[:limit]
    predictor.model.label_prompts.index(label)
    scores = list(track(evaluate(predictor, cases, label, modality), "scoring", total=len(cases), console=console))
    mean = mean_score(scores)
    table = Table("image", "Dice", "clDice", "HD95 (pixels)", "Dice, full frame", title=f"{dataset.name}, {split}")
    for row in (*scores, mean):
        figures = (f"{row.dice:.4f}", f"{row.cl_dice:.4f}", f"{row.hd95:.1f}", f"{row.dice_full_frame:.4f}")
        table.add_row(row.name, *figures, end_section=row is scores[-1])
    console.print(table)
    if out:
        out.write_text(json.dumps(_as_json(scores, mean), indent=1) + "\n")


def train_adapter(
    adapter: Adapter,
    base: str,
    dataset: Path,
    split: str,
    limit: int | None,
    modality: Modality | None,
    config: FitConfig,
    device: str,
    out: Path,
    console: Console,
) -> None:
    """Train an adapter on a split, show its parts and progress, and write it."""
    model = adapter.model
    assert isinstance(model, VesselSam)
    cases = read_cases(dataset, split)[:limit]
    read = partial(read_labelled, known=len(model.labels), modality=modality)
    frames = [frame for case in cases for frame in read(str(case.image), str(case.mask))]
    model.to(best_device(device))
    _print_parameters(adapter, console)
    with _bar(console) as bar:
        task = bar.add_task("training", total=100)

        def on_step(step: Step) -> None:
            text = f"step {step.step}  loss {step.loss:.3f}  Dice {step.dice:.3f}"
            bar.update(task, completed=100 * step.share, description=text)

        history = fit(adapter, frames, config, on_step)
    training: dict[str, object] = {"dataset": dataset.name, "split": split, "images": len(cases), "steps": len(history)}
    training["seconds"] = round(history[-1].seconds, 1)
    save(adapter, out, {**card_of(base, model), "modality": modality or "auto", "training": training})
    console.print(f"{len(history)} steps on {len(cases)} image(s); adapter written to {out}")


def write_learning_report(studies: Path, conf: Mapping[str, str], out: Path) -> None:
    """Write the report on a folder of studies, which a server may be at work on; nothing in it is changed."""
    from salt_monailabel.serving.datastore import VesselDatastore
    from salt_monailabel.serving.host import ModelHost
    from salt_monailabel.serving.options import Options
    from salt_monailabel.serving.report.findings import report_of

    if not studies.is_dir():
        raise OSError(f"there is no folder {studies}")
    options = Options.from_conf(conf)
    store = VesselDatastore(str(studies), options.labels, auto_reload=False, read_only=True)
    host = ModelHost(options, VersionStore(options.store(str(studies), ".")))
    out.write_text(report_of(store, host), encoding="utf-8")


def pretrain_base(
    base: str, config: PretrainConfig, start: Path | None, device: str, processes: int, out: Path, console: Console
) -> None:
    """Train an architecture from nothing, or on from other weights of it, and export it."""
    # Asked here, for an error of one of several processes is no single line.
    registry.base(base)
    target, checkpoint = best_device(device), out.with_suffix(".pt")
    try:
        together(processes, _pretrain, base, config, start, target, checkpoint)
    except RuntimeError as error:
        raise TrainingError(str(error)) from error
    card: dict[str, object] = {
        "base": base,
        "labels": list(LABELS),
        "data": "drawn by imaging/synthetic; no real image was seen",
    }
    if start is not None:
        card["started_from"] = read_safetensors(start)[1]
    export(checkpoint, out, {**card, "device": target.type, "processes": processes, "torch": torch.__version__})
    console.print(f"weights written to {out}")


def _pretrain(base: str, config: PretrainConfig, start: Path | None, device: torch.device, checkpoint: Path) -> None:
    torch.manual_seed(config.seed)
    model = (
        initialize(VesselSam(registry.base(base).architecture, LABELS)) if start is None else start_from(base, start)
    )
    rank, _ = place()
    # Not one that is handed over: a console cannot be given to another process.
    with _bar(Console()) if rank == 0 else nullcontext() as bar:
        task = bar.add_task("pretraining", total=config.steps) if bar else None

        def on_step(step: PretrainProgress) -> None:
            if bar is not None and task is not None:
                text = f"loss {step.loss:.3f}  Dice {step.dice:.3f}  spread {step.spread:.2f}"
                bar.update(task, completed=step.step, description=text)

        run_pretraining(model, config, device, checkpoint, on_step)


def _print_parameters(adapter: Adapter, console: Console) -> None:
    parts = adapter.trainable_parameters()
    total = sum(parameter.numel() for parameter in adapter.model.parameters())
    table = Table("part", "trained parameters", title=f"{adapter.config.method} adapter")
    for part, count in parts.items():
        table.add_row(part, f"{count:,}")
    trained = sum(parts.values())
    table.add_row("all", f"{trained:,} ({100 * trained / total:.2f} %)")
    console.print(table)


def _bar(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)


def _as_json(scores: Sequence[Score], mean: Score) -> dict[str, object]:
    return {"mean": asdict(mean), "images": [asdict(score) for score in scores]}
