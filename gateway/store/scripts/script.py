"""Description of a Lua script, and its call by the names of that description.

A description is the signature of a function: `@script(SessionNames, ...)` over it reads the names
of what the script takes. Python calls the script by these names, which mypy checks; Lua reads the
same names, as locals that are put before its text. Neither side counts positions.

    names in Redis (KEYS, or ARGV for a channel)    META, LOG, FEED
    arguments (ARGV)                                run, fence, ttl_s
    what is repeated at the end (`*members`)        a table

Scripts are called by their hash; `client.py` loads one that the server does not know.
"""

from __future__ import annotations

import hashlib
import inspect
import re
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Concatenate, Final, Generic, ParamSpec, TypeAlias, TypeVar

from midstream.store.format import WRITE_FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Argument: TypeAlias = str | bytes | int
Command: TypeAlias = tuple[Argument, ...]

LUA: Final = files("midstream.store") / "lua"

CALLS: Final = re.compile(r"redis\.p?call\('(\w+)'((?:,\s*[\w.]+\b(?!\())*)")
"""A command that a script calls, and the names that follow it."""

NAMES: Final = re.compile(r"[\w.]+")

_Names = TypeVar("_Names", bound=tuple[bytes, ...])
_Arguments = ParamSpec("_Arguments")


class Description(Generic[_Names, _Arguments]):
    """The keys and arguments of a script by name, and the parts that are prepended to its file.

    Attributes:
        name: of its file.
        keys: the names in Redis that it touches, in the order of KEYS.
        channels: the names that it publishes on; no keys, so they are the first of ARGV.
        arguments: the others of ARGV.
        rest: what follows them, any number of times; None: nothing.
        places: where its keys and channels stand among the names that it is called with.
    """

    def __init__(
        self,
        function: Callable[_Arguments, None],
        *,
        fields: Sequence[str],
        keys: Sequence[str],
        channels: Sequence[str],
        parts: Sequence[str],
    ) -> None:
        parameters = inspect.signature(function).parameters.values()
        self.name: Final = function.__name__
        self.keys: Final = tuple(keys)
        self.channels: Final = tuple(channels)
        self.parts: Final = tuple(parts)
        self.arguments: Final = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.rest: Final = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        self.places: Final = [fields.index(name) for name in (*keys, *channels)]
        # Read on import: reading a file would stall an event loop.
        texts = [(LUA / f"{part}.lua").read_text("utf-8") for part in (*self.parts, self.name)]
        self.text: Final = "\n".join(texts)
        self._check()

    def _check(self) -> None:
        """Refuse a description and a file that do not belong together."""
        lua = re.sub(r"--.*", "", self.text)
        if by_position := re.search(r"\b(KEYS|ARGV)\b", lua):
            raise ValueError(f"{self.name}.lua: takes {by_position[0]} by position, not by name")
        for name in (*self.arguments, *(() if self.rest is None else (self.rest,))):
            if not re.search(rf"\b{name}\b", lua):
                raise ValueError(f"{self.name}.lua: does not use {name}, which it is given")
            if re.search(rf"^local [^=\n(]*\b{name}\b", lua, re.MULTILINE):
                raise ValueError(f"{self.name}.lua: hides {name}, which it is given")

    def prelude(self) -> str:
        """Return the Lua that names what the script is given; on one line, as errors count them."""
        named = (*(name.upper() for name in self.channels), *self.arguments)
        lua = naming(self.keys, named)
        if self.rest is not None:
            first = len(named) + 1
            lua += f" local {self.rest} = {{}} for i = {first}, #ARGV do"
            lua += f" {self.rest}[i - {first - 1}] = ARGV[i] end"
        return lua


def naming(keys: Sequence[str], arguments: Sequence[str]) -> str:
    """Return the Lua that names KEYS, in capitals, and ARGV."""
    given = [(name.upper(), f"KEYS[{i}]") for i, name in enumerate(keys, 1)]
    given += [(name, f"ARGV[{i}]") for i, name in enumerate(arguments, 1)]
    names, values = zip(*given, strict=True)
    return f"local {', '.join(names)} = {', '.join(values)}"


