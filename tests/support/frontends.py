"""Makes fresh projects of the documentation's pages, with the package installed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.made_once import fingerprint, made_once
from tests.support.npm_registry import registry_of
from tests.support.processes import REPOSITORY, ChildProcess, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

PAGES: Final = ("docs/frontend.md", "README.md", "demo-ui/transport/README.md")
TEMPLATES: Final = REPOSITORY / "tests" / "e2e" / "frontends"
"""A project for each framework, without pages; `scripts/bootstrap.py` installs their lock."""
PROJECTS: Final = ("react", "next", "vue", "svelte", "assistant-ui")
FRONTEND: Final = REPOSITORY / "scripts" / "frontend.py"
PACKAGE: Final = REPOSITORY / "demo-ui" / "transport"
LEFT_OUT: Final = frozenset({"node_modules", "dist", "tests"})
"""Built files, and files that no build uses."""
ANY_GATEWAY: Final = "http://gateway.invalid"
"""A placeholder in Next.js's build, replaced by a gateway's address."""

DOCUMENTED_GATEWAY: Final = "http://127.0.0.1:8000"
"""The gateway's address in the documentation's pages."""

CODE: Final = frozenset({"ts", "tsx", "vue", "svelte"})
BACKEND: Final = "// app/api/"
"""The beginning of a block that is a route: the tests of agents run it."""
_BLOCK: Final = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.M | re.S)
TARBALL: Final = "midstream-chat.tgz"
"""The file that the documentation installs from a gateway."""
LIMIT_S: Final = 600
"""Limit of one program: `next build` takes half a minute on two free cores."""


@dataclass(frozen=True)
class Snippet:
    """A block of code in a page.

    Attributes:
        file: its path below the projects' folder.
        is_named: whether the page names the file; otherwise the name is invented.
    """

    page: str
    language: str
    file: str
    is_named: bool
    text: str


def snippets() -> Iterator[Snippet]:
    """Yield every block of frontend code in the pages."""
    for page in PAGES:
        text = (REPOSITORY / page).read_text()
        for number, found in enumerate(_BLOCK.finditer(text)):
            language, file, code = found.groups()
            if language in CODE and not code.startswith(BACKEND):
                made_up = f"react/src/{page.replace('/', '-').lower()}-{number}.{language}"
                yield Snippet(page, language, file or made_up, file is not None, code)


@dataclass(frozen=True)
class Projects:
    """A folder with a project for each framework, the package installed in each.

    Attributes:
        store: the cache of slow builds, kept from run to run.
        sources: a fingerprint of each project before any installation or build.
    """

    folder: Path
    store: Path
    sources: Mapping[str, str]

    def run(self, project: str, *command: str, **environment: str) -> None:
        """Run a program of the installed packages in a project, to its end.

        Raises:
            AssertionError: it failed; shows what it printed.
        """
        run(self.folder / "node_modules" / ".bin", command, self.folder / project, environment)

    def build(self, project: str, gateway: str) -> None:
        """Build a project for production, with its gateway's address.

        Next.js takes half a minute, and writes the address into its build. So it builds once
        for the same sources, with a placeholder that is then replaced.
        """
        if project != "next":
            self.run(project, "vite", "build", MIDSTREAM_URL=gateway)
            for file in (self.folder / project / "dist").rglob("*.js"):
                file.write_text(file.read_text().replace(DOCUMENTED_GATEWAY, gateway))
            return
        built = self.folder / "next" / ".next"

        def make(kept: Path) -> None:
            self.run("next", "next", "build", MIDSTREAM_URL=ANY_GATEWAY)
            shutil.rmtree(built / "cache")
            built.rename(kept)

        made_once(self.store / "next", self.sources["next"], make, built)
        replaced = [file for file in built.glob("*.js*") if ANY_GATEWAY in file.read_text()]
        assert built / "routes-manifest.json" in replaced
        for file in replaced:
            file.write_text(file.read_text().replace(ANY_GATEWAY, gateway))


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


def pack(folder: Path, store: Path) -> bytes:
    """Build and pack the package, unless its sources are unchanged; return the tarball.

    In another place than the repository's build, from files with other times and modes.
    """
    modules = REPOSITORY / "demo-ui" / "node_modules"
    lock = REPOSITORY / "demo-ui" / "package-lock.json"
    sources = [lock, FRONTEND, *files_of(PACKAGE)]

    def make(kept: Path) -> None:
        copy = folder / "package"
        ignored = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(PACKAGE, copy, ignore=ignored, copy_function=_copy_privately)
        (folder / "node_modules").symlink_to(modules)
        run(modules / ".bin", ["npm", "run", "build"], copy, {})
        packing = [sys.executable, str(FRONTEND), "--pack", str(copy), str(kept / TARBALL)]
        run(modules / ".bin", packing, copy, {})

    made_once(store / "tarball", fingerprint(REPOSITORY, sources), make, folder / "tarball")
    return (folder / "tarball" / TARBALL).read_bytes()


def _copy_privately(source: str, target: str) -> None:
    shutil.copyfile(source, target)
    Path(target).chmod(0o600)


def files_of(folder: Path) -> list[Path]:
    """Return the source files below a folder."""
    return [
        file
        for file in folder.rglob("*")
        if file.is_file() and LEFT_OUT.isdisjoint(file.relative_to(folder).parts)
    ]


def make_projects(folder: Path, gateway: str, store: Path) -> Projects:
    """Make projects of the templates and the documentation's code; install a gateway's package.

    The frameworks' packages are links to the locked ones.

    Args:
        gateway: its address.
    """
    shutil.copytree(TEMPLATES, folder, symlinks=True, copy_function=link)
    for snippet in snippets():
        file = folder / snippet.file
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(snippet.text)
    component = (folder / "react/src/Conversation.tsx").read_text()
    (folder / "next/app/chat/[id]/conversation.tsx").write_text(f"'use client';\n{component}")
    shared = [folder / name for name in (".npmrc", "package.json", "package-lock.json")]
    with urllib.request.urlopen(f"{gateway}/{TARBALL}", timeout=30) as answer:  # noqa: S310
        made_of = answer.read() + Path(__file__).read_bytes()
    packed = hashlib.sha256(made_of).hexdigest()
    sources = {
        project: fingerprint(folder, [*shared, *files_of(folder / project)], packed)
        for project in PROJECTS
    }
    projects = Projects(folder, store, sources)
    everywhere = [option for project in PROJECTS for option in ("--workspace", project)]
    with registry_of(folder / "package-lock.json", folder / "node_modules") as registry:
        projects.run(
            ".",
            *("npm", "install", "--no-audit", "--no-fund", f"{gateway}/{TARBALL}", *everywhere),
            npm_config_offline="false",
            npm_config_registry=registry,
            npm_config_cache=str(folder / "npm-cache"),
            no_proxy="*",
        )
    # npm trusts a lock, so check the installed packages for missing peers.
    projects.run(".", "npm", "ls", "--all")
    return projects


def link(source: str, target: str) -> None:
    """Hard-link files that are only read; copy those that tools change in place."""
    if "/node_modules/" in source and not source.endswith("/.package-lock.json"):
        with contextlib.suppress(OSError):  # another file system
            os.link(source, target)
            return
    shutil.copy2(source, target)


def path_of(project: str, chat: str) -> str:
    """Return the path of a project's page for a session."""
    return f"/chat/{chat}" if project == "next" else f"/{chat}"


@asynccontextmanager
async def serving(projects: Projects, project: str, gateway: str) -> AsyncIterator[str]:
    """Build a project and serve it for the length of a block; yields its address."""
    where = projects.folder / project
    await asyncio.to_thread(projects.build, project, gateway)
    port = free_port()
    start = ("next", "start") if project == "next" else ("vite", "preview", "--strictPort")
    programs = projects.folder / "node_modules" / ".bin"
    with ExitStack() as stack:
        server = ChildProcess(
            f"{project} server",
            [str(programs / start[0]), *start[1:], "--port", str(port)],
            where / "server.log",
            environment_with(programs, {"MIDSTREAM_URL": gateway}),
            where=where,
        )
        stack.callback(server.end)
        url = f"http://localhost:{port}"

        def answers() -> bool:
            try:
                with urllib.request.urlopen(url + path_of(project, "c"), timeout=5) as answer:  # noqa: S310
                    return bool(answer.status == 200)
            except OSError:
                return False

        await asyncio.to_thread(server.wait_ready, answers, 120.0)
        yield url
