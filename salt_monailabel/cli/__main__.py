"""`python -m salt_monailabel.cli`."""

from .main import app

app()
