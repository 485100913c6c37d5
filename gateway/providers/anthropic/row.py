"""Anthropic's row in the registry."""

from __future__ import annotations

from typing import Final

from midstream.providers.anthropic.prompt.request import sdk_prompt
from midstream.providers.anthropic.provider import AnthropicProvider
from midstream.providers.anthropic.proxied import ANTHROPIC, MESSAGES
from midstream.providers.row import ProviderRow
from midstream.simulator.anthropic.wire import SimulatedMessages

ROW: Final = ProviderRow(
    make=AnthropicProvider.configured,
    prompt=sdk_prompt,
    vendor=ANTHROPIC,
    api=MESSAGES,
    simulated=SimulatedMessages,
)
