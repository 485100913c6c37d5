"""The command: its help, and how it ends when something is wrong."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from midstream import VERSION
from midstream.errors import StoreError
from midstream.process import serve
from midstream.process.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from midstream.settings.sections import Settings


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, arguments)


def test_version_is_the_packages() -> None:
    """`--version` names it."""
    assert VERSION in run("--version").output


def test_help_says_how_to_begin_and_how_it_ends() -> None:
    """A newcomer needs nothing else: the address, the transport, the exit codes."""
    text = run("serve", "--help").output
    for word in ("127.0.0.1:8000", "DefaultChatTransport", "midstream.toml", "Exit codes"):
        assert word in text
    for option in ("--host", "--port", "--workers", "--redis-url", "--config", "--data-dir"):
        assert option in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("--port", "99999"),
        ("--port", "http"),
        ("--host", "192.0.2.1"),
        ("--config", "gone.toml"),
        ("--redis-url", "http://x"),
        ("--workers", "0"),
        ("--nonsense",),
    ],
)
def test_wrong_setting_ends_with_two_and_one_sentence(arguments: tuple[str, ...]) -> None:
    """No traceback; the sentence is on stderr."""
    result = run("serve", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    assert result.stderr.strip()


def test_options_win_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Options that are not given keep the file's values."""
    seen: list[Settings] = []
    monkeypatch.setattr(serve, "serve", lambda settings, announce: seen.append(settings))
    (tmp_path / "midstream.toml").write_text("[server]\nport = 1\nworkers = 3\n")
    assert run("serve", "--port", "9", "--data-dir", "elsewhere").exit_code == 0
    assert (seen[0].server.port, seen[0].server.workers) == (9, 3)
    assert seen[0].redis.data_dir == "elsewhere"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("unable to reach Redis; start it"), 3),
        (serve.WorkersFailedError("unable to serve; workers end", 1), 1),
    ],
)
def test_failure_ends_with_its_code_and_sentence(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script can tell a wrong setting from a Redis that is away."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(serve, "serve", fail)
    result = run("serve")
    assert result.exit_code == code
    assert str(error) in result.stderr


def test_signals_are_not_touched_by_the_command() -> None:
    """Only the event loop's handlers, which end with it, take them."""
    before = signal.getsignal(signal.SIGTERM)
    run("--version")
    assert signal.getsignal(signal.SIGTERM) is before
