"""Which limits a caller has: whose they share, and how much that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from midstream.sessions.access import Caller
    from midstream.settings.limits import CallerLimitSettings, TenantLimitSettings
    from midstream.settings.sections import Settings

NAMES: Final = ("sends_per_minute", "open_runs", "open_streams")

SENTENCES: Final = {
    "sends_per_minute": "{count} messages a minute are the limit here",
    "open_runs": "{count} answers at the same time are the limit here",
    "open_streams": "{count} open streams are the limit here",
}
"""What a person reads of a limit that is reached."""

WHEN_UNKNOWN: Final = {
    "open_runs": "send again when one has ended",
    "open_streams": "close a few tabs, then try again",
}
"""What to do where no time can be said."""


class Quota(Struct, frozen=True, kw_only=True):
    """How much somebody may take; 0 is unlimited."""

    sends_per_minute: int = 0
    send_burst: int = 0
    open_runs: int = 0
    open_streams: int = 0

    @property
    def burst(self) -> int:
        """How many sends may come at once."""
        return self.send_burst or max(1, self.sends_per_minute // 2)

    @property
    def unlimited(self) -> Sequence[str]:
        """The names of what is not limited."""
        return [name for name in NAMES if not getattr(self, name)]


class Scope(Struct, frozen=True):
    """Who shares a quota: `user:…`, `address:…`, `tenant:…` or `key:…`."""

    name: str
    quota: Quota


class Policy(Struct, frozen=True, kw_only=True):
    """The quotas of all callers."""

    callers: Quota = Quota()
    tenants: Quota = Quota()
    agent_keys: Quota = Quota()

    def scopes(self, caller: Caller) -> Sequence[Scope]:
        """Return what limits a caller: themselves, or their agent key, and their tenant.

        Whoever showed nothing is told apart by their address, whatever name they gave.
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
    def unlimited(self) -> str:
        """Return what is not limited, as fields of a log line; empty if everything is."""
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
    """Return the quotas that the settings name."""
    return Policy(
        callers=_quota(settings.limits),
        tenants=_quota(settings.tenant_limits),
        agent_keys=_quota(settings.agent_key_limits),
    )


def _quota(settings: CallerLimitSettings | TenantLimitSettings) -> Quota:
    return Quota(
        sends_per_minute=settings.sends_per_minute,
        send_burst=settings.send_burst,
        open_runs=settings.open_runs,
        open_streams=settings.open_streams,
    )
