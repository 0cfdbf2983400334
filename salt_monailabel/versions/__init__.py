"""Versions of an adapter on disk: numbered, never changed, one of them in use."""

from .store import VersionError, VersionStore

__all__ = ["VersionError", "VersionStore"]
