"""The directive grammar."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from midstream.simulator.directives import (
    MODELS,
    AnswerScript,
    DirectiveError,
    HttpFailure,
    Incident,
    ToolAsk,
    read_directives,
    script_for,
)


@pytest.mark.parametrize(
    ("prompt", "script"),
    [
        ("[[tokens=500 rate=50 first=2s]]", AnswerScript(tokens=500, rate=50, first_s=2)),
        ("[[reasoning=40]] [[sources=3]]", AnswerScript(reasoning=40, sources=3)),
        ("[[long=2m]]", AnswerScript(long_s=120)),
        ("[[size=64 headers=250ms]]", AnswerScript(size=64, headers_s=0.25)),
        ("[[echo]] [[ refuse ]]", AnswerScript(echo=True, refuse=True)),
        ("[[steps=2]]", AnswerScript(steps=2)),
        (
            "[[hold=door-1 after=20]]",
            AnswerScript(incidents=(Incident("hold", 20, name="door-1"),)),
        ),
        (
            "[[stall=5s after=20]] [[cut after=30]]",
            AnswerScript(incidents=(Incident("stall", 20, duration_s=5), Incident("cut", 30))),
        ),
        ("[[eof]]", AnswerScript(incidents=(Incident("eof"),))),
        ("[[malformed after=5]]", AnswerScript(incidents=(Incident("malformed", 5),))),
        (
            "[[error=overloaded after=10]]",
            AnswerScript(incidents=(Incident("error", 10, name="overloaded"),)),
        ),
        ("[[http=429 times=2 retry=1ms]]", AnswerScript(http=HttpFailure(429, 2, 0.001))),
        ("[[http=500]]", AnswerScript(http=HttpFailure(500))),
        (
            '[[tool=a {"b": [[1], "]]"]}]][[tool]]',
            AnswerScript(tools=(ToolAsk("a", '{"b": [[1], "]]"]}'), ToolAsk())),
        ),
    ],
)
def test_prompt_sets_the_script(prompt: str, script: AnswerScript) -> None:
    """Each directive has the effect of the table, and leaves no text behind."""
    assert read_directives(prompt) == (script, "")


@pytest.mark.parametrize(
    "prompt",
    [
        "[[tokns=5]]",
        "[[hold]]",
        "[[hold=a/b]]",
        "[[tokens=many]]",
        "[[tokens=-1]]",
        "[[tokens=10000000]]",
        "[[tokens=5 sometimes]]",
        "[[tokens=5",
        "[[first=soon]]",
        "[[first=25h]]",
        "[[http=200]]",
        "[[error=boredom]]",
        "[[tool=a {broken]]",
        "[[tool=a {} b]]",
    ],
)
def test_prompt_with_a_mistake_is_refused(prompt: str) -> None:
    """A mistyped directive is an error, not an answer to something else."""
    with pytest.raises(DirectiveError, match="unable to read"):
        read_directives(prompt)


@pytest.mark.parametrize("prompt", ["see [[a page]]", "x = y[[0]]", "[[Tokens]]", "a ]] b [["])
def test_other_brackets_are_text(prompt: str) -> None:
    """Text in brackets that is no directive stays in the prompt."""
    assert read_directives(prompt) == (AnswerScript(), prompt)


@given(st.text())
def test_any_text_is_read_or_refused(prompt: str) -> None:
    """No prompt breaks the parser."""
    try:
        read_directives(prompt)
    except DirectiveError:
        return


def test_text_keeps_its_words_around_directives() -> None:
    """Directives are taken out; the words stay in order."""
    assert read_directives("Say [[rate=0]]hello [[echo]]").text == "Say hello"


@pytest.mark.parametrize("model", MODELS)
def test_every_model_has_a_readable_preset(model: str) -> None:
    """Presets are written in the grammar."""
    assert script_for(model, "Hi").text == "Hi"


def test_prompt_overrides_the_models_preset() -> None:
    """A model sets what the prompt does not."""
    script = script_for("sim-slow", "[[first=0]]").script
    assert (script.rate, script.first_s) == (8, 0)


def test_prompt_names_the_tool_instead_of_the_models_choice() -> None:
    """A tool that the prompt names is not called beside the preset's."""
    assert script_for("sim-tools", "[[tool=a]]").script.tools == (ToolAsk("a"),)
    assert script_for("sim-tools", "go").script.tools == (ToolAsk(),)


def test_tool_may_be_called_in_one_step_only() -> None:
    """The others of the script have their own."""
    text = '[[tool=a {"x": 1} step=2]] [[tool=b step=1]] [[tool=c]]'
    assert read_directives(text).script.tools == (
        ToolAsk("a", '{"x": 1}', 2),
        ToolAsk("b", None, 1),
        ToolAsk("c"),
    )


def test_unknown_model_behaves_as_the_default() -> None:
    """A real model's name is as good as `sim`."""
    assert script_for("claude-anything", "Hi") == script_for("sim", "Hi")
