"""Right answers of the simulated models to the demo's own questions."""

from __future__ import annotations

import math
import re

from hypothesis import given
from hypothesis import strategies as st

from midstream.simulator.words.known import answer_to, prime_factors, thoughts_on
from midstream.simulator.words.prose import take_pieces, write_answer, write_thoughts


@given(st.integers(1, 100_000))
def test_prime_factors_multiply_to_the_number(number: int) -> None:
    """Each of them is prime."""
    factors = prime_factors(number)
    assert math.prod(factors) == number
    assert all(all(factor % d for d in range(2, math.isqrt(factor) + 1)) for factor in factors)


@given(st.integers(1, 100_000))
def test_model_says_rightly_whether_a_number_is_prime(number: int) -> None:
    """With its factors, if it has any; every product that is named comes to the number."""
    prompt = f"Is {number} a prime number?"
    answer, thoughts = answer_to(prompt), thoughts_on(prompt)
    assert answer is not None and thoughts is not None
    assert answer.startswith("Yes") == (len(prime_factors(number)) == 1)
    for product in re.findall(r"\d+(?: × \d+)+", answer + thoughts):
        assert math.prod(map(int, product.split(" × "))) == number


def test_model_answers_the_question_of_the_card() -> None:
    """3599 is one less than a square."""
    question = "Is 3599 a prime number?"
    assert "3599 = 59 × 61" in "".join(take_pieces(write_answer(question), 200))
    assert "59 × 61 = 3599. Yes." in "".join(take_pieces(write_thoughts(question), 200))


def test_model_shows_code_a_list_and_a_table_on_request() -> None:
    """All three, and whole."""
    answer = answer_to("Show me how a client resumes a stream, with code, a list and a table.")
    assert answer is not None
    assert answer.count("```") == 2
    assert "\n- **" in answer and "|---|" in answer


def test_model_does_not_know_everything() -> None:
    """The model says so, and names the subjects that it knows."""
    assert answer_to("Is it a prime example?") is None
    assert thoughts_on("Why?") is None
    assert "I am a simulated model" in "".join(take_pieces(write_answer("Why?"), 40))
