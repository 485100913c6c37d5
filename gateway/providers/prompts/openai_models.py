"""What a request must know of an OpenAI model, by its name.

A name of no family that we know is another vendor's model behind a compatible address: it
gets the plain form of everything.

Source: @ai-sdk/openai 4.0.118, `openai-model-catalog.ts`.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

_O_SERIES: Final = re.compile(r"o\d+(?:-|$)")
_GPT: Final = re.compile(r"gpt-(\d+)(?:\.(\d+))?(?:-(.+))?")
_REASONING_SINCE: Final = 5
_CAN_SKIP_REASONING: Final = frozenset({"gpt-6.1-terra", "gpt-6-luna", "gpt-6-sol"})
"""Models of the sixth generation that sample as asked when they do not reason."""


class ModelTraits(Struct, frozen=True, kw_only=True):
    """How a model is talked to.

    Attributes:
        reasons: it thinks before it answers; instructions come from the `developer`.
        samples_without_reasoning: `temperature` and `top_p` are allowed at effort `none`.
        chat_tools_need_no_reasoning: Chat Completions take functions at effort `none` only.
        chat_temperature: Chat Completions take a temperature.
    """

    reasons: bool = False
    samples_without_reasoning: bool = False
    chat_tools_need_no_reasoning: bool = False
    chat_temperature: bool = True

    @property
    def system_role(self) -> str:
        """Who gives the instructions."""
        return "developer" if self.reasons else "system"


def model_traits(model: str) -> ModelTraits:
    """Return what a model's name tells."""
    if _O_SERIES.match(model):
        return ModelTraits(reasons=True)
    gpt = _GPT.fullmatch(model)
    if gpt is None:
        search = model.startswith(("gpt-4o-search-preview", "gpt-4o-mini-search-preview"))
        return ModelTraits(chat_temperature=not search)
    major, minor, variant = int(gpt[1]), int(gpt[2] or 0), gpt[3] or ""
    chats = gpt[2] is None and variant.startswith("chat")
    return ModelTraits(
        reasons=major >= _REASONING_SINCE and not chats,
        samples_without_reasoning=model in _CAN_SKIP_REASONING or (major == 5 and minor >= 1),
        chat_tools_need_no_reasoning=major == 5 and minor >= 6,
    )
