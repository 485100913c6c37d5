"""The demo's pages: what `demo-ui` builds into `gateway/demo/`, read once at the start."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

IMMUTABLE: Final = "public, max-age=31536000, immutable"
REVALIDATED: Final = "no-cache"
COMPRESSED_FROM: Final = 1024

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "frame-src 'self'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "object-src 'none'",
    )
)
PAGE_HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

NOT_BUILT: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Midstream</title>
<h1>The gateway serves; the demo is not built yet</h1>
<p>Run <code>make run</code> in the repository: it builds the demo and serves it here.</p>
<p>The API is at <code>/api/chat</code>, and described at <a href="/schema">/schema</a>.</p>
"""


class Asset(Struct, frozen=True):
    """A built file. `compressed`: gzipped, or empty where that is no gain."""

    content: bytes
    compressed: bytes
    media_type: str
    cache_control: str
    etag: str

    @classmethod
    def of(cls, name: str, content: bytes) -> Asset:
        """Return a file as it is served; those in `assets/` have their hash in their name."""
        compressed = gzip.compress(content, 9, mtime=0) if len(content) >= COMPRESSED_FROM else b""
        return cls(
            content,
            compressed if len(compressed) < len(content) * 0.9 else b"",
            mimetypes.guess_type(name)[0] or "application/octet-stream",
            IMMUTABLE if name.startswith("assets/") else REVALIDATED,
            f'"{hashlib.sha256(content).hexdigest()[:20]}"',
        )


def read_build(folder: Traversable) -> dict[str, Asset]:
    """Return the built files by their path below `/`; without a build, a page with the command."""
    files = dict(_files(folder, "")) if folder.is_dir() else {}
    files.setdefault("index.html", NOT_BUILT.encode())
    return {name: Asset.of(name, content) for name, content in files.items()}


def _files(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()
