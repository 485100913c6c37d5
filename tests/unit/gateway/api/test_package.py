"""The npm package, as the gateway serves it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from litestar import Litestar

from midstream.api.failures import EXCEPTION_HANDLERS
from midstream.api.package import package_handler
from tests.unit.gateway.api.fakes import Answer, request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PACKED = b"\x1f\x8b packed"


def ask(built: Path, headers: Mapping[str, str] | None = None) -> Answer:
    app = Litestar(
        [package_handler(built)], openapi_config=None, exception_handlers=EXCEPTION_HANDLERS
    )
    return asyncio.run(request(app, "GET", "/midstream-chat.tgz", headers=headers))


def test_npm_gets_the_package_without_a_token_and_asks_for_it_anew(tmp_path: Path) -> None:
    """Another version of the gateway has another one at the same address."""
    (built := tmp_path / "package.tgz").write_bytes(PACKED)
    answer = ask(built)
    assert (answer.status, answer.body) == (200, PACKED)
    assert answer.headers["content-type"] == "application/gzip"
    assert answer.headers["cache-control"] == "no-cache"
    again = ask(built, {"if-none-match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


def test_npm_is_told_what_to_do_where_the_package_is_not_built(tmp_path: Path) -> None:
    """A checkout that has built nothing says so."""
    answer = ask(tmp_path / "missing.tgz")
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["code"]) == (404, "package_not_built")
    assert "make run" in error["message"]
