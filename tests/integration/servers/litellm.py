"""LiteLLM between the gateway and llama.cpp's server: run by hand, outside CI.

    pip install 'litellm[proxy]'    # into an environment of its own: it brings a hundred packages
    python -m tests.integration.servers.litellm /path/to/litellm

Says for each API what was thought, called and said, in a first turn and in a later one. The last
line of a turn is `As I thought before.` if the thinking came back to the model.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.integration.servers.conftest import settings_for
from tests.support.gateway import GatewayProcess
from tests.support.llama_server import LlamaServer
from tests.support.processes import ChildProcess, free_port, wait_until
from tests.support.sessions import Session, text_of

AGENTS: Final = [
    f"{api}{tools}" for api in ("chat", "responses", "messages") for tools in ("", "-tools")
]

_ENVIRONMENT: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    # It starts without a key, which it is not asked for here.
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
}
_START_LIMIT_S: Final = 120.0


class LiteLlm:
    """One proxy, ready when made. `url`: as of `LlamaServer`."""

    def __init__(self, program: str, behind: str, folder: Path) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        config = folder / "litellm.yaml"
        model = {"model": "openai/scripted", "api_base": f"{behind}/v1", "api_key": "any"}
        served = {"model_list": [{"model_name": "scripted", "litellm_params": model}]}
        config.write_text(json.dumps(served))
        command = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
        self.process = ChildProcess("litellm", command, folder / "log", _ENVIRONMENT)
        wait_until(self._is_ready, "LiteLLM answers", _START_LIMIT_S)

    def _is_ready(self) -> bool:
        assert self.process.exit_code is None, self.process.output()[-4000:]
        try:
            with urllib.request.urlopen(f"{self.url}/health/liveliness", timeout=2):  # noqa: S310
                return True
        except OSError:
            return False


async def turns(session: Session, agent: str) -> None:
    """Say twice something, and print what came of it."""
    for text in ("How much is it?", "Sure?"):
        seen = await session.send(text, extra={"agent": agent})
        parts = (await session.snapshot())["messages"][-1]["parts"]
        thought = [part["text"].strip() for part in parts if part["type"] == "reasoning"]
        outputs = [part.get("output") for part in parts if part["type"] == "tool-add"]
        said = text_of({"parts": parts})
        error = [chunk["errorText"] for chunk in seen.chunks if chunk["type"] == "error"]
        sys.stdout.write(f"{agent:16} thought {thought} called {outputs} said {said!r} {error}\n")


def main() -> None:
    """Start all three, and talk."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in ("llama", "litellm"):
            (folder / name).mkdir()
        server = LlamaServer(folder / "llama")
        stack.callback(server.end)
        proxy = LiteLlm(sys.argv[1], server.url, folder / "litellm")
        stack.callback(proxy.process.end)
        gateway = GatewayProcess(folder / "gateway", None, server.url, settings_for(proxy.url))
        stack.callback(gateway.end)
        for agent in AGENTS:
            asyncio.run(turns(Session(gateway.at), agent))


if __name__ == "__main__":
    main()
