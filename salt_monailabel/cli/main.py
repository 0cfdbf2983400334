"""The commands; what each does lives in the library. Heavy imports wait until a command needs them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .adapters import app as adapters
from .errors import explained
from .tokens import app as tokens

app = typer.Typer(
    help="""Outline vessels with a SALT-adapted Segment Anything model that learns from corrections.

    First steps: [bold]salt demo[/bold] shows the whole loop in a few minutes; [bold]salt serve FOLDER[/bold] starts
    the server for 3D Slicer; [bold]salt doctor[/bold] says what is wrong if something is.""",
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(adapters, name="adapters")
app.add_typer(tokens, name="tokens")
console = Console()
SETTINGS = "settings are NAME=VALUE, such as --conf labels=artery,vein"

Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
AdapterFile = Annotated[Path | None, typer.Option(help="An adapter (.safetensors); the base alone by default.")]
BaseName = Annotated[str, typer.Option(help="Base model: vessel_t, vit_b, vit_l or vit_h.")]
OwnBase = Annotated[
    str | None, typer.Option(help="vessel_t, vit_b, vit_l or vit_h; by default the adapter's, or vessel_t.")
]
Weights = Annotated[Path | None, typer.Option(help="A checkpoint of the base, if not in its usual place.")]
ModalityName = Annotated[str, typer.Option(help="What the images are of: auto, fundus, octa, xa or other.")]
Threshold = Annotated[float, typer.Option(min=0.01, max=0.99, help="Probability above which a pixel is vessel.")]


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the report and its pictures.")] = Path("salt-demo"),
    seconds: Annotated[float, typer.Option(min=1, help="Time of each of the two updates.")] = 25.0,
) -> None:
    """Show the whole loop, offline: serve, segment, correct, learn, segment again.

    Draws images of a kind the model has never seen, starts the real server on them, plays the radiologist, prints how
    the masks improved and writes one page with the pictures.
    """
    from .demo import run_demo

    run_demo(out, seconds, console)


@app.command()
def serve(
    studies: Annotated[
        str,
        typer.Argument(
            help="Folder with the images, made if it does not exist; or the address of an archive, http(s)://…/dicom-web."
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen on; with 0.0.0.0 others can reach it, with a token, unencrypted.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8000,
    conf: Annotated[
        list[str] | None,
        typer.Option(help="Settings NAME=VALUE, e.g. labels=artery,vein, base=vit_b, device=cuda, seconds=30."),
    ] = None,
) -> None:
    """Start the server for 3D Slicer.

    In Slicer, open the module SALT vessels, type the address printed here, and press Connect.
    """
    from salt_monailabel.serving.archive.client import checked_address, is_address
    from salt_monailabel.serving.launch import first_token, reached_at, start_server

    settings = _named(conf, SETTINGS)
    place: Path | str = Path(studies)
    if is_address(studies):
        with explained(console):
            place = checked_address(studies)
    console.print(f"Address for Slicer: [bold]{reached_at(host, port)}[/bold]   images: {place}   stop with Ctrl+C")
    with explained(console):
        token = first_token(host)
    if token is not None:
        console.print(f"Token, shown this once: [bold]{token}[/bold]   others are made with `salt tokens add`")
    start_server(place, host, port, settings)


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    out: Annotated[Path, typer.Option(help="Folder for the masks and overlays.")],
    adapter: AdapterFile = None,
    base: OwnBase = None,
    weights: Weights = None,
    device: Device = "auto",
    threshold: Threshold = 0.5,
    extension: Annotated[
        str, typer.Option("--format", help=".nrrd, .nii.gz, .mha, .png; or .dcm, a DICOM segmentation of DICOM images.")
    ] = ".nrrd",
    modality: ModalityName = "auto",
) -> None:
    """Segment images: a mask with the image's geometry and an overlay to look at, for each."""
    from .commands import load_predictor, modality_for, predict_images

    with explained(console):
        known = modality_for(modality, adapter)
        predictor = load_predictor(adapter, base, weights, device, threshold)
        predict_images(images, known, out, predictor, extension, console)


