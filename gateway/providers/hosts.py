"""Hosts of addresses, compared with those of known servers."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_one_of(hosts: tuple[str, ...], base_url: str) -> bool:
    """Whether the host of an address is one of these, or below one."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        return False
    return any(host == known or host.endswith(f".{known}") for known in hosts)
