"""A gateway for tests: `gateway`.

    def test_answer_is_written() -> None:
        with gateway() as url, MidstreamSync(url) as client:
            ...

It is a real one, in a process of its own, with a Redis of its own in a folder that ends with the
block. It needs the extras `server` and, without a redis-server on PATH, `embedded`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

START_LIMIT_S: Final = 60.0
END_LIMIT_S: Final = 10.0
LOOK_S: Final = 0.02

_KEYS: Final = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")
"""With these it would answer with models that cost money."""

_SERVES: Final = re.compile(r"^Midstream serves on (\S+)$", re.M)


@contextmanager
def gateway(settings: str = "", environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start a gateway, and end it with the block; yield its address.

    Settings of this machine do not count: neither a `midstream.toml` nor variables. Without any
    settings it takes runs from every worker, and answers with simulated models.

    Args:
        settings: the text of its `midstream.toml`.
        environment: variables of its process, such as the keys that the settings name.

    Raises:
        RuntimeError: it did not start; the text is what it has said.
    """
    with TemporaryDirectory(prefix="midstream-") as folder:
        place, log = Path(folder), Path(folder, "log")
        (place / "midstream.toml").write_text(settings)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "midstream", "serve", "--port", "0"],
                cwd=place,
                env={**_foreign_variables(), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield _address(process, log)
        finally:
            _end(process)


def _foreign_variables() -> dict[str, str]:
    """Return this process's variables but those that a gateway reads."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MIDSTREAM_") and name not in {"REDIS_URL", *_KEYS}
    }


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until a gateway serves, and return where."""
    until = time.monotonic() + START_LIMIT_S
    while (found := _SERVES.search(log.read_text(errors="replace"))) is None:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"unable to start a gateway; it said: {log.read_text()[-2000:]}")
        time.sleep(LOOK_S)
    return found[1]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Shut a gateway down: twice asked, it does not wait for runs."""
    for ask in (process.terminate, process.terminate, process.kill):
        ask()
        try:
            process.wait(END_LIMIT_S if ask == process.terminate else None)
        except subprocess.TimeoutExpired:
            continue
        return
