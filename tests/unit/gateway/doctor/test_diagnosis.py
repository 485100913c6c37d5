"""`midstream diagnose`, as a person calls it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from click.testing import CliRunner

from midstream.process.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

TOLD = {
    "id": "c1",
    "complete": False,
    "failures": {"silent-agent": 2},
    "timeline": [
        {"atMs": 0, "code": "run_opened", "text": "support began to answer.", "runId": "run_1"},
        {"atMs": 61_000, "code": "silence", "text": "No word for 38 s.", "failure": "silent-agent"},
    ],
}


class Gateway(BaseHTTPRequestHandler):
    """Answers one address, to one token."""

    answers: ClassVar[dict[str, tuple[int, Any]]] = {
        "/api/chat/c1/diagnosis": (200, TOLD),
        "/api/chat/good/diagnosis": (
            200,
            {"id": "good", "complete": True, "failures": {}, "timeline": []},
        ),
        "/api/chat/page/diagnosis": (200, "<html>"),
    }

    def do_GET(self) -> None:
        """Answer."""
        status, body = self.answers.get(
            self.path, (404, {"error": {"message": "unable to find this session"}})
        )
        if self.headers["authorization"] != "Bearer secret":
            status, body = 401, "no JSON of a gateway"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api/chat"
        server.shutdown()


def diagnose(url: str, token: str = "secret") -> tuple[int, str]:  # noqa: S107
    done = CliRunner().invoke(main, ["diagnose", url, "--token", token])
    return done.exit_code, done.output


def test_each_event_is_a_line_and_failures_are_counted(url: str) -> None:
    lines = [
        "The log is not kept from its beginning: this is not all that happened.",
        "1970-01-01 00:00:00  support began to answer.",
        "1970-01-01 00:01:01  No word for 38 s. [silent-agent]",
        "Failures: 2 × silent-agent.",
    ]
    for address in (f"{url}/c1", f"{url}/c1/", f"{url}/c1/diagnosis", f"{url}/c1?x=1"):
        assert diagnose(address) == (0, "\n".join(lines) + "\n")
    assert diagnose(f"{url}/good") == (0, "No failures.\n")


def test_refusal_is_told_in_the_words_of_the_gateway(url: str) -> None:
    for address, token, said in (
        (f"{url}/other", "secret", "unable to find this session"),
        (f"{url}/c1", "wrong", "unable to ask the gateway; it answers 401"),
        (f"{url}/page", "secret", "unable to read the answer"),
        ("http://127.0.0.1:1/api/chat/c1", "secret", "unable to reach the gateway"),
    ):
        code, output = diagnose(address, token)
        assert code == 1
        assert output.startswith(f"midstream: {said}")


@pytest.mark.parametrize("address", ["c1", "file:///api/chat/c1", "http://host/c1"])
def test_what_is_no_address_of_a_session_is_refused(address: str) -> None:
    code, output = diagnose(address)
    assert code == 2
    assert "https://chat.example.com/api/chat/ID" in output
