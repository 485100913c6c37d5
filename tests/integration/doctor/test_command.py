"""`midstream doctor` as a person starts it: exit codes, JSON, Ctrl-C."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from midstream.process.cli import main
from tests.support.processes import ChildProcess, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import AsSet

    Serve = Callable[..., AsSet]


def test_good_server_exits_with_0_and_a_bad_one_with_1(serve: Serve) -> None:
    """The URL stands in the report without its password."""
    good, bad = serve(), serve(maxmemory_policy="volatile-lru")
    for server in (good, bad):
        server.client.config_set("requirepass", "a-secret")
    for server, code in ((good, 0), (bad, 1)):
        url = server.url.replace("redis://", "redis://:a-secret@")
        done = CliRunner().invoke(main, ["doctor", url])
        assert done.exit_code == code, done.output
        assert f"Redis at redis://:***@127.0.0.1:{server.port}" in done.output
        assert "a-secret" not in done.output


def test_json_is_all_that_is_printed(serve: Serve) -> None:
    done = CliRunner().invoke(main, ["doctor", "--json", serve().url])
    said = json.loads(done.stdout)
    assert said["good"] is True
    assert [each["part"] for each in said["examined"]] == ["redis"]
    assert done.exit_code == 0


def test_redis_of_the_settings_is_examined_under_their_prefix(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`REDIS_URL` and `redis.key_prefix` say which, and where its user must have rights."""
    server = serve()
    server.client.execute_command(  # type: ignore[no-untyped-call]
        *("ACL", "SETUSER", "app", "reset", "on", ">pw", "+@all", "~chat:*", "&chat:*")
    )
    monkeypatch.setenv("REDIS_URL", server.url.replace("redis://", "redis://app:pw@"))
    assert CliRunner().invoke(main, ["doctor"]).exit_code == 1
    config = tmp_path / "midstream.toml"
    config.write_text('[redis]\nkey_prefix = "chat"\n')
    done = CliRunner().invoke(main, ["doctor", "--config", str(config)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name one"),
        (["http://localhost"], "redis://"),
        (["--through", "localhost:8000"], "http:// or https://"),
    ],
)
def test_wrong_argument_exits_with_2(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(main, ["doctor", *arguments])
    assert done.exit_code == 2
    assert words in done.output


def test_without_a_redis_only_the_proxy_is_examined() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = CliRunner().invoke(main, ["doctor", "--through", url])
    assert done.exit_code == 1
    assert done.output.startswith(f"Proxy at {url}\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_command_has_removed_what_it_wrote(
    serve: Serve, tmp_path: Path, number: signal.Signals
) -> None:
    """Without a stack trace."""
    server = serve()
    command = [sys.executable, "-m", "midstream", "doctor", server.url]
    process = ChildProcess("doctor", command, tmp_path / "doctor.log")
    wait_until(lambda: bool(server.client.keys("ms:doctor-*")), "it plays a session's life", 30)
    process.send_signal(number)
    assert process.wait_exit() == 130
    assert server.client.keys() == []
    assert "Traceback" not in process.output()
