"""The distribution: whoever installs it gets everything that the gateway needs to run."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.distribution import build, closure, copy_source, install, requirements_of
from tests.support.fixtures import own_deployment, simulator
from tests.support.push import AGENT_KEY, PUSH_ENVIRONMENT, PUSH_SETTINGS
from tests.support.sessions import Session, text_of

if TYPE_CHECKING:
    from tests.support.fixtures import Deployment

__all__ = ["own_deployment", "simulator"]

ROOT = Path(__file__).resolve().parents[2]

SERVER = {"anthropic", "click", "litestar", "openai", "prometheus-client", "redis", "uvicorn"}

WORKER = """
import sys
before = set(sys.modules)
from gateway.client import MidstreamSync
imported = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
with MidstreamSync(sys.argv[1], key=sys.argv[2]) as client:
    with client.run(sys.argv[3], key="job", text="Hello") as run:
        run.text("from a clean environment")
import json
print(json.dumps({"outcome": run.outcome, "imported": imported, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the source, with the demo built."""
    return copy_source(tmp_path_factory.mktemp("source") / "midstream")


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution, unpacked."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build(source, "sdist", folder / "packed")) as packed:
        packed.extractall(folder, filter="data")
    (unpacked,) = folder.glob("midstream-*")
    return unpacked


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source."""
    return build(source, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def contents(wheel: Path) -> dict[str, bytes]:
    """Its files."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def clean_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python, with `midstream[client]` and nothing else."""
    distributions = closure(requirements_of(wheel), "client")
    return install(wheel, distributions, tmp_path_factory.mktemp("clean"))


def run_in(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python that sees its own environment alone."""
    return subprocess.run(  # noqa: S603
        [python, "-I", *arguments], capture_output=True, text=True, timeout=50, check=False
    )


def test_the_wheel_holds_every_file_of_the_packages(contents: dict[str, bytes]) -> None:
    """Lua scripts and type markers are found where they are not Python, too."""
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in ("gateway", "protocol")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in contents if ".dist-info/" not in name} == expected


def test_the_wheel_holds_the_demo_and_the_npm_package(contents: dict[str, bytes]) -> None:
    """`midstream serve --demo` shows it, and `npm install` finds what fits, without a checkout."""
    assert b"<title>Midstream" in contents["gateway/demo/index.html"]
    assert any(name.startswith("gateway/demo/assets/") for name in contents)
    with tarfile.open(fileobj=io.BytesIO(contents["gateway/npm/midstream-chat.tgz"])) as packed:
        assert "package/dist/index.js" in packed.getnames()


def test_the_source_distribution_makes_the_same_wheel(
    sdist: Path, contents: dict[str, bytes], tmp_path: Path
) -> None:
    """It holds what is built, and so needs no Node."""
    assert not (sdist / "demo-ui").exists()
    with zipfile.ZipFile(build(sdist, "wheel", tmp_path)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents


def test_the_wheel_holds_the_command_and_the_licence(contents: dict[str, bytes]) -> None:
    """Installing it puts `midstream` on PATH, and says what one may do with it."""
    metadata = {name.rpartition("/")[2]: data for name, data in contents.items()}
    assert b"midstream = gateway.__main__:main" in metadata["entry_points.txt"]
    assert b"Apache License" in metadata["LICENSE"]


def test_the_client_brings_nothing_of_the_server(wheel: Path) -> None:
    """Its extra asks for an HTTP library; without extras there is the protocol's decoder alone."""
    requirements = requirements_of(wheel)
    client = closure(requirements, "client")
    assert closure(requirements, "") == {"msgspec"}
    assert {"msgspec", "httpx2"} <= client
    assert not client & SERVER
    assert closure(requirements, "server") >= SERVER


@pytest.mark.anyio
async def test_worker_pushes_from_an_environment_with_the_client_alone(
    clean_python: Path, own_deployment: Deployment
) -> None:
    """Nothing of the server is there, nor asked for; the HTTP library is not imported first."""
    gateway = own_deployment.add_gateway(PUSH_SETTINGS, environment=PUSH_ENVIRONMENT)
    session = Session(gateway.at)
    done = await asyncio.to_thread(
        run_in, clean_python, "-W", "error", "-c", WORKER, gateway.at.url, AGENT_KEY, session.id
    )
    assert done.stderr == ""
    told = json.loads(done.stdout)
    assert told["outcome"] == "finished"
    packages = {"gateway", "protocol", "msgspec"}
    assert packages <= set(told["imported"])
    assert not {"httpx2", "anyio"} & set(told["imported"])
    ours = {name for name in told["modules"] if name.startswith("gateway.")}
    assert all(name.startswith(("gateway.client", "gateway.answer")) for name in ours)
    snapshot = await session.snapshot()
    assert text_of(snapshot["messages"][-1]) == "from a clean environment"


@pytest.mark.parametrize("arguments", [["serve"], ["--version"], ["settings"]])
def test_the_command_without_the_server_says_what_to_install(
    clean_python: Path, arguments: list[str]
) -> None:
    """A sentence, not a traceback."""
    done = run_in(clean_python, "-m", "gateway", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("midstream: unable to run the gateway;")
    assert "pip install '.[server,embedded]'" in done.stderr
