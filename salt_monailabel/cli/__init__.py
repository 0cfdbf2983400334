"""The `salt` command."""

from .main import app

__all__ = ["app"]
