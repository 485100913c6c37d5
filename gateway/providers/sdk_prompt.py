"""A conversation as the arguments of a provider's SDK, for agents that call it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from midstream.providers.base import StepRequest
from midstream.providers.registry import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.protocol.messages import UIMessage


def provider_prompt(
    provider: str, history: Sequence[UIMessage], *, system: str | None, model: str
) -> dict[str, Any]:
    """Return `messages` (and `system`), or `input`; plain lists and dicts.

    With Anthropic, `extra_headers` name the betas that the history needs.

    Args:
        provider: whose API: a kind of provider, as in settings.
        history: oldest first.
        system: the system prompt, or None.
        model: the one that is to answer; empty for a recent one.

    Raises:
        ValueError: another provider.
    """
    row = ROWS.get(provider)
    if row is None or row.prompt is None:
        known = ", ".join(name for name, row in ROWS.items() if row.prompt is not None)
        raise ValueError(f"unable to prompt {provider!r}; name one of {known}")
    return row.prompt(StepRequest(model=model, messages=history, system=system, new_id=_no_id))


def _no_id() -> NoReturn:
    raise AssertionError("a prompt has no ids to make")
