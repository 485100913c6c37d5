"""Runs the unit tests, and those of the demo's agents, on other versions of Python.

    python -m scripts.pythons [VERSION ...]

Without a version, on the newest that is supported. The one that this script runs on is passed
over: the whole suite runs on it. A version that is not there is left out, and said so.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from scripts import bootstrap

if TYPE_CHECKING:
    from pathlib import Path

TESTS = ("tests/unit", "tests/integration/agents/test_demo_agents.py")
PARALLEL = ("--numprocesses=auto", "--maxprocesses=4", "--dist=worksteal")


def run_on(version: str) -> bool:
    """Run the tests on one version; return whether they passed."""
    python = bootstrap.other_python(version)
    if python == bootstrap.PYTHON:
        return True
    bootstrap.say(f"running the unit tests and those of the demo's agents on Python {version}")
    # Results of the last run are kept for one Python alone.
    pytest: list[str | Path] = [python, "-m", "pytest", "-p", "no:cacheprovider", "--quiet"]
    # Its own programs first: tests start some by name.
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path}
    command = [*pytest, *PARALLEL, *TESTS]
    return subprocess.run(command, cwd=bootstrap.ROOT, env=environment, check=False).returncode == 0


def main() -> int:
    """Run on each version that was named and is there."""
    versions = sys.argv[1:] or [bootstrap.NEWEST_PYTHON]
    reasons = {version: bootstrap.python_left_out(version) for version in versions}
    passed = [run_on(version) for version, reason in reasons.items() if reason is None]
    for reason in filter(None, reasons.values()):
        bootstrap.say(f"left out: the tests on {reason}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
