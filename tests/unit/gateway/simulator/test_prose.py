"""The text that stands for an answer."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from midstream.simulator.words.prose import (
    split_pieces,
    take_pieces,
    take_sized,
    take_whole,
    write_answer,
)


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    """Nothing is lost or changed in splitting."""
    assert "".join(split_pieces(text)) == text


@given(st.text())
def test_same_prompt_has_the_same_answer(prompt: str) -> None:
    """An answer follows from its prompt."""
    assert take_pieces(write_answer(prompt), 200) == take_pieces(write_answer(prompt), 200)


def test_other_prompt_has_another_answer() -> None:
    """Prompts are answered differently."""
    assert take_pieces(write_answer("a"), 200)[50:] != take_pieces(write_answer("b"), 200)[50:]


def test_answer_is_markdown_of_every_kind() -> None:
    """A long answer has headings, both lists, code, a table and more than ASCII."""
    text = "".join(itertools.islice(write_answer("Tell me"), 100))
    for mark in ("\n## ", "\n- **", "\n1. **", "```", "|---|"):
        assert mark in text
    assert not text.isascii()


def test_long_answer_says_nothing_twice_before_it_has_said_everything() -> None:
    """Two minutes at the pace of the demo's card: no heading comes again."""
    text = "".join(take_pieces(write_answer("Tell me"), 2880))
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert len(headings) > 15
    assert len(headings) == len(set(headings))


@given(st.integers(1, 500))
def test_whole_answer_ends_with_a_whole_block(at_least: int) -> None:
    """An answer of no given length is not cut in a sentence or after a heading."""
    text = "".join(take_whole(write_answer("Tell me"), at_least))
    assert text.endswith("\n\n") or text.endswith("|\n\n")
    assert not text.rstrip().splitlines()[-1].startswith("#")


@given(st.integers(1, 40), st.integers(1, 200))
def test_sized_pieces_have_their_size(count: int, size: int) -> None:
    """Every piece has exactly the bytes asked for, and is valid UTF-8."""
    pieces = take_sized(write_answer("Tell me"), count, size)
    assert [len(piece.encode()) for piece in pieces] == [size] * count


def test_long_question_is_quoted_in_whole_words() -> None:
    """A visitor reads what they asked, cut where a word ends."""
    asked = "Where does an answer live when everything around it breaks? Tell me at length."

    assert next(write_answer(asked)).startswith(
        "You asked: *Where does an answer live when everything around it…*"
    )
