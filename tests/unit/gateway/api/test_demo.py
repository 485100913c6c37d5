"""The demo's pages: cached as they may be, and with nothing that runs from elsewhere."""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

from litestar import Litestar

from midstream.api.demo import demo_pages
from midstream.live_demo.pages import Asset, read_build
from tests.unit.gateway.api.fakes import Answer, request

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAGE = b"<!doctype html><title>demo</title>"
SCRIPT = b"export const answer = 42;\n" * 200


def ask(path: str, headers: Mapping[str, str] | None = None) -> Answer:
    build = {
        "index.html": Asset.of("index.html", PAGE),
        "assets/index-abc.js": Asset.of("assets/index-abc.js", SCRIPT),
    }
    app = Litestar(demo_pages(build), openapi_config=None)
    return asyncio.run(request(app, "GET", path, headers=headers))


def test_visitor_gets_the_page_at_every_session() -> None:
    """`/s/{id}` is for the page to read."""
    assert ask("/").body == ask("/s/chat_1").body == PAGE


def test_browser_asks_for_the_page_anew_and_keeps_its_assets() -> None:
    """Only what has its hash in its name may be kept without asking."""
    assert ask("/").headers["cache-control"] == "no-cache"
    assert "immutable" in ask("/assets/index-abc.js").headers["cache-control"]


def test_browser_that_has_the_page_gets_nothing() -> None:
    """An unchanged page costs its headers."""
    answer = ask("/", {"if-none-match": ask("/").headers["etag"]})
    assert (answer.status, answer.body) == (304, b"")


def test_browser_that_can_gets_assets_compressed() -> None:
    """The bytes are gzipped, once, at the start."""
    answer = ask("/assets/index-abc.js", {"accept-encoding": "gzip, br"})
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == SCRIPT


def test_page_allows_no_script_but_its_own() -> None:
    """Neither inline nor foreign scripts, even if an answer contains one."""
    policy = ask("/s/chat_1").headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy


def test_asset_that_does_not_exist_is_404() -> None:
    """It is not answered with the page: a script that is gone must fail as one."""
    assert ask("/assets/index-old.js").status == 404


def test_visitor_without_a_build_is_told_how_to_make_one(tmp_path: Path) -> None:
    """The page names the command."""
    assert b"make run" in read_build(tmp_path / "absent")["index.html"].content
