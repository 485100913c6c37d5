"""Traits of an OpenAI model that a request needs, by its name.

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


_LEVELS: Final = ("minimal", "low", "medium", "high", "xhigh", "max")
_KNOWN_VARIANT: Final = re.compile(
    r"((mini|nano|sol|luna|terra)(-\d{4}-\d\d-\d\d)?|\d{4}-\d\d-\d\d)?"
)
_EFFORTS_OF_GPT_5: Final = (
    ("minimal", "low", "medium", "high"),
    ("none", "low", "medium", "high"),
    *(("none", "low", "medium", "high", "xhigh"),) * 4,
    ("none", *_LEVELS[1:]),
)
"""By the minor version; the last is that of all later ones."""


class GptTraits(Struct, frozen=True, kw_only=True):
    """Traits of a model.

    Attributes:
        reasons: it thinks before it answers; instructions come from the `developer`.
        samples_without_reasoning: `temperature` and `top_p` are allowed at effort `none`.
        chat_tools_need_no_reasoning: Chat Completions take functions at effort `none` only.
        chat_temperature: Chat Completions take a temperature.
        efforts: how much it can be asked to reason; empty if that is not known.
    """

    reasons: bool = False
    samples_without_reasoning: bool = False
    chat_tools_need_no_reasoning: bool = False
    chat_temperature: bool = True
    efforts: tuple[str, ...] = ()

    @property
    def system_role(self) -> str:
        """Role of the instructions."""
        return "developer" if self.reasons else "system"

    def effort(self, level: object, *, but: str | None = None) -> object:
        """Return the effort that comes nearest to a level: rather less than more.

        `None` leaves it to the model, as does the level `provider-default`. `but` is an effort
        that is not to be had.
        """
        if level is None or level == "provider-default":
            return None
        efforts = [effort for effort in self.efforts if effort != but]
        if not efforts or level in efforts:
            return level
        at = _LEVELS.index(level) if level in _LEVELS else 0
        nearest = (*reversed(_LEVELS[:at]), *_LEVELS[at:])
        return next(effort for effort in nearest if effort in efforts)


def model_traits(model: str) -> GptTraits:
    """Return a model's traits, by its name."""
    if _O_SERIES.match(model):
        return GptTraits(reasons=True)
    gpt = _GPT.fullmatch(model)
    if gpt is None:
        search = model.startswith(("gpt-4o-search-preview", "gpt-4o-mini-search-preview"))
        return GptTraits(chat_temperature=not search)
    major, minor, variant = int(gpt[1]), int(gpt[2] or 0), gpt[3] or ""
    chats = gpt[2] is None and variant.startswith("chat")
    return GptTraits(
        reasons=major >= _REASONING_SINCE and not chats,
        samples_without_reasoning=model in _CAN_SKIP_REASONING or (major == 5 and minor >= 1),
        chat_tools_need_no_reasoning=major == 5 and minor >= 6,
        efforts=_efforts(model, major, minor, variant),
    )


def _efforts(model: str, major: int, minor: int, variant: str) -> tuple[str, ...]:
    if major > _REASONING_SINCE:
        return ("none", *_LEVELS[1:]) if model in _CAN_SKIP_REASONING else _LEVELS[1:]
    if major < _REASONING_SINCE or not _KNOWN_VARIANT.fullmatch(variant):
        return ()
    return _EFFORTS_OF_GPT_5[min(minor, len(_EFFORTS_OF_GPT_5) - 1)]
