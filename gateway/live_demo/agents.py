"""The agents of the demo: their runs outlive the worker that a visitor kills."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.settings.agents import AgentSettings


def outliving_workers(agents: Mapping[str, AgentSettings]) -> dict[str, AgentSettings]:
    """Return agents whose runs are resumed when their worker is killed, as the demo invites to.

    The first one, the visitor's default, has responses in the background: no text of theirs is
    reset.
    """
    ordered = dict(sorted(agents.items(), key=lambda item: item[0] != "simulator-openai"))
    for name, agent in ordered.items():
        ordered[name] = structs.replace(agent, on_interruption="restart")
    if "simulator-openai" in ordered:
        ordered["simulator-openai"] = structs.replace(
            ordered["simulator-openai"], provider_options={"background": True}
        )
    return ordered
