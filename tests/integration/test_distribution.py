"""The distribution: whoever installs it gets everything that the gateway needs to run."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
from midstream.client import MidstreamSync
imported = sorted({name.partition(".")[0] for name in set(sys.modules) - before})
with MidstreamSync(sys.argv[1], key=sys.argv[2]) as client:
    with client.run(sys.argv[3], key="job", text="Hello") as run:
        run.text("from a clean environment")
import json
print(json.dumps({"outcome": run.outcome, "imported": imported, "modules": sorted(sys.modules)}))
"""


JOB = """
import gateway, protocol
print(gateway.OWNER)
print(protocol.OWNER)
import midstream
from midstream import VERSION
from midstream.client import Midstream, MidstreamSync
from midstream.protocol import chunks
print(midstream.__file__)
"""

SERVER_BESIDE = """
import gateway, protocol
import midstream.app, midstream.process.cli, midstream.process.serve, midstream.process.worker
import midstream.simulator.app
print(gateway.OWNER, protocol.OWNER)
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
        f"{name}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, name in (("gateway", "midstream"), ("protocol", "midstream/protocol"))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in contents if ".dist-info/" not in name} == expected


def test_the_wheel_holds_the_demo_and_the_npm_package(contents: dict[str, bytes]) -> None:
    """`midstream serve --demo` shows it, and `npm install` finds what fits, without a checkout."""
    assert b"<title>Midstream" in contents["midstream/demo/index.html"]
    assert any(name.startswith("midstream/demo/assets/") for name in contents)
    with tarfile.open(fileobj=io.BytesIO(contents["midstream/npm/midstream-chat.tgz"])) as packed:
        assert "package/dist/index.js" in packed.getnames()


def test_the_source_distribution_makes_the_same_wheel(
    sdist: Path, contents: dict[str, bytes], tmp_path: Path
) -> None:
    """It holds what is built, and so needs no Node."""
    assert not (sdist / "demo-ui").exists()
    with zipfile.ZipFile(build(sdist, "wheel", tmp_path)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == contents


def test_the_wheel_holds_the_command_and_the_licence(contents: dict[str, bytes]) -> None:
    """Installing it puts `midstream` on PATH, and includes the licence."""
    metadata = {name.rpartition("/")[2]: data for name, data in contents.items()}
    assert b"midstream = midstream.__main__:main" in metadata["entry_points.txt"]
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
    packages = {"midstream", "msgspec"}
    assert packages <= set(told["imported"])
    assert not {"httpx2", "anyio"} & set(told["imported"])
    ours = {".".join(name.split(".")[:2]) for name in told["modules"] if "midstream." in name}
    assert ours == {"midstream.client", "midstream.answer", "midstream.protocol"}
    snapshot = await session.snapshot()
    assert text_of(snapshot["messages"][-1]) == "from a clean environment"


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A worker's folder, with modules of its own that have our folders' names."""
    folder = tmp_path / "worker"
    for name in ("protocol.py", "gateway/__init__.py", "src/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("OWNER = 'the worker'\n")
    (folder / "job.py").write_text(JOB)
    return folder


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_worker_keeps_its_own_modules_beside_ours(
    kind: Literal["wheel", "sdist", "editable"],
    source: Path,
    sdist: Path,
    crowded: Path,
    tmp_path: Path,
) -> None:
    """We install one name, however we are installed; modules called as our folders are its own."""
    tree = sdist if kind == "sdist" else source
    built = build(tree, "editable" if kind == "editable" else "wheel", tmp_path / "built")
    python = install(built, closure(requirements_of(built), "client"), tmp_path / "environment")

    done = subprocess.run(  # noqa: S603
        [python, "-W", "error", "job.py"],
        cwd=crowded,
        env={},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.stderr, done.stdout.splitlines()[:2]) == ("", ["the worker"] * 2)
    where = Path(done.stdout.splitlines()[2]).resolve()
    assert where.is_relative_to((source if kind == "editable" else tmp_path).resolve())
    (packages,) = (tmp_path / "environment").glob("lib/python3.*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert not {"gateway", "protocol", "src", "scripts", "tests"} & names


def test_every_module_of_the_server_is_ours_beside_a_worker_s_own(crowded: Path) -> None:
    """Imported in the worker's folder, which comes first there: none takes its `protocol`."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SERVER_BESIDE],
        cwd=crowded,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("the worker the worker\n", "")


@pytest.mark.parametrize("arguments", [["serve"], ["--version"], ["settings"]])
def test_the_command_without_the_server_says_what_to_install(
    clean_python: Path, arguments: list[str]
) -> None:
    """A sentence, not a traceback."""
    done = run_in(clean_python, "-m", "midstream", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("midstream: unable to run the gateway;")
    assert "pip install '.[server,embedded]'" in done.stderr
