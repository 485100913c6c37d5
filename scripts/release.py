"""Runs all checks before a release, stage by stage: `make all`.

A stage that has passed is not run again for the same files. So after an interruption, or a repair
that touched no file of the repository, `make all` continues where it was. `make all AGAIN=1` runs
all stages again. `STAGES` lists them.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
PASSED = ROOT / "build" / "passed"


class Stage(NamedTuple):
    """One command, run in the repository."""

    name: str
    command: str


EVERYTHING: Final = "pytest $PARALLEL -m ''"
"""All tests, also those marked `release`."""

STAGES: Final = (
    Stage("lint", "make lint"),
    Stage("package", "npm test --prefix demo-ui"),
    Stage("unit", f"{EVERYTHING} tests/unit"),
    Stage("integration", f"{EVERYTHING} tests/integration"),
    Stage("faults", f"{EVERYTHING} tests/faults"),
    Stage("chaos", "python -m tests.chaos --seconds 60 --faults 10000"),
    Stage("conformance", f"{EVERYTHING} tests/conformance"),
    Stage("e2e", f"{EVERYTHING} tests/e2e"),
    Stage("coverage", "make coverage"),
)


def tree() -> str:
    """Return git's name of the whole tree of present files, committed or not.

    Without git there is no name, and every stage runs.
    """
    if not (ROOT / ".git").exists():
        return f"unnamed-{time.time_ns()}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "GIT_INDEX_FILE": str(Path(folder) / "index")}
        for command in (["git", "add", "--all"], ["git", "write-tree"]):
            done = subprocess.run(
                command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
            )
    return done.stdout.strip()


def run(stages: Sequence[Stage], passed: Path) -> int:
    """Run the stages that have not passed; stop at the first failure. Return an exit code.

    Args:
        passed: the folder with a file for each stage that has passed for these files.
    """
    passed.mkdir(parents=True, exist_ok=True)
    for number, stage in enumerate(stages, 1):
        done = passed / stage.name
        place = f"[{number}/{len(stages)}] {stage.name}"
        if done.exists():
            print(f"{place}: has passed for these files ({done.read_text()})", flush=True)
            continue
        print(f"{place}: {stage.command}", flush=True)
        begun = time.monotonic()
        code = subprocess.run(stage.command, shell=True, cwd=ROOT, check=False).returncode  # noqa: S602
        took = f"{time.monotonic() - begun:.0f} s"
        if code != 0:
            print(f"{place}: failed after {took} with exit code {code}.", flush=True)
            print("After a repair, `make all` continues with it.", flush=True)
            return 1
        done.write_text(took)
        print(f"{place}: passed in {took}", flush=True)
    return 0


def main() -> int:
    """Run all stages, or the named ones."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parallel", default="", help="options for pytest")
    parser.add_argument("--again", action="store_true", help="forget what has passed")
    parser.add_argument("names", nargs="*", help="of stages; all by default")
    asked = parser.parse_args()
    os.environ["PARALLEL"] = shlex.join(shlex.split(asked.parallel))
    stages = [stage for stage in STAGES if not asked.names or stage.name in asked.names]
    passed = PASSED / tree()
    if asked.again:
        for stage in stages:
            (passed / stage.name).unlink(missing_ok=True)
    return run(stages, passed)


if __name__ == "__main__":
    sys.exit(main())
