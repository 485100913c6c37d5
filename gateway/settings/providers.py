"""`[providers.NAME]`: model providers."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from midstream.settings.fields import Seconds, Section, Text


class ProviderSettings(Section, frozen=True, kw_only=True):
    """A model provider, `[providers.NAME]`; `anthropic`, `openai` and `openai-chat` exist."""

    kind: Annotated[
        str,
        Meta(
            description="The API it speaks: `anthropic` (Messages), `openai` (Responses), "
            "`openai-chat` (Chat Completions), or the latter two at Azure OpenAI, `azure` and "
            "`azure-chat`. Empty: its name says so."
        ),
    ] = ""
    base_url: Annotated[str, Meta(description="Where its API is. Empty: where its SDK looks.")] = ""
    api_key_env: Annotated[
        str, Meta(description="Environment variable with its key. Empty: the usual one.")
    ] = ""
    compatible: Annotated[
        bool | None,
        Meta(
            description="Whether it is another server than the vendor's own, which speaks the "
            "same API. Unset: `base_url` says so. See docs/providers.md."
        ),
    ] = None
    thinking_field: Annotated[
        Literal["", "reasoning_content", "reasoning", "content", "none"],
        Meta(
            description="Where a compatible `openai-chat` server wants the model's earlier "
            "thinking. Empty: where it has it itself."
        ),
    ] = ""
    resource: Annotated[
        str,
        Meta(
            pattern=r"\A[A-Za-z0-9-]*\Z",
            description="With `azure`: name of the resource, instead of a `base_url`. Also "
            "AZURE_RESOURCE_NAME.",
        ),
    ] = ""
    api_version: Annotated[
        Text, Meta(description="With `azure`: the `api-version` of requests.")
    ] = "v1"
    deployment_urls: Annotated[
        bool,
        Meta(
            description="With `azure`: use addresses with the deployment in them, as older API "
            "versions want."
        ),
    ] = False
    connect_timeout_s: Annotated[Seconds, Meta(description="For one connection.")] = 10.0
    first_byte_timeout_s: Annotated[
        Seconds, Meta(description="For the answer to begin, retries included.")
    ] = 120.0
    between_bytes_timeout_s: Annotated[
        Seconds, Meta(description="For silence within an answer. Models may think for minutes.")
    ] = 300.0
    max_retries: Annotated[
        int, Meta(ge=0, le=10, description="Retries before the answer begins.")
    ] = 2
    proxy_key: Annotated[
        Literal["caller", "gateway"],
        Meta(
            description="Whose key `/proxy/NAME` calls with: `caller`, the one that the request "
            "has; `gateway`, the one above, and the request has an agent key instead."
        ),
    ] = "caller"
