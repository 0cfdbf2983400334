"""Versions of an adapter on disk: numbered, never changed, one of them current."""

from .store import VersionStore

__all__ = ["VersionStore"]
