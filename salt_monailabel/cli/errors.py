"""Errors as the user of a command sees them: one line, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console


@contextmanager
def explained(console: Console) -> Iterator[None]:
    """Print an error the library explains as one line, and exit with 1."""
    try:
        yield
    except (ValueError, OSError) as error:
        _fail(error, console)
    except RuntimeError as error:
        # They come with torch, for which a command that needs none is not to wait.
        from salt_monailabel.models import WeightsError
        from salt_monailabel.training import TrainingError

        if not isinstance(error, (WeightsError, TrainingError)):
            raise
        _fail(error, console)


def _fail(error: Exception, console: Console) -> NoReturn:
    console.print(str(error), style="red", markup=False, highlight=False)
    raise typer.Exit(1) from error