@app.command()
def measure(
    masks: Annotated[list[Path], typer.Argument(help="Masks, as `salt predict` or Slicer write them.")],
    out: Annotated[Path, typer.Option(help="Folder for summary.csv and each mask's tables (.csv) and picture (.png).")],
    image: Annotated[
        Path | None, typer.Option(help="The image, for the picture and the size of pixels; or a folder of them.")
    ] = None,
    fov: Annotated[
        Path | None, typer.Option(help="What the image shows, for densities; or a folder. All by default.")
    ] = None,
    pixel_size: Annotated[
        float | None, typer.Option(min=1e-9, help="Millimetres from pixel to pixel, where the files do not say.")
    ] = None,
    label: Annotated[int | None, typer.Option(min=1, help="Only this label of the mask; all by default.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="X,Y in pixels: where a profile begins.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="X,Y in pixels: where it ends.")] = None,
) -> None:
    """Measure vessels: lengths, diameters, densities; with --from and --to the narrowest place between two points.

    Lengths are in millimetres where the size of a pixel is known, else in pixels. The detector of an X-ray machine sees
    vessels larger than they are: with --image, or in a mask that `salt predict` wrote, what the tags say of that is
    made up for; without calibration, trust the percentages only.
    """
    from .measure import MeasureWish, measure_masks

    if (start is None) != (end is None):
        raise typer.BadParameter("a profile needs both --from X,Y and --to X,Y")
    ends = (_pair(start, "--from"), _pair(end, "--to")) if start is not None and end is not None else None
    spacing = (pixel_size, pixel_size) if pixel_size is not None else None
    with explained(console):
        measure_masks(masks, MeasureWish(out, image, fov, spacing, label, ends), console)


@app.command()
def evaluate(
    dataset: Annotated[Path, typer.Argument(help="Folder with images/, masks/ and data_split.csv (imgs,split).")],
    split: Annotated[str, typer.Option(help="Which images.")] = "test",
    label: Annotated[str, typer.Option(help="Which label.")] = "vessel",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None,
    adapter: AdapterFile = None,
    base: OwnBase = None,
    weights: Weights = None,
    device: Device = "auto",
    threshold: Threshold = 0.5,
    out: Annotated[Path | None, typer.Option(help="Write the scores as JSON.")] = None,
    modality: ModalityName = "auto",
) -> None:
    """Score a model on a data set: Dice, clDice and HD95, in the field of view where fov/ has one."""
    from .commands import evaluate_dataset, load_predictor, modality_for

    with explained(console):
        known = modality_for(modality, adapter)
        predictor = load_predictor(adapter, base, weights, device, threshold)
        evaluate_dataset(predictor, dataset, split, label, limit, known, out, console)


@app.command()
def train(
    dataset: Annotated[Path, typer.Argument(help="Folder with images/, masks/ and data_split.csv (imgs,split).")],
    out: Annotated[Path, typer.Option(help="The adapter to write (.safetensors).")],
    split: Annotated[str, typer.Option(help="Which images.")] = "train",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many images.")] = None,
    labels: Annotated[str, typer.Option(help="Names of the mask's values from 1, comma-separated.")] = "vessel",
    method: Annotated[str, typer.Option(help="salt, lora, ssam, bias or full.")] = "salt",
    rank: Annotated[float, typer.Option(help="SALT's r as a share of all singular values.")] = 0.1,
    lora_rank: Annotated[int, typer.Option(help="Rank of the low-rank update.")] = 16,
    seconds: Annotated[float, typer.Option(min=1, help="Time to train.")] = 240.0,
    learning_rate: Annotated[float, typer.Option(help="AdamW's learning rate.")] = 1e-3,
    clip: Annotated[
        str | None, typer.Option(help="Start label prompts from this CLIP model (folder or hub name).")
    ] = None,
    base: BaseName = "vessel_t",
    weights: Weights = None,
    device: Device = "auto",
    modality: ModalityName = "auto",
) -> None:
    """Adapt a base to a data set and write the adapter."""
    from salt_monailabel.adapters import AdapterConfig
    from salt_monailabel.adapters.config import TARGETS
    from salt_monailabel.imaging import modality_named
    from salt_monailabel.inference import fresh_adapter
    from salt_monailabel.models.clip import embed_labels
    from salt_monailabel.training import FitConfig

    from .commands import train_adapter

    names = [name.strip() for name in labels.split(",")]
    with explained(console):
        ranks = dict.fromkeys(TARGETS, rank)
        config = AdapterConfig(method=method, ranks=ranks, lora_rank=lora_rank)  # type: ignore[arg-type]
        text = embed_labels(names, clip) if clip else None
        handle = fresh_adapter(base, names, config, weights=weights, text_embeddings=text)
        budget = FitConfig(seconds=seconds, learning_rate=learning_rate)
        known = modality_named(modality)
        train_adapter(handle, base, dataset, split, limit, known, budget, device, out, console)


