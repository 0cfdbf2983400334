"""Versions of an adapter on disk: numbered, never changed, one of them in use."""

from .store import BASE, VersionError, VersionStore

__all__ = ["BASE", "VersionError", "VersionStore"]
