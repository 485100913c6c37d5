"""The row of OpenAI's Responses in the registry."""

from __future__ import annotations

from typing import Final

from midstream.providers.openai.proxied import OPENAI
from midstream.providers.openai_responses.prompt.request import sdk_prompt
from midstream.providers.openai_responses.provider import OpenAIResponsesProvider
from midstream.providers.openai_responses.proxied import RESPONSES
from midstream.providers.row import ProviderRow
from midstream.simulator.openai_responses.wire import SimulatedResponses

ROW: Final = ProviderRow(
    make=OpenAIResponsesProvider.configured,
    prompt=sdk_prompt,
    vendor=OPENAI,
    api=RESPONSES,
    simulated=SimulatedResponses,
)
