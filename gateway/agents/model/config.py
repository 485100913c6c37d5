"""Configuration of a model agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from midstream.errors import AgentNotFoundError


class ModelAgentConfig(Struct, frozen=True, kw_only=True):
    """A model, its instructions, and how its runs behave.

    Attributes:
        model: answers unless the client asks for one of `models`.
        parameters, provider_options: see `StepRequest`.
        message_metadata: whether the message tells its model, its tokens and its duration.
        name_speakers: whether the model reads who says what: `NAME: …`.
        max_steps: calls of the model in one run.
        restarts: a step that its process's death interrupted is repeated.
    """

    name: str
    model: str
    models: Sequence[str] = ()
    system: str | None = None
    tool_choice: str | None = None
    parameters: Mapping[str, object] = {}
    provider_options: Mapping[str, object] = {}
    send_reasoning: bool = True
    send_sources: bool = False
    message_metadata: bool = True
    name_speakers: bool = False
    max_steps: int = 20
    restarts: bool = False

    def chosen_model(self, wanted: str | None) -> str:
        """Return the model that a request asks for, or the agent's own.

        Raises:
            AgentNotFoundError: the agent does not have it.
        """
        if wanted is None or wanted == self.model or wanted in self.models:
            return wanted or self.model
        raise AgentNotFoundError(
            f"unable to use this model with the agent {self.name}; leave `model` out of the "
            "request, or name one that is configured"
        )
