"""Runs the unit tests, and those of the demo's agents, on other versions of Python.

    python -m scripts.pythons [VERSION ...]

The default is the newest supported version. The version of this script is skipped, because the
whole suite runs on it. A version that is not installed is left out, with a message.
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
    # The cache of the last run's results belongs to one Python.
    pytest: list[str | Path] = [python, "-m", "pytest", "-p", "no:cacheprovider", "--quiet"]
    # Its own programs first: tests start some by name.
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path}
    command = [*pytest, *PARALLEL, *TESTS]
    return subprocess.run(command, cwd=bootstrap.ROOT, env=environment, check=False).returncode == 0


def main() -> int:
    """Run on each version that was named and is installed."""
    versions = sys.argv[1:] or [bootstrap.NEWEST_PYTHON]
    reasons = {version: bootstrap.python_left_out(version) for version in versions}
    passed = [run_on(version) for version, reason in reasons.items() if reason is None]
    for reason in filter(None, reasons.values()):
        bootstrap.say(f"left out: the tests on {reason}")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
