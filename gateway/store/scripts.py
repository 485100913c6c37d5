"""The Lua scripts, as commands.

Scripts are called by their hash; `client.py` loads one that the server does not know.
"""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Final, TypeAlias

from midstream.store.format import WRITE_FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Argument, ...]

# Each script, and what is prepended to it: first WRITE_FORMAT, which whatever writes compares, and
# COMMANDS, which rights.lua asks for.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    "append": (),
    "close": ("rights", "format", "common", "whole", "messages"),
    "delete": ("rights", "format", "common", "whole", "lease"),
    "due": ("common",),
    "erase": ("rights", "format", "common", "whole"),
    "hint": ("rights", "common"),
    "limit_hold": ("rights", "common"),
    "limit_spend": ("rights", "common", "limit_budgets"),
    "limit_store": ("rights", "common", "limit_budgets"),
    "limit_take": ("rights", "limit_budgets", "limit_places"),
    "limit_undo": ("rights",),
    "load": ("common", "whole", "lease"),
    "load_run": ("whole",),
    "open": ("rights", "format", "common", "whole", "lease", "messages"),
    "presence": ("rights", "common"),
    "read": ("common", "whole", "lease"),
    "recall": (),
    "release": ("format", "common"),
    "remember": ("format",),
    "renew": ("format", "common", "whole", "lease"),
    "request_stop": ("rights", "format", "common", "whole", "lease"),
    "take_over": ("rights", "format", "common", "whole", "lease"),
    "trim": ("format", "common"),
}


def _source(name: str) -> str:
    parts = [(LUA / f"{part}.lua").read_text("utf-8") for part in (*PARTS[name], name)]
    given = [f"local WRITE_FORMAT = {WRITE_FORMAT}"]
    if "rights" in PARTS[name]:
        called = sorted(set(CALLS.findall("\n".join(parts))))
        pairs = (f"{{'{command}', KEYS[{key or 1}]}}" for command, key in called)
        given.append(f"local COMMANDS = {{{', '.join(pairs)}}}")
    return "\n".join((*given, *parts))


LUA: Final = files("midstream.store") / "lua"
CALLS: Final = re.compile(r"redis\.p?call\('(\w+)'(?:, KEYS\[(\d)\])?")
"""What a script calls, and for which of its keys, if that is said."""

# Read on import: reading a file would stall an event loop.
_SOURCES: Final = {name: _source(name) for name in PARTS}


class Script:
    """One script. `sharded`: publish by SPUBLISH, for a cluster."""

    def __init__(self, name: str, *, sharded: bool) -> None:
        source = _SOURCES[name]
        if sharded:
            source = source.replace("'PUBLISH'", "'SPUBLISH'")
        self.name: Final = name
        self.source: Final = source
        # Redis names scripts by their SHA-1; nothing is protected by it.
        self.sha: Final = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: tuple[bytes, ...], *args: Argument) -> Command:
        """Return the command that runs it."""
        return ("EVALSHA", self.sha, len(keys), *keys, *args)


class Scripts:
    """All scripts: `scripts.open.call(keys, ...)`."""

    def __init__(self, *, sharded: bool = False) -> None:
        made = {name: Script(name, sharded=sharded) for name in PARTS}
        self.append = made["append"]
        self.close = made["close"]
        self.delete = made["delete"]
        self.due = made["due"]
        self.erase = made["erase"]
        self.hint = made["hint"]
        self.limit_hold = made["limit_hold"]
        self.limit_spend = made["limit_spend"]
        self.limit_store = made["limit_store"]
        self.limit_take = made["limit_take"]
        self.limit_undo = made["limit_undo"]
        self.load = made["load"]
        self.load_run = made["load_run"]
        self.open = made["open"]
        self.presence = made["presence"]
        self.read = made["read"]
        self.recall = made["recall"]
        self.release = made["release"]
        self.remember = made["remember"]
        self.renew = made["renew"]
        self.request_stop = made["request_stop"]
        self.take_over = made["take_over"]
        self.trim = made["trim"]
        self._by_sha = {script.sha: script for script in made.values()}

    def sources(self, commands: Iterable[Command]) -> set[str]:
        """Return the sources of the scripts that these commands call."""
        return {self._by_sha[str(command[1])].source for command in commands}
