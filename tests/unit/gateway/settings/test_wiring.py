"""Agents made from settings: which there are, and who answers."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import Raw

from midstream import Agent, Run
from midstream.agents.base import AgentRequest, AgentTraits
from midstream.agents.registry import Agents, import_agent
from midstream.agents.tools.api import tool_options
from midstream.agents.tools.configured import make_tools
from midstream.errors import AgentNotFoundError, SettingsError
from midstream.ids import ANONYMOUS, RunId, SessionId
from midstream.live_demo.agents import outliving_workers
from midstream.providers.base import ToolCall, ToolOptions
from midstream.settings.agents import (
    AgentSettings,
    ClientToolSettings,
    ProviderToolSettings,
    ToolOptionSettings,
)
from midstream.settings.providers import SIMULATED_KINDS
from midstream.settings.sections import Settings
from midstream.wiring import default_agents, open_agents

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def answer(run: Run) -> None:
    await run.text("Fine.")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A module of an operator's own."""
    made = ModuleType("agents_of_mine")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    made.answer = answer  # type: ignore[attr-defined]
    made.nothing = 7  # type: ignore[attr-defined]
    made.plain = lambda run: None  # type: ignore[attr-defined]
    (tmp_path / "broken_agents.py").write_text("agent = 1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    made.whole = Agent("whole", answer, models=("m",))  # type: ignore[attr-defined]
    return made


def test_first_agent_answers_unless_the_settings_name_another() -> None:
    """A request need not name one."""
    first, second = Agent("first", answer), Agent("second", answer)
    for default, expected in (("", first), ("second", second)):
        agents = Agents(default)
        agents.add(first)
        agents.add(second)
        assert agents.find(None, None) is expected
        assert agents.find("first", None) is first


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
    assert list(default_agents({})) == list(SIMULATED_KINDS)
    keys = {"ANTHROPIC_API_KEY": "k", "OPENAI_API_KEY": "k"}
    names = list(default_agents(keys))
    assert names[0] == "simulator"
    assert {"anthropic", "openai"} <= set(names)


def test_agents_of_the_demo_outlive_the_worker_that_a_visitor_kills() -> None:
    """All of them go on elsewhere; the first one, whom a visitor asks, without a word twice."""
    agents = outliving_workers(default_agents({"ANTHROPIC_API_KEY": "k"}))
    first = next(iter(agents.values()))
    assert (first.provider, first.provider_options) == ("simulator-openai", {"background": True})
    assert {agent.on_interruption for agent in agents.values()} == {"restart"}
    assert list(agents) == ["simulator-openai", "simulator", "simulator-openai-chat", "anthropic"]


def test_function_is_an_agent(module: ModuleType) -> None:
    """Clients ask for it by its name in the settings."""
    agent = import_agent("mine", f"{module.__name__}:answer")
    assert (agent.name, agent.answer, agent.models) == ("mine", answer, ())


def test_agent_is_imported_under_its_name_in_the_settings(module: ModuleType) -> None:
    """Its own name is for applications that are given it as an object."""
    agent = import_agent("mine", f"{module.__name__}:whole")
    assert (agent.name, agent.answer, agent.models) == ("mine", answer, ("m",))


async def test_agents_given_in_python_are_all_there_are_unless_others_are_configured() -> None:
    """The first one answers whoever names none; nothing simulated stands beside them."""
    given = [Agent("one", answer, models=("m",)), Agent("two", answer)]
    async with open_agents(Settings(), given) as agents:
        assert [offer.name for offer in agents.offers()] == ["one", "two"]
        assert agents.find(None, "m").name == "one"
        with pytest.raises(AgentNotFoundError):
            agents.find("one", "other")


async def test_two_agents_of_one_name_are_a_wrong_setting() -> None:
    """Neither could be told from the other."""
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
    "path",
    [
        *(
            "agents_of_mine",
            "agents_of_mine:gone",
            "agents_of_mine:nothing",
            "agents_of_mine:plain",
        ),
        "no.such.module:agent",
        "broken_agents:agent",
    ],
)
@pytest.mark.usefixtures("module")
def test_agent_that_cannot_be_made_is_a_wrong_setting(path: str) -> None:
    """The sentence names the agent and the path."""
    with pytest.raises(SettingsError) as refused:
        import_agent("mine", path)
    assert "`mine`" in refused.value.message
    assert path in refused.value.message


def add(one: int, two: int) -> int:
    """Add two numbers."""
    return one + two


def is_large(one: int) -> bool:
    return one > 10


@pytest.fixture
def tools_module(module: ModuleType) -> str:
    """A module with tools; returns its name."""
    module.add = add  # type: ignore[attr-defined]
    module.is_large = is_large  # type: ignore[attr-defined]
    return module.__name__


