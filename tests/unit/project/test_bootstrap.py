"""The set-up of the make targets: each step once, and again when it has to be."""

from __future__ import annotations

import os
import re
import shutil
import tomllib
from functools import partial
from typing import TYPE_CHECKING

import pytest

from scripts import bootstrap
from scripts.bootstrap import SetupError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_step_is_done_once_for_the_same_inputs(tmp_path: Path) -> None:
    """A second run of a target has nothing to do, and so needs no network."""
    done: list[str] = []
    for _ in range(2):
        bootstrap.once(tmp_path / "stamps" / "step", "a", lambda: done.append("step"))
    assert done == ["step"]


def test_a_step_is_done_again_when_its_inputs_change(tmp_path: Path) -> None:
    """A changed lock is installed by the next target that needs it."""
    done: list[str] = []
    for inputs in ("a", "b", "b", "a"):
        bootstrap.once(tmp_path / "step", inputs, partial(done.append, inputs))
    assert done == ["a", "b", "a"]


def test_a_failed_step_is_done_again(tmp_path: Path) -> None:
    """A step that broke off half-way is not taken for done, not even with its old inputs."""
    done: list[str] = []

    def fail() -> None:
        raise SetupError("no network")

    bootstrap.once(tmp_path / "step", "a", lambda: done.append("first"))
    with pytest.raises(SetupError):
        bootstrap.once(tmp_path / "step", "b", fail)
    bootstrap.once(tmp_path / "step", "a", lambda: done.append("again"))
    assert done == ["first", "again"]


def test_a_fingerprint_changes_with_a_file_and_with_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock's content counts, and so does the tree's folder: programs in .venv name it."""
    lock = tmp_path / "lock"
    lock.write_text("a==1")
    first = bootstrap.fingerprint(lock)
    assert bootstrap.fingerprint(lock) == first
    lock.write_text("a==2")
    assert bootstrap.fingerprint(lock) != first
    lock.write_text("a==1")
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    assert bootstrap.fingerprint(lock) != first


@pytest.mark.parametrize(
    ("target", "there", "installed"),
    [
        ("run", [], ["run", "demo"]),
        ("run", ["dev"], ["dev"]),
        ("test", [], ["dev"]),
        ("dev", ["run", "demo"], ["dev"]),
    ],
)
def test_what_is_there_for_developing_does_for_running(
    target: str,
    there: list[str],
    installed: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`make run` looks at its own locks only where nobody has run the tests."""
    looked_at: list[str] = []
    monkeypatch.setattr(bootstrap, "STAMPS", tmp_path)
    monkeypatch.setattr(bootstrap, "requirements", looked_at.append)
    for name in there:
        lock = bootstrap.ROOT / "requirements" / f"{name}.txt"
        (tmp_path / name).write_text(bootstrap.fingerprint(lock))
    bootstrap.python_packages(target)
    assert looked_at == installed


@pytest.mark.parametrize(
    ("system", "machine", "libc", "there"),
    [
        ("linux", "x86_64", ("glibc", "2.36"), True),
        ("linux", "x86_64", ("glibc", "2.35"), True),
        ("linux", "x86_64", ("glibc", "2.31"), False),
        ("linux", "x86_64", ("", ""), False),
        ("linux", "aarch64", ("glibc", "2.36"), False),
        ("darwin", "x86_64", ("", ""), False),
    ],
)
def test_a_server_that_is_not_built_for_the_machine_is_left_out_by_name(
    system: str,
    machine: str,
    libc: tuple[str, str],
    there: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The left out server is named, and nothing else fails for it."""
    installed: list[str] = []
    monkeypatch.setattr(bootstrap, "requirements", installed.append)
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.libc_ver", lambda: libc)
    bootstrap.servers()
    assert installed == (["servers"] if there else [])
    assert (
        "leaving out tests/integration/servers/test_llama_cpp.py" in capsys.readouterr().out
    ) is not there


def test_a_missing_browser_that_cannot_be_installed_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without root, a person reads the package to install."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(SetupError, match="install chromium"):
        bootstrap.chromium()


def test_other_engines_are_installed_where_they_can_be_and_left_out_by_name_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of WebKit what is missing alone: its driver is there, the screen is not."""
    there = {"apt-get", "WebKitWebDriver"}
    commands: list[list[str]] = []
    monkeypatch.setattr(shutil, "which", lambda name: name if name in there else None)
    monkeypatch.setattr(bootstrap, "call", commands.append)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    bootstrap.other_engines()
    assert commands == []
    assert bootstrap.engine_left_out("WebKit") == "WebKit (Debian: `sudo apt-get install xvfb`)"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    bootstrap.other_engines()
    assert commands[-1][-2:] == ["firefox-esr", "xvfb"]
    there |= {"firefox", "Xvfb"}
    bootstrap.other_engines()
    assert len(commands) == 2
    assert [bootstrap.engine_left_out(engine) for engine in bootstrap.OTHER_ENGINES] == ["", ""]


def test_a_failing_program_is_named(tmp_path: Path) -> None:
    """The last line names the program and its failure."""
    with pytest.raises(SetupError, match=r"`false` failed with exit code 1"):
        bootstrap.call(["false"], tmp_path)


def program(path: Path, code: int = 0) -> Path:
    """Make a program that ends with a code."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_another_python_is_found_where_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first on PATH may be broken; a version manager's shim stands for one beside it."""
    broken = program(tmp_path / "broken" / "python3.99", 1)
    shim = program(tmp_path / "pyenv" / "shims" / "python3.99", 127)
    plain = program(tmp_path / "bin" / "python3.99")
    monkeypatch.setenv("PATH", f"{broken.parent}:{shim.parent}:{plain.parent}")
    assert bootstrap.interpreter("3.99") == plain
    behind = program(tmp_path / "pyenv" / "versions" / "3.99.1" / "bin" / "python3.99")
    assert bootstrap.interpreter("3.99") == behind
    assert bootstrap.python_left_out("3.99") is None


def test_a_missing_python_is_left_out_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No target fails for it, and the left out checks are named."""
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = bootstrap.python_left_out("3.99")
    assert reason is not None
    assert reason.startswith("Python 3.99: ")
    with pytest.raises(SetupError, match=r"Python 3\.99"):
        bootstrap.other_python("3.99")


def test_tests_run_on_every_python_that_the_project_names() -> None:
    """A version that is added to pyproject.toml is tested in the same change."""
    project = tomllib.loads((bootstrap.ROOT / "pyproject.toml").read_text())["project"]
    named = [
        found[1]
        for item in project["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", item))
    ]
    makefile = (bootstrap.ROOT / "Makefile").read_text()
    assert f"python -m scripts.pythons {' '.join(named)}\n" in makefile
    assert max(named, key=lambda version: int(version[2:])) == bootstrap.NEWEST_PYTHON
