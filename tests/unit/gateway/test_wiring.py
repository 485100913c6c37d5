"""Agents made from settings: which there are, and their defaults."""

from __future__ import annotations

from typing import Any

import pytest

from midstream import Agent, Run
from midstream.app import session_limits
from midstream.errors import AgentNotFoundError, SettingsError
from midstream.live_demo.agents import outliving_workers
from midstream.process.serve import with_redis_url
from midstream.settings.agents import AgentSettings
from midstream.settings.provider_kinds import simulators
from midstream.settings.sections import Settings
from midstream.store.calls import HELD_S
from midstream.wiring import default_agents, open_agents

pytestmark = pytest.mark.anyio


async def answer(run: Run) -> None:
    await run.text("Fine.")


async def test_agent_or_model_that_is_not_configured_is_not_found() -> None:
    """A client cannot have a model that the operator does not offer."""
    settings = Settings(agents={"a": AgentSettings(provider="simulator", model="m", models=("n",))})
    async with open_agents(settings) as agents:
        for model in (None, "m", "n"):
            assert agents.find("a", model).name == "a"
        for name, model in (("b", None), ("a", "x")):
            with pytest.raises(AgentNotFoundError):
                agents.find(name, model)


def test_gateway_without_agents_has_simulated_ones_and_real_ones_by_key() -> None:
    """The default stays simulated: a key in the environment costs nobody money unasked."""
    assert list(default_agents({})) == list(simulators())
    keys = {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}
    names = list(default_agents(keys))
    assert names[0] == "simulator"
    assert {"anthropic", "openai"} <= set(names)


def test_agents_of_the_demo_outlive_the_worker_that_a_visitor_kills() -> None:
    """All of them resume elsewhere; the first one, which visitors meet, without a repeated word."""
    agents = outliving_workers(default_agents({"ANTHROPIC_API_KEY": "k"}))
    first = next(iter(agents.values()))
    assert (first.provider, first.provider_options) == ("simulator-openai", {"background": True})
    assert {agent.on_interruption for agent in agents.values()} == {"restart"}
    assert list(agents) == ["simulator-openai", "simulator", "simulator-openai-chat", "anthropic"]


async def test_agents_given_in_python_are_all_there_are_unless_others_are_configured() -> None:
    """The first one answers whoever names none; nothing simulated stands beside them."""
    given = [Agent("one", answer, models=("m",)), Agent("two", answer)]
    async with open_agents(Settings(), given) as agents:
        assert [offer.name for offer in agents.offers()] == ["one", "two"]
        assert agents.find(None, "m").name == "one"
        with pytest.raises(AgentNotFoundError):
            agents.find("one", "other")


def test_runs_are_held_for_longer_where_others_replace_a_primary(
    subtests: pytest.Subtests,
) -> None:
    for url, seconds in (
        ("redis://db", 0),
        ("unix:///run/redis.sock", 0),
        ("redis+cluster://db-1,db-2", HELD_S),
        ("rediss+sentinel://s-1,s-2/mine", HELD_S),
    ):
        with subtests.test(url):
            settings = with_redis_url(Settings(), url)
            assert session_limits(settings).producers.held_s == seconds
    assert session_limits(Settings()).producers.held_s == 0


async def test_two_agents_of_one_name_are_a_wrong_setting() -> None:
    """A name must tell agents apart."""
    configured = Settings(agents={"a": AgentSettings(provider="simulator", model="m")})
    with pytest.raises(SettingsError, match="`a`"):
        async with open_agents(configured, [Agent("a", answer)]):
            pass


async def test_default_agent_that_is_not_there_is_a_wrong_setting() -> None:
    """Whether it would have been configured or given."""
    given = [Agent("a", answer)]
    async with open_agents(Settings(default_agent="a"), given) as agents:
        assert agents.find(None, None).name == "a"
    with pytest.raises(SettingsError, match="`b`"):
        async with open_agents(Settings(default_agent="b"), given):
            pass


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (answer, r"give a `midstream\.Agent\(name, function\)`"),
        (object(), r"give a `midstream\.Agent\(name, function\)`"),
        ({"executes": True}, r"its `traits` must be an AgentTraits"),
    ],
)
async def test_application_that_gives_no_agent_is_told_so(given: Any, told: str) -> None:
    """Not when the first message comes, with an AttributeError."""
    if isinstance(given, dict):
        agent = Agent("mine", answer)
        agent.traits = given  # type: ignore[assignment] # what mypy would not let through
        given = agent
    with pytest.raises(SettingsError, match=told):
        async with open_agents(Settings(), [given]):
            pass
