"""The recipes of docs/agents.md that proxy, run as they stand there."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.recipes import write_recipes
from tests.support.sessions import text_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fixtures import Deployment

pytestmark = pytest.mark.anyio

PROMPT: Final = '[[tool=weather {"city":"Paris"}]] [[steps=2]] [[tokens=6]]'
_CALLERS: Final = {
    "proxied_loop": """
tool = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
functions = {"weather": lambda city: '{"celsius": 21}'}
print(answer(session, "t", question, [tool], functions, model="sim-instant"))
""",
    "proxied_agents": """
import asyncio
print(asyncio.run(answer(session, "t", question, model="sim-instant")))
""",
}


@pytest.mark.parametrize("name", _CALLERS)
async def test_recipe_shows_its_turn_in_the_session(
    deployment: Deployment, tmp_path: Path, name: str
) -> None:
    """Every step, with text, tools and their results."""
    session = deployment.session()
    write_recipes(tmp_path)
    caller = f"import sys\nfrom {name} import answer\nsession, question = sys.argv[1:]"
    done = subprocess.run(  # noqa: ASYNC221, S603 - nothing else is to be done meanwhile
        [sys.executable, "-c", caller + _CALLERS[name], session.id, PROMPT],
        env={
            "OPENAI_BASE_URL": f"{session.at.url}/proxy/openai/v1",
            "OPENAI_API_KEY": "any",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",
            "PYTHONPATH": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    user, answer = (await session.snapshot())["messages"]

    assert text_of(user) == PROMPT
    tools: list[Any] = [part for part in answer["parts"] if part["type"] == "tool-weather"]
    assert [part["output"] for part in tools] == [{"celsius": 21}] * 2
    assert done.stdout.strip() == text_of(answer)
