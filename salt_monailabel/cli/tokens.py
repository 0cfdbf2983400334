"""`salt tokens`: who may use a server from other computers."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from salt_monailabel.serving.access.tokens import Role, TokenFile, default_path

from .errors import explained

app = typer.Typer(help="Make, list and revoke the tokens with which others use a server of yours.")
console = Console()

Name = Annotated[str, typer.Argument(help="Whose token it is, as the audit log will say.")]


@app.command()
def add(
    name: Name,
    role: Annotated[
        Role,
        typer.Option(help="A reader sees and segments, an annotator also adds and corrects, a trainer may do all."),
    ] = Role.ANNOTATOR,
    days: Annotated[float, typer.Option(min=0, help="How long it is valid; 0 for ever.")] = 365,
) -> None:
    """Make a token and print it, once: only its hash is kept."""
    with explained(console):
        token = TokenFile(default_path()).add(name, role, days or None)
    console.print(f"the token of {name} ({role.value}); it is not shown again:")
    console.print(token, markup=False, highlight=False, soft_wrap=True)


@app.command("list")
def list_tokens() -> None:
    """List who has a token."""
    table = Table("name", "role", "made on", "valid until")
    with explained(console):
        for holder in TokenFile(default_path()).holders():
            end = f"{holder.expires:%Y-%m-%d %H:%M} UTC" if holder.expires else "for ever"
            row = (holder.name, holder.role.value, f"{holder.created:%Y-%m-%d}")
            table.add_row(*row, f"{end}, [red]expired[/]" if holder.expired() else end)
    console.print(table if table.row_count else "nobody has a token yet; `salt tokens add NAME` makes one")


@app.command()
def revoke(name: Name) -> None:
    """Make a token worthless; a running server refuses it at once."""
    with explained(console):
        TokenFile(default_path()).revoke(name)
    console.print(f"the token of {name} is revoked")
