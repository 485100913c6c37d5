"""Files that browsers request by themselves, and the page for an address that does not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from litestar import Response, get

if TYPE_CHECKING:
    from litestar import Request
    from litestar.handlers import HTTPRouteHandler

ICON: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" '
    b'rx="7" fill="#2563eb"/><path d="M6 12c5-5 9 5 14 0s4-2 6-3M6 20c5-5 9 5 14 0s4-2 6-3" '
    b'fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>'
)
ROBOTS: Final = b"User-agent: *\nDisallow: /\n"
"""Conversations are private: no crawler may index them."""

NOT_FOUND: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Not found - Midstream</title>
<h1>There is no page here</h1>
<p>This is a Midstream gateway. Its API is at <code>/api/chat</code>, and described at
<a href="/schema">/schema</a>; <a href="/">the start page</a> is the live demo, where that is
served.</p>
"""
HEADERS: Final = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
A_DAY: Final = "public, max-age=86400"


def is_visit(request: Request[Any, Any, Any]) -> bool:
    """Return whether a browser opens the address as a page."""
    return request.method == "GET" and "text/html" in request.headers.get("accept", "")


def not_found_page() -> Response[str]:
    """Return the page for an address that does not exist."""
    return Response(NOT_FOUND, status_code=404, media_type="text/html", headers=HEADERS)


def browser_files() -> list[HTTPRouteHandler]:
    """Return the routes of the files that browsers and crawlers request of every site."""

    @get("/favicon.ico", include_in_schema=False, sync_to_thread=False)
    def icon() -> Response[bytes]:
        headers = {**HEADERS, "cache-control": A_DAY}
        return Response(ICON, media_type="image/svg+xml", headers=headers)

    @get("/robots.txt", include_in_schema=False, sync_to_thread=False)
    def robots() -> Response[bytes]:
        return Response(ROBOTS, media_type="text/plain", headers={"cache-control": A_DAY})

    return [icon, robots]
