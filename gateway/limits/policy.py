"""The limits of a caller: the scopes that share them, and their quotas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.sessions.access import Caller
    from midstream.settings.limits import CallerLimitSettings
    from midstream.settings.sections import Settings

NAMES: Final = (
    "sends_per_minute",
    "open_runs",
    "open_streams",
    "stored_bytes",
    "tokens_per_day",
)

DEMO_STORED_BYTES: Final = 100_000_000
"""Default with `--demo`: thousands of conversations of one address."""

DEMO_TOKENS_PER_DAY: Final = 1_000_000
"""Default with `--demo`: a day of talking, at a bounded price even with a large model."""

SENTENCES: Final = {
    "sends_per_minute": "{count} messages a minute are the limit here",
    "open_runs": "{count} answers at the same time are the limit here",
    "open_streams": "{count} open streams are the limit here",
    "stored_bytes": "{count} of stored conversations are the limit here",
    "tokens_per_day": "{count} tokens a day are the limit here",
}
"""Limit -> the sentence for a person who has reached it."""

WHEN_UNKNOWN: Final = {
    "open_runs": "send again when one has ended",
    "open_streams": "close a few tabs, then try again",
    "stored_bytes": "delete a conversation that you do not need, then send again",
    "tokens_per_day": "send again when an answer that is being written has ended",
}
"""Limit -> the advice where no time is known."""


class Quota(Struct, frozen=True, kw_only=True):
    """The limits of one scope; 0 is unlimited."""

    sends_per_minute: int = 0
    send_burst: int = 0
    open_runs: int = 0
    open_streams: int = 0
    stored_bytes: int = 0
    tokens_per_day: int = 0

    @property
    def burst(self) -> int:
        """Sends that may arrive at once."""
        return self.send_burst or max(1, self.sends_per_minute // 2)

    @property
    def unlimited(self) -> Sequence[str]:
        """The names of the limits that are not set."""
        return [name for name in NAMES if not getattr(self, name)]


class Scope(Struct, frozen=True):
    """The callers that share a quota: `user:…`, `address:…`, `tenant:…` or `key:…`."""

    name: str
    quota: Quota


class Policy(Struct, frozen=True, kw_only=True):
    """The quotas of all callers."""

    callers: Quota = Quota()
    tenants: Quota = Quota()
    agent_keys: Quota = Quota()

    def scopes(self, caller: Caller) -> Sequence[Scope]:
        """Return the scopes that limit a caller: their own or their agent key's, and the tenant's.

        A caller without a token or key is limited by their address, whatever name they give.
        """
        if caller.agent_key:
            found = [Scope(f"key:{caller.agent_key}", self.agent_keys)]
        elif caller.address:
            found = [Scope(f"address:{caller.address}", self.callers)]
        else:
            found = [Scope(f"user:{caller.tenant}/{caller.user}", self.callers)]
        if caller.tenant:
            found.append(Scope(f"tenant:{caller.tenant}", self.tenants))
        return [scope for scope in found if len(scope.quota.unlimited) < len(NAMES)]

    @property
    def counts_bytes(self) -> bool:
        """Whether any scope limits stored bytes."""
        return any(quota.stored_bytes for quota in (self.callers, self.tenants, self.agent_keys))

    @property
    def unlimited(self) -> str:
        """Return the limits that are not set, as fields of a log line; empty if all are set."""
        said = {
            "callers": self.callers.unlimited,
            "tenants": self.tenants.unlimited,
            "agent_keys": self.agent_keys.unlimited,
        }
        return " ".join(
            f"{who}={'all' if len(names) == len(NAMES) else ','.join(names)}"
            for who, names in said.items()
            if names
        )


def policy_of(settings: Settings) -> Policy:
    """Return the quotas of the settings."""
    demo = settings.server.demo
    return Policy(
        callers=_quota(
            settings.limits,
            stored_bytes=DEMO_STORED_BYTES if demo else 0,
            tokens_per_day=DEMO_TOKENS_PER_DAY if demo else 0,
        ),
        tenants=_quota(settings.tenant_limits),
        agent_keys=_quota(settings.agent_key_limits),
    )


def _quota(
    settings: CallerLimitSettings, *, stored_bytes: int = 0, tokens_per_day: int = 0
) -> Quota:
    """Return the quota of a section; the arguments are defaults for settings that are absent."""
    stored, tokens = settings.stored_bytes, settings.tokens_per_day
    return Quota(
        sends_per_minute=settings.sends_per_minute,
        send_burst=settings.send_burst,
        open_runs=settings.open_runs,
        open_streams=settings.open_streams,
        stored_bytes=stored_bytes if stored is None else stored,
        tokens_per_day=tokens_per_day if tokens is None else tokens,
    )


def said(limit: str, quota: Quota, reset_ms: int) -> str:
    """Return the sentence of a limit that is reached.

    Args:
        reset_ms: time until there is room again; 0 if unknown.
    """
    count = getattr(quota, limit)
    amount = _bytes(count) if limit == "stored_bytes" else f"{count:,}"
    untimed = WHEN_UNKNOWN.get(limit, "")
    # Deleting gives bytes back sooner than any wait.
    when = untimed if untimed and (limit == "stored_bytes" or not reset_ms) else _in(reset_ms)
    return f"unable to take this now; {SENTENCES[limit].format(count=amount)}: {when}"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count} bytes"


def _in(wait_ms: int) -> str:
    """Say when to try again, in the largest unit of which there are at least two."""
    seconds = max(1, -(-wait_ms // 1000))
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"try again in {-(-seconds // length)} {unit}"
    return f"try again in {seconds} {'second' if seconds == 1 else 'seconds'}"
