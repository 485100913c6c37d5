"""A conversation as the arguments of a provider's SDK, for agents that call it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeAlias, get_args

import msgspec

from midstream.providers.anthropic.prompt.request import build_request
from midstream.providers.base import StepRequest
from midstream.providers.openai_chat.prompt import chat_request
from midstream.providers.openai_responses.prompt.request import responses_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.messages import UIMessage

ProviderPrompt: TypeAlias = Literal["anthropic", "openai", "openai-chat"]

_FIELDS: Final = ("system", "messages", "input")


def provider_prompt(
    provider: ProviderPrompt, history: Sequence[UIMessage], *, system: str | None, model: str
) -> dict[str, Any]:
    """Return `messages` (and `system`), or `input`; plain lists and dicts.

    With Anthropic, `extra_headers` name the betas that the history needs.

    Args:
        provider: whose API.
        history: oldest first.
        system: the system prompt, or None.
        model: the one that is to answer; empty for a recent one.

    Raises:
        ValueError: another provider.
    """
    request = StepRequest(model=model, messages=history, system=system, new_id=_no_id)
    body: dict[str, Any]
    match provider:
        case "anthropic":
            built = build_request(request)
            body = dict(built.body)
            prompt: dict[str, Any] = {field: body[field] for field in _FIELDS if field in body}
            if built.betas:
                prompt["extra_headers"] = {"anthropic-beta": ",".join(built.betas)}
            return prompt
        case "openai":
            body = msgspec.json.decode(responses_request(request))
        case "openai-chat":
            body = msgspec.json.decode(chat_request(request))
        case _:
            raise ValueError(
                f"unable to prompt {provider!r}; name one of {', '.join(get_args(ProviderPrompt))}"
            )
    return {field: body[field] for field in _FIELDS if field in body}


def _no_id() -> NoReturn:
    raise AssertionError("a prompt has no ids to make")
