"""Addresses of servers."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def tidied(address: str) -> str:
    """Return an address as somebody typed it with its scheme, and without a slash at its end."""
    address = address.strip().rstrip("/")
    return address if "://" in address else f"http://{address}"


def is_loopback(url: str) -> bool:
    """Say whether a URL names this computer."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
