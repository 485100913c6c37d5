"""Builds the code for browsers that the gateway serves: the demo's pages and the npm package.

    python scripts/frontend.py               build them, unless they are built of the same sources
    python scripts/frontend.py --packages    only install the locked npm packages of demo-ui
    python scripts/frontend.py --check       fail if they have to be built
    python scripts/frontend.py --pack A B    pack the built package in folder A into file B

Both `scripts/bootstrap.py` and the build of the wheel (`scripts/build_backend.py`) run this. It
needs the standard library, and npm on PATH. In a source distribution, which has the results
without their sources, it does nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
WORKSPACE: Final = ROOT / "demo-ui"
DEMO: Final = ROOT / "gateway" / "demo"
"""Its pages; Vite empties the folder before it builds."""
PACKAGE: Final = ROOT / "gateway" / "npm" / "midstream-chat.tgz"
"""The npm package, packed by npm: the same sources give the same bytes, so that its integrity hash
in an application's lock stays valid."""

INSTALLED: Final = WORKSPACE / "node_modules" / ".midstream-packages"
BUILT: Final = ROOT / "build" / "frontend"
"""Stamps: the hashes of the installed and of the built inputs."""


def digest(files: list[Path]) -> str:
    """Hash files and their names."""
    found = hashlib.sha256()
    for file in sorted(files):
        content = file.read_bytes()
        found.update(f"{file.relative_to(WORKSPACE)}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def locks() -> list[Path]:
    """Return the files that decide which packages are installed, and how."""
    names = (".npmrc", "package.json", "package-lock.json")
    manifests = WORKSPACE.glob("*/package.json")
    return [*(WORKSPACE / name for name in names), *manifests]


def sources() -> list[Path]:
    """Return the source files of the pages and the package."""
    found = {*locks()}
    for part in (WORKSPACE / "transport", WORKSPACE / "app"):
        for pattern in ("*", "docs/*", "public/**/*", "scripts/*", "src/**/*"):
            found.update(path for path in part.glob(pattern) if path.is_file())
    return sorted(found)


def is_built() -> bool:
    """Whether all results exist, built from these sources."""
    if not WORKSPACE.is_dir():
        return True
    there = (DEMO / "index.html").is_file() and PACKAGE.is_file() and BUILT.is_file()
    return there and BUILT.read_text() == digest(sources())


def install() -> None:
    """Install the locked packages, unless they are installed."""
    wanted = digest(locks())
    if INSTALLED.is_file() and INSTALLED.read_text() == wanted:
        return
    print("midstream: installing demo-ui/package-lock.json", flush=True)
    npm("ci", "--no-audit", "--no-fund", "--loglevel=error")
    INSTALLED.write_text(wanted)


def build() -> None:
    """Build the pages and the package, unless they are built."""
    if is_built():
        return
    install()
    print("midstream: building the demo and the npm package", flush=True)
    BUILT.unlink(missing_ok=True)
    npm("run", "--silent", "build")
    pack(WORKSPACE / "transport", PACKAGE)
    BUILT.parent.mkdir(exist_ok=True)
    BUILT.write_text(digest(sources()))


def pack(package: Path, into: Path) -> None:
    """Pack a built package as npm does.

    The files' modes are set first: npm packs them, and they differ between checkouts.
    """
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "package"
        wanted = json.loads((package / "package.json").read_text())["files"]
        for name in ("package.json", "README.md", "LICENSE", *wanted):
            for file in [package / name, *(package / name).rglob("*")]:
                if file.is_file():
                    copy = staged / file.relative_to(package)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, copy)
                    copy.chmod(0o644)
        npm("pack", "--silent", "--pack-destination", folder, where=staged)
        (tarball,) = Path(folder).glob("*.tgz")
        into.parent.mkdir(exist_ok=True)
        shutil.move(tarball, into)


def npm(*arguments: str, where: Path = WORKSPACE) -> None:
    """Run npm in a folder.

    Raises:
        SystemExit: npm failed, or is not installed; its output stands above.
    """
    program = shutil.which("npm")
    if program is None:
        raise SystemExit("midstream: unable to build the demo; npm is not on PATH")
    done = subprocess.run([program, *arguments], cwd=where, check=False)
    if done.returncode != 0:
        shown = " ".join(arguments)
        raise SystemExit(f"midstream: unable to build the demo; `npm {shown}` failed")


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description="Build what browsers get.")
    parser.add_argument("--packages", action="store_true", help="only install what builds it")
    parser.add_argument("--check", action="store_true", help="fail if it has to be built")
    parser.add_argument("--pack", nargs=2, type=Path, metavar=("FOLDER", "FILE"), help="only pack")
    asked = parser.parse_args()
    if asked.check:
        return 0 if is_built() else 1
    if asked.pack:
        pack(*asked.pack)
    elif asked.packages:
        install()
    else:
        build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
