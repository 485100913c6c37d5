"""Whose limits hold for whom."""

from __future__ import annotations

import pytest

from midstream.ids import TenantId, UserId
from midstream.limits.policy import Policy, Quota, policy_of
from midstream.sessions.access import Caller
from midstream.settings.limits import LimitSettings
from midstream.settings.sections import Settings

ALL = Policy(
    callers=Quota(open_runs=1), tenants=Quota(open_runs=2), agent_keys=Quota(open_streams=3)
)
ANN = UserId("ann")
ACME = TenantId("acme")


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        (Caller(user=ANN), ["user:/ann"]),
        (Caller(user=ANN, tenant=ACME), ["user:acme/ann", "tenant:acme"]),
        (Caller(address="203.0.113.7"), ["address:203.0.113.7"]),
        (Caller(user=ANN, address="203.0.113.7"), ["address:203.0.113.7"]),
        (Caller(user=ANN, tenant=ACME, agent_key="worker"), ["key:worker", "tenant:acme"]),
    ],
)
def test_caller_has_the_limits_of_who_they_have_shown_to_be(
    caller: Caller, expected: list[str]
) -> None:
    """A name that nothing shows is nobody's: the address counts."""
    assert [scope.name for scope in ALL.scopes(caller)] == expected


def test_scope_without_limits_is_not_asked_for() -> None:
    """Tenants and agent keys are unlimited by default: no round trip is made for them."""
    policy = policy_of(Settings())
    assert policy.scopes(Caller(agent_key="worker", tenant=ACME)) == []
    assert len(policy.scopes(Caller(user=ANN, tenant=ACME))) == 1


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (LimitSettings(), "tenants=all agent_keys=all"),
        (LimitSettings(open_runs=0), "callers=open_runs tenants=all agent_keys=all"),
        (
            LimitSettings(sends_per_minute=0, open_runs=0, open_streams=0),
            "callers=all tenants=all agent_keys=all",
        ),
    ],
)
def test_log_line_names_what_is_unlimited(limits: LimitSettings, expected: str) -> None:
    """An operator reads it at start."""
    assert policy_of(Settings(limits=limits)).unlimited == expected
