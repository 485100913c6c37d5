"""The documentation names every error and every address."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from midstream.api import failures
from midstream.api.auth import tokens as auth
from midstream.errors import ClientError, GatewayError
from midstream.process import serve
from midstream.server import refusals
from tests.unit.gateway.api.fakes import FakeSessions, make_app

if TYPE_CHECKING:
    from litestar import Litestar

DOCS = Path(__file__).resolve().parents[4] / "docs"
INTERNAL = {"settings", serve.WorkersFailedError.code}
ELSEWHERE = (
    auth.KeysUnavailableError,
    failures.TooManyRequestsError,
    refusals.TooManyConnectionsError,
)
_ROW = re.compile(r"\| `(\w+)` \| (\d+) \| (\d+) \| (yes|no) \|")


def all_errors(kind: type[GatewayError] = GatewayError) -> set[type[GatewayError]]:
    """Return every error of `midstream.errors`, and of the modules imported here for theirs."""
    found = {kind} if kind not in {GatewayError, ClientError} else set()
    return found.union(*(all_errors(child) for child in kind.__subclasses__()))


def test_every_error_is_documented_as_it_is() -> None:
    """Code, status, close code and whether it passes are those of the classes."""
    documented = {
        (code, int(status), int(close), temporary == "yes")
        for code, status, close, temporary in _ROW.findall((DOCS / "errors.md").read_text())
    }
    defined = {
        (error.code, error.http_status, error.ws_close_code, error.temporary)
        for error in all_errors()
        if error.code not in INTERNAL
    }
    assert documented == defined
    assert {error.code for error in ELSEWHERE} <= {row[0] for row in documented}


def test_every_address_is_documented() -> None:
    """docs/http-api.md names what the application serves."""
    app: Litestar = make_app(FakeSessions()).app
    text = re.sub(r"\{\w+\}", "{}", (DOCS / "http-api.md").read_text())
    for route in app.routes:
        if route.path.startswith("/schema/"):
            continue  # Litestar's own forms of the same document
        assert re.sub(r"\{[^}]*\}", "{}", route.path.rstrip("/")) in text
