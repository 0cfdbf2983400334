"""Adapters: small trained changes of a frozen model, as parametrizations of its weights."""

from .adapter import Adapter, attach
from .config import AdapterConfig
from .file import AdapterError, load, read_card, save

__all__ = ["Adapter", "AdapterConfig", "AdapterError", "attach", "load", "read_card", "save"]
