"""Programs and packages that read the deployment's files; `scripts/bootstrap.py all` has them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any, Final

from tests.support.processes import REPOSITORY

FOLDER: Final = REPOSITORY / ".venv" / "deploy"
CADDY: Final = FOLDER / "bin" / "caddy"
HADOLINT: Final = FOLDER / "bin" / "hadolint"


def ask(program: str, *arguments: str, given: object = None) -> Any:
    """Run a Python program that prints JSON, with the tools' packages importable.

    In a process of its own, because they bring other versions of packages that tests use.

    Args:
        given: what it reads as JSON from its input.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program, *arguments],
        input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": str(FOLDER)},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
