"""The real llama.cpp server, with a model that repeats scripts."""

from __future__ import annotations

import platform
import sys
import urllib.request
from pathlib import Path
from typing import Final

from scripts.bootstrap import has_llama_server
from tests.support.processes import ChildProcess, free_port
from tests.support.scripted_model import END, START, opener, write_scripted_model

PROGRAM: Final = Path(sys.executable).with_name("llama-server-vulkan")
"""The program of its wheel; without a graphics card it computes on the CPU."""

LEFT_OUT: Final = (
    ""
    if has_llama_server()
    else f"there is no llama-server in a wheel for {platform.platform()}: left out"
)
"""The reason why its tests are left out here; empty if they are not."""

SCRIPTS: Final = {
    "greet": "<think>\nThe person greets me.\n</think>\n\nGood morning.",
    "call": (
        "<think>\nThis wants adding.\n</think>\n\nOne moment.\n"
        '<tool_call>\n{"name": "add", "arguments": {"one": 20, "two": 22}}\n</tool_call>'
    ),
    "report": "<think>\nThe tool has answered.\n</think>\n\nIt is forty-two.",
    "recall": "<think>\nI still know my thoughts.\n</think>\n\nAs I thought before.",
    "forget": "What did I think?",
}
"""The model's answers: to a first message, with tools, with a result, later. The last one answers
a request that does not bring the model's thinking back."""

_TEMPLATE: Final = """
{%- if tools %}
{{- 'STARTsystem\\n# Tools\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{% endfor %}
{{- '\\n</tools>\\nTo call one, write <tool_call>\\n{"name": NAME, "arguments": ARGUMENTS}\\n' }}
{{- '</tool_call>END\\n' }}
{%- endif %}
{%- set seen = namespace(answer=false, thought=false) %}
{%- for message in messages %}
{%- if message.role == 'assistant' %}
{%- set seen.answer = true %}
{{- 'STARTassistant\\n' }}
{%- set seen.thought = message.reasoning_content is defined and message.reasoning_content %}
{%- if seen.thought %}
{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}
{%- endif %}
{%- if message.content %}{{- message.content }}{% endif %}
{%- for call in message.tool_calls or [] %}
{{- '\\n<tool_call>\\n{"name": "' + call.function.name + '", "arguments": ' }}
{{- call.function.arguments | tojson }}{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- 'END\\n' }}
{%- elif message.role == 'tool' %}
{{- 'STARTuser\\n<tool_response>\\n' + message.content + '\\n</tool_response>END\\n' }}
{%- else %}
{{- 'START' + message.role + '\\n' + message.content + 'END\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- 'STARTassistant\\n' }}
{%- if seen.answer and not seen.thought %}{{- 'FORGET' }}
{%- elif messages[-1].role == 'tool' %}{{- 'REPORT' }}
{%- elif seen.answer %}{{- 'RECALL' }}
{%- elif tools %}{{- 'CALL' }}
{%- else %}{{- 'GREET' }}
{%- endif %}
{%- endif %}
"""
"""Has the shape of Qwen's, so that the server recognizes thinking and calls in answers."""


def _template() -> str:
    text = _TEMPLATE
    for name in SCRIPTS:
        text = text.replace(f"'{name.upper()}'", f"'{opener(name)}'")
    return text.replace("START", START).replace("END", END)


class LlamaServer:
    """One server, ready when constructed.

    Attributes:
        url: its address, without the `/v1` of OpenAI's APIs.
    """

    def __init__(self, folder: Path) -> None:
        model = folder / "scripted.gguf"
        write_scripted_model(model, SCRIPTS, _template())
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [
            *(str(PROGRAM), "--model", str(model)),
            *("--host", "127.0.0.1", "--port", str(port), "--jinja", "--reasoning-preserve"),
            *("--threads", "1", "--parallel", "2", "--n-gpu-layers", "0", "--no-warmup"),
        ]
        self._process = ChildProcess("llama-server", command, folder / "log")
        self._process.wait_ready(self._is_ready)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except OSError:
            return False

    def end(self) -> None:
        """End it."""
        self._process.end()
