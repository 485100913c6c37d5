"""`[limits]`, `[tenant_limits]`, `[agent_key_limits]`: what one caller may take of the gateway."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from msgspec import Meta

from midstream.settings.fields import Section

Limit: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000_000)]


Amount: TypeAlias = Annotated[int, Meta(ge=0, le=1_000_000_000_000_000)]


class CallerLimitSettings(Section, frozen=True, kw_only=True):
    """Limits of one caller over all gateways: a user, or an address without tokens."""

    sends_per_minute: Annotated[
        Limit,
        Meta(
            description="Sends a minute, claims of runs and proxied calls of a session included. "
            "A repeated send is not counted again. 0, here and below: unlimited."
        ),
    ] = 120
    send_burst: Annotated[
        Limit,
        Meta(
            description="Sends that may come at once, before the minute's pace holds. 0: half of "
            "a minute's."
        ),
    ] = 60
    open_runs: Annotated[Limit, Meta(description="Answers that are written at the same time.")] = 32
    open_streams: Annotated[
        Limit,
        Meta(description="Streams open at the same time: responses, feeds and WebSockets."),
    ] = 256
    stored_bytes: Annotated[
        Amount | None,
        Meta(
            description="Bytes of the sessions that they have begun, as Redis measures them; "
            "deleting gives them back. Unlimited, with `--demo` 100,000,000."
        ),
    ] = None
    tokens_per_day: Annotated[
        Amount | None,
        Meta(
            description="Tokens that their answers use in a day of UTC, input and output. "
            "Unlimited, with `--demo` 1,000,000."
        ),
    ] = None


class LimitSettings(CallerLimitSettings, frozen=True, kw_only=True):
    """Limits of one caller over all gateways: a user, or an address without tokens."""

    strict: Annotated[
        bool,
        Meta(
            description="Refuse with 503 while Redis cannot be asked. Otherwise each gateway "
            "allows its share of the limits by itself."
        ),
    ] = False
    redis_wait_ms: Annotated[
        int,
        Meta(
            ge=1,
            le=5_000,
            description="Time that Redis has to answer a question about limits. Set it above "
            "twice the round trip to a Redis that is far away.",
        ),
    ] = 50


class TenantLimitSettings(CallerLimitSettings, frozen=True, kw_only=True):
    """Limits of all people and agents of one tenant together."""

    sends_per_minute: Annotated[Limit, Meta(description="As in `[limits]`.")] = 0
    send_burst: Annotated[Limit, Meta(description="As in `[limits]`.")] = 0
    open_runs: Annotated[Limit, Meta(description="As in `[limits]`.")] = 0
    open_streams: Annotated[Limit, Meta(description="As in `[limits]`.")] = 0
    stored_bytes: Annotated[Amount | None, Meta(description="As in `[limits]`.")] = 0
    tokens_per_day: Annotated[Amount | None, Meta(description="As in `[limits]`.")] = 0


class AgentKeyLimitSettings(TenantLimitSettings, frozen=True, kw_only=True):
    """Limits of all requests with one agent key together."""
