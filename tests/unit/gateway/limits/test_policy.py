"""Limits of each kind of caller."""

from __future__ import annotations

import pytest

from midstream.ids import TenantId, UserId
from midstream.limits.policy import Policy, Quota, policy_of, said
from midstream.sessions.access import Caller
from midstream.settings.limits import LimitSettings
from midstream.settings.sections import ServerSettings, Settings

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
        (LimitSettings(stored_bytes=1, tokens_per_day=1), "tenants=all agent_keys=all"),
        (LimitSettings(), "callers=stored_bytes,tokens_per_day tenants=all agent_keys=all"),
        (
            LimitSettings(open_runs=0, tokens_per_day=1),
            "callers=open_runs,stored_bytes tenants=all agent_keys=all",
        ),
        (
            LimitSettings(sends_per_minute=0, open_runs=0, open_streams=0),
            "callers=all tenants=all agent_keys=all",
        ),
    ],
)
def test_log_line_names_what_is_unlimited(limits: LimitSettings, expected: str) -> None:
    """An operator reads it at start."""
    assert policy_of(Settings(limits=limits)).unlimited == expected


@pytest.mark.parametrize(
    ("demo", "limits", "expected"),
    [
        (False, LimitSettings(), (0, 0)),
        (True, LimitSettings(), (100_000_000, 1_000_000)),
        (True, LimitSettings(stored_bytes=0, tokens_per_day=5), (0, 5)),
    ],
)
def test_demo_limits_bytes_and_tokens_unless_settings_say_otherwise(
    demo: bool, limits: LimitSettings, expected: tuple[int, int]
) -> None:
    """Anybody may visit a demo; other gateways are limited by their settings."""
    policy = policy_of(Settings(server=ServerSettings(demo=demo), limits=limits))
    assert (policy.callers.stored_bytes, policy.callers.tokens_per_day) == expected
    assert (policy.tenants.stored_bytes, policy.agent_keys.tokens_per_day) == (0, 0)


@pytest.mark.parametrize(
    ("limit", "count", "reset_ms", "expected"),
    [
        (
            "sends_per_minute",
            1_200,
            900,
            "1,200 messages a minute are the limit here: try again in 1 second",
        ),
        (
            "open_runs",
            3,
            0,
            "3 answers at the same time are the limit here: send again when one has ended",
        ),
        ("stored_bytes", 900, 9_000, "900 bytes of stored"),
        ("stored_bytes", 1_500_000_000, 0, "1.5 GB of stored"),
        ("tokens_per_day", 5, 90_000, "5 tokens a day are the limit here: try again in 90 seconds"),
        ("tokens_per_day", 5, 7_200_001, "try again in 3 hours"),
        ("tokens_per_day", 5, 200_000, "try again in 4 minutes"),
        ("tokens_per_day", 5, 0, "send again when an answer that is being written has ended"),
    ],
)
def test_sentence_says_the_limit_and_what_to_do(
    limit: str, count: int, reset_ms: int, expected: str
) -> None:
    """In units that a person reads."""
    assert expected in said(limit, Quota(**{limit: count}), reset_ms)
