"""`salt adapters`: the versions of the adapter in a folder of studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .errors import explained

if TYPE_CHECKING:
    from salt_monailabel.versions import VersionStore

app = typer.Typer(help="List, show, promote, roll back, export and import versions of the adapter.")
console = Console()

Studies = Annotated[Path, typer.Argument(help="Folder with the images, as given to `salt serve`.")]
Name = Annotated[str, typer.Argument(help="Name of the version, such as 0003.")]


def _open(studies: Path) -> VersionStore:
    from salt_monailabel.serving.folders import ADAPTERS
    from salt_monailabel.versions import VersionStore

    if not studies.is_dir():
        raise typer.BadParameter(f"there is no folder {studies}")
    return VersionStore(studies / ADAPTERS)


@app.command("list")
def list_versions(studies: Studies) -> None:
    """List all versions; the one in use has a star."""
    store = _open(studies)
    table = Table("", "version", "trained on from", "images", "steps", "seconds", "held-back Dice before", "after")
    with explained(console):
        for name in store.versions():
            table.add_row("*" if name == store.current() else "", name, *_told(store, name))
    console.print(table if table.row_count else "no versions yet: the base is in use")


def _told(store: VersionStore, name: str) -> list[str]:
    """Return what the list says of a version; what is damaged, or another program's, must not hide the others."""
    try:
        card = store.card(name)
        training = card.get("training") or {}
        judged = training.get("held_back") or {}
        scores = [judged.get(when, {}).get("dice") for when in ("before", "after")]
        told = [card.get("parent") or "base", *(training.get(key, "") for key in ("images", "steps", "seconds"))]
        return [escape(str(value)) for value in told] + ["" if dice is None else f"{dice:.3f}" for dice in scores]
    except (ValueError, TypeError, AttributeError):
        return ["damaged"]


@app.command()
def show(studies: Studies, name: Name) -> None:
    """Print the card of a version."""
    with explained(console):
        console.print_json(json.dumps(_open(studies).card(name)))


@app.command()
def promote(studies: Studies, name: Name) -> None:
    """Put a version in use, or `base`; a running server follows with its next request."""
    with explained(console):
        _open(studies).promote(None if name == "base" else name)
    console.print(f"{name} is in use")


@app.command("rollback")
def roll_back(studies: Studies) -> None:
    """Put the version in use before back in use."""
    with explained(console):
        name = _open(studies).roll_back()
    console.print(f"{name or 'base'} is in use")


@app.command()
def export(
    studies: Studies, name: Name, out: Annotated[Path, typer.Argument(help="File to write (.safetensors).")]
) -> None:
    """Write a version to a file for others: its card names no image, person or date; see `names`."""
    from salt_monailabel.imaging.pseudonyms import Pseudonyms

    store = _open(studies)
    with explained(console):
        store.export(name, out, Pseudonyms.kept_in(studies))
    console.print(f"{name} written to {out}")


@app.command("names")
def list_names(studies: Studies) -> None:
    """Say which image each pseudonym of an export or a report stands for; not to be passed on."""
    from salt_monailabel.serving.datastore import VesselDatastore
    from salt_monailabel.serving.sharing import pseudonyms_of

    _open(studies)
    with explained(console):
        images = VesselDatastore(str(studies), (), auto_reload=False, read_only=True)
        pseudonyms = pseudonyms_of(images)
    table = Table("pseudonym", "image")
    for case, image in sorted((pseudonyms.case(image), image) for image in images.list_images()):
        table.add_row(case, escape(image))
    console.print(table)


@app.command("import")
def import_file(
    studies: Studies, file: Annotated[Path, typer.Argument(help="An adapter that fits the server's base.")]
) -> None:
    """Add an adapter from a file as a new version, if it fits its base; `promote` puts it in use."""
    from salt_monailabel.inference import adapted_model

    with explained(console):
        adapted_model(file)
        name = _open(studies).take_in(file)
    console.print(f"{file} is version {name}; it is not in use yet")