def with_tools(**fields: Any) -> AgentSettings:
    return AgentSettings(provider="simulator", model="m", **fields)


def test_agent_has_the_tools_of_its_settings(tools_module: str) -> None:
    """Those executed here, then the client's, then the provider's."""
    agent = with_tools(
        tools=(f"{tools_module}:add",),
        needs_approval={"add": f"{tools_module}:is_large"},
        client_tools={"ask": ClientToolSettings(description="Ask.")},
        provider_tools={"search": ProviderToolSettings(type="web_search", args={"max_uses": 2})},
    )
    tools = make_tools("a", agent)
    ours, client, provider = tools.specs
    assert (ours.name, ours.description, tools.executes("add")) == ("add", "Add two numbers.", True)
    assert (client.name, client.description, tools.executes("ask")) == ("ask", "Ask.", False)
    assert b'"object"' in bytes(client.input_schema)
    assert (provider.name, provider.provider_type) == ("search", "web_search")
    assert provider.provider_args is not None
    assert bytes(provider.provider_args) == b'{"max_uses":2}'


def test_tool_has_the_options_of_its_settings_over_its_own(module: ModuleType) -> None:
    """What the settings leave unset is the function's to say."""
    module.add = tool_options(strict=True, defer_loading=True)(lambda one: one)  # type: ignore[attr-defined]
    module.add.__name__ = "add"
    agent = with_tools(
        tools=(f"{module.__name__}:add",),
        tool_options={"add": ToolOptionSettings(defer_loading=False)},
        client_tools={"ask": ClientToolSettings(allowed_callers=("direct",))},
    )
    ours, client = make_tools("a", agent).specs
    assert ours.options == ToolOptions(strict=True, defer_loading=False)
    assert client.options == ToolOptions(allowed_callers=("direct",))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"tools": ("{}:gone",)}, "gone"),
        ({"tools": ("{}:nothing",)}, "nothing"),
        ({"tools": ("{}",)}, "package.module:name"),
        ({"tools": ("{}:add", "{}:add")}, "add"),
        ({"tools": ("{}:add",), "client_tools": {"add": ClientToolSettings()}}, "add"),
        ({"tools": ("{}:add",), "needs_approval": {"sub": True}}, "sub"),
        ({"tools": ("{}:add",), "needs_approval": {"add": "{}:gone"}}, "gone"),
        ({"client_tools": {"ask": ClientToolSettings()}, "needs_approval": {"ask": True}}, "ask"),
        ({"tools": ("{}:add",), "tool_options": {"sub": ToolOptionSettings()}}, "sub"),
    ],
)
def test_tool_that_cannot_be_made_is_a_wrong_setting(
    fields: dict[str, Any], named: str, tools_module: str
) -> None:
    """The sentence names the agent, and what is wrong."""

    def filled(value: Any) -> Any:
        if isinstance(value, str):
            return value.format(tools_module)
        if isinstance(value, tuple):
            return tuple(map(filled, value))
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        return value

    with pytest.raises(SettingsError) as refused:
        make_tools("mine", with_tools(**filled(fields)))
    assert "mine" in refused.value.message
    assert named in refused.value.message


class Executing(Agent):
    """An agent of the operator's own, which executes tools itself."""

    def __init__(self) -> None:
        super().__init__("executing", answer)
        self.traits = AgentTraits(executes=lambda name: name == "add")


def test_imported_agent_of_another_class_keeps_what_it_can_do(module: ModuleType) -> None:
    """It is renamed, and nothing else of it."""
    module.executing = Executing()  # type: ignore[attr-defined]
    agent = import_agent("mine", "agents_of_mine:executing")
    assert (agent.name, module.executing.name) == ("mine", "executing")
    assert agent.traits.executes("add")


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


class _Transfer:
    """A tool that is an object."""

    def __call__(self, amount: int) -> int:
        """Send money."""
        return amount


def test_tool_that_is_an_object_asks_as_its_settings_say(module: ModuleType) -> None:
    """Its name is its class's, for models and for `needs_approval` alike."""
    module.transfer = _Transfer()  # type: ignore[attr-defined]
    settings = AgentSettings(
        provider="simulator",
        model="m",
        tools=("agents_of_mine:transfer",),
        needs_approval={"_Transfer": True},
    )
    tools = make_tools("a", settings)
    request = AgentRequest(
        session_id=SessionId("s"),
        run_id=RunId("r"),
        message_id="a",
        user=ANONYMOUS,
        history=[],
        model=None,
        body=Raw(b"{}"),
        new_id=lambda: "approval_1",
    )
    call = ToolCall(id="c", name="_Transfer", input=Raw(b'{"amount":1}'))
    (asked,) = asyncio.run(tools.ask([call], request))
    assert asked.tool_call_id == "c"
