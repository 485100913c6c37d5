"""Fresh projects with the package installed, made of the pages that the documentation shows."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.processes import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

PAGES: Final = ("docs/frontend.md", "README.md", "demo-ui/transport/README.md")
TEMPLATES: Final = REPOSITORY / "tests" / "e2e" / "frontends"
"""A project for each framework but for its pages; `scripts/bootstrap.py` installs their lock."""
PROJECTS: Final = ("react", "next", "vue", "svelte")
PACKAGE: Final = REPOSITORY / "demo-ui" / "transport"

CODE: Final = frozenset({"ts", "tsx", "vue", "svelte"})
BACKEND: Final = "// app/api/"
"""How a block begins that is a route: the tests of agents run it."""
_BLOCK: Final = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)
LIMIT_S: Final = 240
"""For one program: `next build` takes half a minute of two free cores."""


@dataclass(frozen=True)
class Snippet:
    """A block of code in a page.

    Attributes:
        file: where it is put, below the projects' folder.
        is_named: whether the page says so; otherwise the name is made up.
    """

    page: str
    language: str
    file: str
    is_named: bool
    text: str


def snippets() -> Iterator[Snippet]:
    """Yield every block of the pages that is a frontend's code."""
    for page in PAGES:
        text = (REPOSITORY / page).read_text()
        for number, found in enumerate(_BLOCK.finditer(text)):
            language, file, code = found.groups()
            if language in CODE and not code.startswith(BACKEND):
                made_up = f"react/src/{page.replace('/', '-').lower()}-{number}.{language}"
                yield Snippet(page, language, file or made_up, file is not None, code)


@dataclass(frozen=True)
class Projects:
    """A folder with a project for each framework, the package installed in each."""

    folder: Path

    def run(self, project: str, *command: str, **environment: str) -> None:
        """Run a program of the installed packages in a project, to its end.

        Raises:
            AssertionError: it failed; shows what it printed.
        """
        run(self.folder / "node_modules" / ".bin", command, self.folder / project, environment)


def environment_with(programs: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return variables for programs of Node: no network, and these programs first."""
    commands = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "npm_config_offline": "true",
        "NEXT_TELEMETRY_DISABLED": "1",
        **more,
        "PATH": os.pathsep.join((str(programs), commands, os.environ["PATH"])),
    }


def run(programs: Path, command: Sequence[str], where: Path, more: Mapping[str, str]) -> None:
    """Run one program of Node to its end.

    Raises:
        AssertionError: it failed; shows what it printed.
    """
    done = subprocess.run(  # noqa: S603
        command,
        cwd=where,
        env=environment_with(programs, more),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} failed\n{done.stdout}\n{done.stderr}"


def pack(folder: Path) -> Path:
    """Build the package and pack it, from its sources as they are now; return the tarball."""
    copy = folder / "package"
    left_out = shutil.ignore_patterns("node_modules", "dist", "tests", "*.tgz")
    shutil.copytree(PACKAGE, copy, ignore=left_out)
    modules = REPOSITORY / "demo-ui" / "node_modules"
    (folder / "node_modules").symlink_to(modules)
    run(modules / ".bin", ["npm", "run", "release"], copy, {})
    (tarball,) = copy.glob("*.tgz")
    return tarball


def make_projects(folder: Path, tarball: Path) -> Projects:
    """Make projects of the templates and the documentation's code, and install the package.

    The frameworks' packages are links to the locked ones, which npm takes as installed: so it
    resolves the peers for real, and needs no network.
    """
    shutil.copytree(TEMPLATES, folder, symlinks=True, copy_function=link)
    for snippet in snippets():
        file = folder / snippet.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(snippet.text)
    component = (folder / "react/src/Conversation.tsx").read_text()
    (folder / "next/app/chat/[id]/conversation.tsx").write_text(f"'use client';\n{component}")
    projects = Projects(folder)
    into = [f"--workspace={project}" for project in PROJECTS]
    projects.run(".", "npm", "install", "--no-audit", "--no-fund", *into, str(tarball))
    return projects


def link(source: str, target: str) -> None:
    """Link what is only read, in no time and no space; copy what tools write to in place."""
    if "/node_modules/" in source and not source.endswith("/.package-lock.json"):
        with contextlib.suppress(OSError):  # another file system
            os.link(source, target)
            return
    shutil.copy2(source, target)
