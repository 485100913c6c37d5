"""Agent keys: the programs that may write runs from outside, and their users."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Any

import pytest
from litestar.connection import ASGIConnection

from midstream.api.auth.agent_keys import AgentKey, AgentKeys, create_agent_keys
from midstream.api.auth.gate import Gate
from midstream.api.auth.tokens import Anonymous
from midstream.errors import ForbiddenError, InvalidRequestError, UnauthorizedError
from midstream.ids import ANONYMOUS, TenantId, UserId
from midstream.sessions.access import Caller, Role, check_create
from midstream.settings.sections import AgentKeySettings, AuthSettings, Settings
from tests.unit.gateway.api.fakes import http_scope

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "agent-key-of-the-worker-1f2e3d"
OTHER = "agent-key-of-the-proxy-9a8b7c"


def gate(keys: Mapping[str, AgentKey | str], *, tokens_required: bool) -> Gate:
    return Gate(
        Anonymous(),
        AgentKeys(
            {name: AgentKey(key) if isinstance(key, str) else key for name, key in keys.items()},
            tokens_required=tokens_required,
        ),
        origins=(),
        hosts=(),
        cookie="",
    )


def connection(**headers: str) -> ASGIConnection[Any, Any, Any, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ASGIConnection(http_scope("POST", "/api/agent/runs", named))


@pytest.mark.parametrize("tokens_required", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"bearer {KEY}"},
        {"x_midstream_key": OTHER},
        {"x_midstream_key": KEY, "authorization": "Bearer of-the-provider"},
        {"x_api_key": KEY},
    ],
)
def test_agent_with_a_key_acts_for_the_user_it_names(
    headers: dict[str, str], tokens_required: bool
) -> None:
    """Any of the keys, in any of its headers; the user is the `sub` of their tokens."""
    admitted = gate({"worker": KEY, "proxy": OTHER}, tokens_required=tokens_required)
    caller = admitted.admit_agent(connection(x_midstream_user="auth0|7", **headers), "x-api-key")
    name = "proxy" if headers.get("x_midstream_key") == OTHER else "worker"
    assert caller == Caller(user=UserId("auth0=7C7"), agent_key=name)


@pytest.mark.parametrize("tokens_required", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {KEY}"},
        {"authorization": f"Bearer {KEY}x"},
        {"authorization": f"Bearer {KEY[:-1]}"},
        {"authorization": "Bearer ä"},
        {"x_midstream_key": "wrong", "authorization": f"Bearer {KEY}"},
        {"x_api_key": KEY},
        {"cookie": f"token={KEY}"},
    ],
)
def test_agent_without_one_of_the_keys_is_refused_and_its_key_seen_nowhere(
    headers: dict[str, str], tokens_required: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A key that is nearly right is wrong; neither answer nor log repeats it."""
    caplog.set_level(logging.DEBUG)
    with pytest.raises(UnauthorizedError) as refused:
        gate({"worker": KEY}, tokens_required=tokens_required).admit_agent(
            connection(x_midstream_user="ann", **headers)
        )
    assert KEY[:8] not in refused.value.message + caplog.text


def test_agent_that_names_no_user_is_everybody_or_acts_for_the_sessions_owner() -> None:
    """Where people have tokens, it may write to every session, and names a user to begin one."""
    bearer = connection(authorization=f"Bearer {KEY}")
    assert gate({"a": KEY}, tokens_required=False).admit_agent(bearer) == Caller(agent_key="a")
    operator = gate({"a": KEY}, tokens_required=True).admit_agent(bearer)
    assert operator == Caller(user=ANONYMOUS, role=Role.OPERATOR, agent_key="a")
    with pytest.raises(InvalidRequestError, match="x-midstream-user"):
        check_create(operator)
    check_create(Caller())


def test_user_may_be_named_in_any_script() -> None:
    """The header is UTF-8; what is not is refused, and no user is guessed."""
    keys = AgentKeys({}, tokens_required=False)
    assert keys.identify(None, "zoë".encode().decode("latin-1")).user == "zo=C3=AB"
    with pytest.raises(UnauthorizedError):
        keys.identify(None, "zoë")


def test_agents_are_open_without_keys_only_while_everything_is() -> None:
    """On loopback nothing is needed; where people have tokens, no key means no agent."""
    anyone = connection(authorization="Bearer sk-of-a-provider")
    assert gate({}, tokens_required=False).admit_agent(anyone) == Caller(address="127.0.0.1")
    with pytest.raises(UnauthorizedError):
        gate({}, tokens_required=True).admit_agent(anyone)


def test_page_cannot_be_an_agent() -> None:
    """A web page may not write runs into a gateway on the loopback of its reader."""
    with pytest.raises(ForbiddenError):
        gate({}, tokens_required=False).admit_agent(connection(origin="https://evil.example"))


def test_key_is_told_from_a_providers_so_that_it_is_not_passed_on() -> None:
    """Our key is recognised in any header."""
    ours = gate({"a": KEY, "b": OTHER}, tokens_required=False)
    assert ours.is_agent_key(KEY) and ours.is_agent_key(OTHER)
    assert not ours.is_agent_key("sk-provider") and not ours.is_agent_key(None)
    assert not gate({}, tokens_required=False).is_agent_key("")


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (KEY, True),
        (f"Bearer {KEY}", True),
        (f'Custom token="{KEY}"', True),
        ("Basic " + base64.b64encode(f"user:{KEY}".encode()).decode(), True),
        (f"key={OTHER}&x=1", True),
        ("Basic sk-provider", False),
        ("Bearer sk-provider", False),
        ("", False),
    ],
)
def test_agent_key_is_found_wherever_it_stands(value: str, *, holds: bool) -> None:
    """An SDK may put its `api_key` into any header, in any form."""
    ours = gate({"worker": KEY, "other": OTHER}, tokens_required=False)
    assert ours.holds_agent_key(value.encode()) == holds
    assert not gate({}, tokens_required=False).holds_agent_key(value.encode())


def test_keys_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings name variables; the key is nowhere else."""
    monkeypatch.setenv("WORKER_KEY", KEY)
    worker = AgentKeySettings(
        key_env="WORKER_KEY", tenant="acme corp", agents=("poet",), users="owner"
    )
    settings = Settings(auth=AuthSettings(mode="jwt"), agent_keys={"worker": worker})
    keys = create_agent_keys(settings)
    assert keys.name_of(KEY) == "worker"
    limits: Any = {
        "tenant": TenantId("acme=20corp"),
        "agents": frozenset({"poet"}),
        "begins": False,
        "agent_key": "worker",
    }
    assert keys.identify(KEY, None) == Caller(role=Role.OPERATOR, **limits)
    assert keys.identify(KEY, "ann") == Caller(user=UserId("ann"), **limits)