def script(
    names: type[_Names],
    *parts: str,
    keys: Sequence[str] | None = None,
    channels: Sequence[str] = (),
) -> Callable[[Callable[_Arguments, None]], Description[_Names, _Arguments]]:
    """Describe a script by a function's keyword arguments.

    Args:
        names: what it is called with: a NamedTuple of names in Redis.
        parts: the files that are prepended to the script's own, which has the function's name.
        keys: those of the names that are its KEYS; all by default.
        channels: those that it publishes on.
    """
    fields: tuple[str, ...] = names._fields  # type: ignore[attr-defined]

    def describe(function: Callable[_Arguments, None]) -> Description[_Names, _Arguments]:
        return Description(
            function,
            fields=fields,
            keys=fields if keys is None else keys,
            channels=channels,
            parts=parts,
        )

    return describe


class Script(Generic[_Names, _Arguments]):
    """A script as it is sent to Redis.

    Args:
        sharded: publish by SPUBLISH, for a cluster.
        write_format: the highest format that it writes (`format.py`).
    """

    def __init__(
        self,
        described: Description[_Names, _Arguments],
        *,
        sharded: bool,
        write_format: int = WRITE_FORMAT,
    ) -> None:
        text = described.text.replace("'PUBLISH'", "'SPUBLISH'") if sharded else described.text
        self.commands: Final = _commands(described, text)
        """Commands that the script calls, each with a key or channel that it names."""
        given = [f"local WRITE_FORMAT = {write_format}", described.prelude()]
        if "rights" in described.parts:
            pairs = (f"{{{', '.join((repr(command), *on))}}}" for command, on in self.commands)
            given[1] += f" local COMMANDS = {{{', '.join(pairs)}}}"
        self.source: Final = "\n".join((*given, text))
        # Redis names scripts by their SHA-1; nothing is protected by it.
        self.sha: Final = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        self.arguments: Final = described.arguments
        """The names of its arguments, in the order in which a command has them, its last."""
        self.call: Final[Callable[Concatenate[_Names, _Arguments], Command]] = _caller(
            described, self.sha
        )
        """Return the command that runs it, on these names, with these arguments."""


def _commands(described: Description[Any, ...], text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Find a script's commands, and the names of each.

    A function's `key` stands for each key of the script: whoever calls it says which. A run's
    lane is in one of two (lanes.lua).
    """
    stands_for = {name.upper(): [name.upper()] for name in (*described.keys, *described.channels)}
    stands_for["key"] = [name.upper() for name in described.keys]
    stands_for["lane.key"] = ["META", "SIDE"]
    commands: set[tuple[str, tuple[str, ...]]] = set()
    for command, arguments in CALLS.findall(re.sub(r"--.*", "", text)):
        said = [name for each in NAMES.findall(arguments) for name in stands_for.get(each, ())]
        commands.update((command, (name,)) for name in said)
        if not said:
            commands.add((command, ()))
    return sorted(commands)


def _caller(described: Description[Any, ...], sha: str) -> Callable[..., Command]:
    """Make the function that puts what a script is given in order.

    Made of text, as those of a dataclass are: an order that is looked up at each call would make
    it four times as long (0.9 µs beside 0.15), and an append is sent for every chunk.
    """
    keys = [f"names[{place}]" for place in described.places]
    rest = () if described.rest is None else (f"*{described.rest}",)
    given = ", ".join(("names", *(rest or ("*",)), *described.arguments))
    ordered = ", ".join((*keys, *described.arguments, *rest))
    made: dict[str, Callable[..., Command]] = {}
    exec(  # noqa: S102 - of names that stand in this package
        f"def call({given}):\n    return ('EVALSHA', '{sha}', {len(described.keys)}, {ordered})",
        made,
    )
    return made["call"]
