"""`python -m midstream`, and the command `midstream`."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Final

EXIT_INCOMPLETE: Final = 1

SERVER_MODULES: Final = ("anthropic", "click", "jwt", "litestar", "openai", "redis", "uvicorn")
"""Packages that only the extra `server` brings. The client is installed without."""


def main() -> None:
    """Run the command, if what it needs is installed."""
    if any(find_spec(name) is None for name in SERVER_MODULES):
        sys.stderr.write(
            "midstream: unable to run the gateway; only its client is installed. Install the rest, "
            "the extras `server` and `embedded`, from where you have this: in a checkout, "
            "pip install '.[server,embedded]'\n"
        )
        sys.exit(EXIT_INCOMPLETE)

    from midstream.process.cli import main as command

    command()


if __name__ == "__main__":
    main()
