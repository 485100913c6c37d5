"""Runs the steps of a Dockerfile in a folder, where there is no container engine."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Instruction(NamedTuple):
    """One instruction: its name in capitals, and the rest of its line."""

    name: str
    text: str


def instructions(text: str) -> list[Instruction]:
    """Parse a Dockerfile: comments are dropped, continued lines are joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    pairs = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [Instruction(name.upper(), rest.strip()) for name, rest in pairs]


class Image:
    """The result of a Dockerfile's steps: its folders lie in one folder instead of at `/`.

    Absolute paths of the image's own folders are rewritten. Packages of the distribution are not
    installed: the machine must have their programs.

    Args:
        root: the folder; everything of the image is below it.
        context: what COPY copies from: the files that the build's context has.
        folders: the image's own folders at `/`.
        programs: a folder that is first on PATH: it has the base image's `python`.

    Attributes:
        environment: what ENV has set in the last stage.
        entrypoint, command, health: the lists of these instructions, in the last stage.
    """

    def __init__(self, root: Path, context: Path, folders: Sequence[str], programs: Path) -> None:
        self.root = root
        self.environment: dict[str, str] = {}
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []
        self._context = context
        self._own = re.compile(rf"(?<![\w.~-])/({'|'.join(folders)})(?=[/\s\"':]|$)")
        self._where = root
        self._programs = programs

    def build(self, text: str) -> None:
        """Take every step.

        Raises:
            AssertionError: one failed; it names the step and its last output.
        """
        for name, rest in instructions(text):
            getattr(self, f"_{name.lower()}")(rest)

    def inside(self, text: str) -> str:
        """Return a text with the image's paths as they are here."""
        return self._own.sub(rf"{self.root}/\1", text)

    def run(self, command: Sequence[str] | str, more: Mapping[str, str] | None = None) -> str:
        """Run a command of the image; return what it printed."""
        done = subprocess.run(  # noqa: S603 - the steps of our own Dockerfile
            command,
            shell=isinstance(command, str),
            cwd=self._where,
            env=self.variables(more),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def variables(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of a process in the image."""
        path = f"{self._programs}{os.pathsep}{os.environ['PATH']}"
        own = {name: value.replace("$PATH", path) for name, value in self.environment.items()}
        return {**_from_outside(), "PATH": path, **own, **(more or {})}

    def _from(self, _text: str) -> None:
        self._where, self.environment = self.root, {}

    def _workdir(self, text: str) -> None:
        self._where = self.root / text.lstrip("/")
        self._where.mkdir(parents=True, exist_ok=True)

    def _copy(self, text: str) -> None:
        *options, source, target = shlex.split(text)
        if options:  # from another stage, which has the same folders here
            assert source == target
            return
        shutil.copytree(
            self._context / source, self._where / target, symlinks=True, dirs_exist_ok=True
        )

    def _run(self, text: str) -> None:
        if text.startswith("apt-get"):
            lacking = [name for name in ("strip",) if shutil.which(name) is None]
            assert not lacking, f"install what the Dockerfile does: {lacking}"
            return
        self.run(self.inside(text))

    def _env(self, text: str) -> None:
        pairs = (item.split("=", 1) for item in shlex.split(text))
        self.environment |= {name: self.inside(value) for name, value in pairs}

    def _user(self, text: str) -> None:
        assert text.split(":")[0] not in {"0", "root"}

    def _expose(self, _text: str) -> None:
        """A note for people."""

    def _healthcheck(self, text: str) -> None:
        self.health = json.loads(text[text.index("[") :])

    def _entrypoint(self, text: str) -> None:
        self.entrypoint = json.loads(text)

    def _cmd(self, text: str) -> None:
        self.command = json.loads(text)


def _from_outside() -> dict[str, str]:
    """Return this environment, which says where registries are, without what is the project's."""
    own = ("MIDSTREAM_", "PYTHON", "PYTEST", "COVERAGE", "VIRTUAL_ENV", "REDIS_URL")
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(own) and "API_KEY" not in name
    }
