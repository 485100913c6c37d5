"""Model providers, simulated: three real APIs over HTTP, without a key or a network.

An ASGI application that answers as Anthropic's Messages API (`/anthropic/v1/messages`),
OpenAI's Responses API (`/openai/v1/responses`) and OpenAI's Chat Completions
(`/openai/v1/chat/completions`) do, byte for byte enough for their own SDKs. What it
answers follows from the model's name and from directives in the prompt such as
`[[tokens=500 rate=50]]`: the grammar is in `directives`, the table in docs/simulator.md.

The path of a request: its API's folder reads it, `turn` plans the answer, the API makes events
of that, `player` sends them at their pace, and `journal` remembers.
"""

from __future__ import annotations

from midstream.simulator.app import Simulator, create_simulator
from midstream.simulator.directives import MODELS
from midstream.simulator.journal import Journal, RequestRecord
from midstream.simulator.player import Clock, SystemClock

__all__ = [
    "MODELS",
    "Clock",
    "Journal",
    "RequestRecord",
    "Simulator",
    "SystemClock",
    "create_simulator",
]
