"""Adapters: small trained changes of a frozen model, as parametrizations of its weights."""

from .adapter import Adapter, attach
from .config import AdapterConfig
from .file import AdapterError, copy, load, read_card, save

__all__ = ["Adapter", "AdapterConfig", "AdapterError", "attach", "copy", "load", "read_card", "save"]
