"""A server's REST interface, one method per call.

Each method sends one request and returns its ticket at once. `done` is given the answer, or else `failed` the problem;
one of them is called once, on the caller's thread, and neither after the ticket was cancelled.
"""

from __future__ import annotations

from .images_client import ImagesClient
from .learning_client import LearningClient
from .outlines_client import OutlinesClient


class Client(ImagesClient, OutlinesClient, LearningClient):
    """A server; see `Caller` for how it is made."""