@app.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="The weights to write (.safetensors), with a card beside them.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimisation steps.")] = 4500,
    learning_rate: Annotated[float, typer.Option(help="The highest; in the second half it falls to zero.")] = 1e-3,
    base: Annotated[str, typer.Option(help="Architecture to train.")] = "vessel_t",
    start: Annotated[Path | None, typer.Option(help="Weights (.safetensors) to go on from.")] = None,
    seed: Annotated[int, typer.Option(help="Of the weights and of the drawn images.")] = 0,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that draw images; one, or beside a GPU one per core.")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that share each batch; on a CPU, one per core is fastest.")
    ] = 1,
    device: Device = "auto",
) -> None:
    """Train a base from nothing on drawn vessels. Resumes where it was stopped, from OUT.pt."""
    from salt_monailabel.models.precision import best_device
    from salt_monailabel.training.pretrain import PretrainConfig

    from .commands import pretrain_base

    with explained(console):
        if workers is None:
            # Processes that share a CPU draw their own images.
            workers = int(processes == 1) if best_device(device).type == "cpu" else os.cpu_count() or 1
        config = PretrainConfig(steps=steps, learning_rate=learning_rate, seed=seed, workers=workers)
        pretrain_base(base, config, start, device, processes, out, console)


@app.command()
def sheet(
    out: Annotated[Path, typer.Argument(help="The picture to write (.png).")],
    real: Annotated[
        list[str] | None, typer.Option(help="STYLE=FOLDER of real images to lay beside, e.g. fundus=DRIVE/images.")
    ] = None,
    columns: Annotated[int, typer.Option(min=1, max=20, help="Images in a row.")] = 6,
    seed: Annotated[int, typer.Option(help="Of the first drawn image of each style.")] = 0,
) -> None:
    """Render a contact sheet of drawn images, with their truth, beside real ones."""
    from .sheet import contact_sheet

    folders = _named(real, "real images are STYLE=FOLDER, such as --real fundus=DRIVE/images")
    with explained(console):
        contact_sheet(out, {style: Path(folder) for style, folder in folders.items()}, columns, seed)
    console.print(f"contact sheet written to {out}")


@app.command()
def report(
    studies: Annotated[Path, typer.Argument(help="Folder with the images, as given to `salt serve`.")],
    out: Annotated[Path, typer.Option(help="The page to write (.html).")] = Path("salt-report.html"),
    conf: Annotated[list[str] | None, typer.Option(help="Settings NAME=VALUE, as given to `salt serve`.")] = None,
) -> None:
    """Write a page about how the model has learned: Dice, effort, versions, the best and the worst cases."""
    from .commands import write_learning_report

    with explained(console):
        write_learning_report(studies, _named(conf, SETTINGS), out)
    console.print(f"report written to {out}")


@app.command()
def doctor() -> None:
    """Check Python, torch, devices, versions that clash, weights and disk; each with its remedy."""
    from .doctor import examine

    findings = examine()
    table = Table("", "what", "found", "remedy", title="salt doctor")
    for finding in findings:
        table.add_row("[green]ok[/]" if finding.ok else "[red]no[/]", finding.what, finding.found, finding.remedy)
    console.print(table)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def _named(given: list[str] | None, form: str) -> dict[str, str]:
    """Return values by their names; `form` says how they are to be given."""
    parts = [each.partition("=") for each in given or []]
    if not all(sign for _, sign, _ in parts):
        raise typer.BadParameter(form)
    return {name: value for name, _, value in parts}


def _pair(text: str, option: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{option} takes two numbers with a comma between, not '{text}'") from error
    return x, y
