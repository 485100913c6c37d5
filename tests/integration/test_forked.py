"""A forked process is what `python -m` starts: tests may rely on it."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.forked import CAN_FORK
from tests.support.processes import ChildProcess, is_alive, wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="everything is started anew here")

PROGRAM = [sys.executable, "-m", "tests.support.self_report"]


def report_of(process: ChildProcess) -> dict[str, Any]:
    wait_until(lambda: "\n" in process.output(), "it reports", 60)
    found: dict[str, Any] = json.loads(process.output().splitlines()[0])
    return found


def test_forked_process_finds_what_a_started_one_finds(tmp_path: Path) -> None:
    """Arguments, folder, environment, import path, session, descriptors, signals, exit code."""
    environment = {"PYTHONPATH": str(tmp_path), "SAID": "ä"}
    found = []
    for forked in (False, True):
        log = tmp_path / f"log-{forked}"
        command = [*PROGRAM, "7", "two words"]
        process = ChildProcess("report", command, log, environment, forked=forked)
        assert process.wait_exit(60) == 7
        assert process.output().endswith("last words\n")
        found.append(report_of(process))
    started, forked_one = found
    assert started["environment"]["SAID"] == "ä"
    assert started["dies with its parent by"] == signal.SIGKILL
    assert forked_one == started


def test_forked_process_that_is_killed_says_so(tmp_path: Path) -> None:
    """As -9, for `wait` and for `poll`."""
    process = ChildProcess("report", [*PROGRAM, "--wait"], tmp_path / "log", forked=True)
    report_of(process)
    assert process.exit_code is None
    process.send_signal(signal.SIGKILL)
    assert process.wait_exit() == process.exit_code == -signal.SIGKILL
    assert not is_alive(process.pid)
