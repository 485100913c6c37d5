"""`/midstream-chat.tgz`: the npm package that fits this gateway, as npm packs it.

`npm install http://127.0.0.1:8000/midstream-chat.tgz` takes it from here, without a registry. It is
built into the wheel (`scripts/frontend.py`), and needs no token: it holds nothing secret.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from litestar import Request, Response, get

from midstream.errors import PackageNotBuiltError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from litestar.handlers import HTTPRouteHandler

MEDIA_TYPE: Final = "application/gzip"
CACHE_CONTROL: Final = "no-cache"
"""Revalidated each time: another gateway's version has the same address."""
HEADERS: Final = {"x-content-type-options": "nosniff"}


def package_handler(built: Traversable | None = None) -> HTTPRouteHandler:
    """Return the handler of `/midstream-chat.tgz`.

    Args:
        built: the tarball, which need not be there; by default that of this installation.
    """

    @cache
    def read() -> tuple[bytes, str]:
        """Return the tarball, empty if there is none, and its tag."""
        file = (
            resources.files("midstream") / "npm" / "midstream-chat.tgz" if built is None else built
        )
        content = file.read_bytes() if file.is_file() else b""
        return content, f'"{hashlib.sha256(content).hexdigest()[:20]}"'

    # In a thread, on the first request: most gateways never serve it, and reading it takes a disk.
    @get("/midstream-chat.tgz", include_in_schema=False, sync_to_thread=True)
    def package(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Answer with the package, or with 304 if the client has it."""
        content, etag = read()
        if not content:
            raise PackageNotBuiltError(
                "unable to serve the npm package; it is not built here: run `make run` in the"
                " repository, or install the gateway from a wheel"
            )
        headers = {"cache-control": CACHE_CONTROL, "etag": etag} | HEADERS
        if etag in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers, media_type=MEDIA_TYPE)
        return Response(content, headers=headers, media_type=MEDIA_TYPE)

    return package
