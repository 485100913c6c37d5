"""A program that prints its environment as JSON, and exits with the given code.

With `--wait` it does not end.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys

_PR_GET_PDEATHSIG = 2


def report() -> dict[str, object]:
    """Return the facts that the starter of a process decides."""
    dies_with_parent = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_PDEATHSIG, ctypes.byref(dies_with_parent))
    listed = set(os.listdir("/proc/self/fd"))
    return {
        "arguments": sys.argv[1:],
        "program": os.path.relpath(sys.argv[0]),
        "module": __name__,
        "path": sys.path,
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "leads its session": os.getsid(0) == os.getpid(),
        "dies with its parent by": dies_with_parent.value,
        "stdin": os.readlink("/proc/self/fd/0"),
        "descriptors": sorted(fd for fd in listed if os.path.lexists(f"/proc/self/fd/{fd}")),
        "blocked signals": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGPIPE)],
        "optimised": sys.flags.optimize,
        "warnings": sys.warnoptions,
    }


if __name__ == "__main__":
    print(json.dumps(report()), flush=True)  # noqa: T201
    if "--wait" in sys.argv:
        signal.pause()
    print("last words", file=sys.stderr)  # noqa: T201
    sys.exit(int(sys.argv[1]))
