"""The registry of agents, and agents that settings name."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from midstream import Agent, Run
from midstream.agents.base import AgentTraits
from midstream.agents.registry import Agents, import_agent
from midstream.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


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


def test_function_is_an_agent(module: ModuleType) -> None:
    """Clients ask for it by its name in the settings."""
    agent = import_agent("mine", f"{module.__name__}:answer")
    assert (agent.name, agent.answer, agent.models) == ("mine", answer, ())


def test_agent_is_imported_under_its_name_in_the_settings(module: ModuleType) -> None:
    """Its own name is for applications that are given it as an object."""
    agent = import_agent("mine", f"{module.__name__}:whole")
    assert (agent.name, agent.answer, agent.models) == ("mine", answer, ("m",))


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
