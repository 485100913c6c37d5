"""The row of OpenAI's Chat Completions in the registry."""

from __future__ import annotations

from typing import Final

from midstream.providers.openai.proxied import OPENAI
from midstream.providers.openai_chat.prompt import sdk_prompt
from midstream.providers.openai_chat.provider import OpenAIChatProvider
from midstream.providers.openai_chat.proxied import CHAT
from midstream.providers.row import ProviderRow
from midstream.simulator.openai_chat.wire import SimulatedChat

ROW: Final = ProviderRow(
    make=OpenAIChatProvider.configured,
    prompt=sdk_prompt,
    vendor=OPENAI,
    api=CHAT,
    simulated=SimulatedChat,
)
