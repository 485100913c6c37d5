"""A registry for npm with the installed packages: npm asks for the peers of these, too."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def registry_of(lock: Path, modules: Path) -> Iterator[str]:
    """Serve a lock's packages for the length of a block; yields the registry's address.

    It serves metadata without tarballs: an installation that would fetch a package fails.

    Args:
        modules: the lock's packages, installed.
    """
    locked = json.loads(lock.read_text())["packages"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = unquote(self.path.lstrip("/"))
            entry = locked.get(f"node_modules/{name}")
            told = b"{}" if entry is None else json.dumps(_packument(modules, name, entry)).encode()
            self.send_response(404 if entry is None else 200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="npm registry")
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def _packument(modules: Path, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    manifest = json.loads((modules / name / "package.json").read_text())
    version = entry["version"]
    dist = {"integrity": entry["integrity"], "tarball": "http://nowhere.invalid/package.tgz"}
    return {
        "name": name,
        "dist-tags": {"latest": version},
        "versions": {version: {**manifest, "dist": dist}},
    }
