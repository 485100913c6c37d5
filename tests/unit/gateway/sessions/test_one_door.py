"""Steps of a session that only one module takes, as the page on the architecture says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import midstream.sessions

SESSIONS = Path(midstream.sessions.__file__).parent


@pytest.mark.parametrize(
    ("call", "module"),
    [
        (r"store\.request_stop\(", "stopping.py"),
        (r"store\.close_run\(", "runs/terminal.py"),
        (r"store\.open_run\(", "opening/open_run.py"),
        (r"store\.release\(", "runs/producer.py"),
        (r"_end\.take\(", "runs/producer.py"),
        (r"RUNS_ENDED\.", "runs/terminal.py"),
    ],
)
def test_only_one_module_does_it(call: str, module: str) -> None:
    """A second one would have rules of its own, and a reader two places to know."""
    callers = [
        path.relative_to(SESSIONS).as_posix()
        for path in SESSIONS.rglob("*.py")
        if re.search(call, path.read_text())
    ]
    assert callers == [module]
