"""Questions that the simulated models can answer, not only talk about: those the demo offers."""

from __future__ import annotations

import math
import re
from typing import Final

_PRIME_QUESTION: Final = re.compile(r"\bis ([1-9]\d{0,8}) (?:a )?prime", re.IGNORECASE)
_RESUME_QUESTION: Final = re.compile(
    r"\bresumes?\b.*\bcode\b.*\btable\b", re.IGNORECASE | re.DOTALL
)

_RESUMING: Final = """\
A client resumes a stream by asking for what comes after the last chunk that it has seen:

```ts
let last: number | undefined;

async function follow(id: string, show: (chunk: unknown) => void) {
  const after = last === undefined ? '' : `?after=${last}`;
  const response = await fetch(`/api/chat/${id}/stream${after}`);
  if (response.status === 204) return; // nothing is running
  for await (const event of serverSentEvents(response.body)) {
    last = Number(event.id);
    show(JSON.parse(event.data));
  }
}
```

Three things make it safe:

- **The number comes with the chunk,** so that it can never run ahead of what was shown.
- **The server stores first,** so that it can still answer the question after a crash.
- **No number means everything so far,** in one piece: that is what a reload asks for.

What the answer tells the client:

| status | meaning | then |
|---|---|---|
| 200 | the answer is under way | show what comes |
| 204 | nothing is running | load the session |
| 410 | that number is not known here | ask without a number |

With `useChat` none of this has to be written: `resume: true` does it.

"""


def answer_to(prompt: str) -> str | None:
    """Return the answer to a prompt, as Markdown that ends with a blank line; None: not known."""
    if (number := _asked_number(prompt)) is not None:
        return _about_prime(number)
    return _RESUMING if _RESUME_QUESTION.search(prompt) else None


def thoughts_on(prompt: str) -> str | None:
    """Return what leads to the answer to a prompt; None: it needs no thought, or is not known."""
    number = _asked_number(prompt)
    return None if number is None else _thoughts_on_prime(number)


def prime_factors(number: int) -> list[int]:
    """Return the prime factors, smallest first; of 1 there are none."""
    factors: list[int] = []
    divisor = 2
    while divisor * divisor <= number:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1 if divisor == 2 else 2
    return [*factors, number] if number > 1 else factors


def _asked_number(prompt: str) -> int | None:
    found = _PRIME_QUESTION.search(prompt)
    return None if found is None else int(found[1])


def _about_prime(number: int) -> str:
    factors = prime_factors(number)
    if not factors:
        return "No. By definition the primes begin with 2.\n\n"
    if len(factors) == 1:
        limit = math.isqrt(number)
        return f"Yes, {number} is a prime number: nothing from 2 to {limit} divides it.\n\n"
    product = " × ".join(map(str, factors))
    text = f"No: **{number} = {product}**.\n\n"
    if (root := _root_above(number)) is not None:
        text += (
            f"The quick way to see it: {number} is one less than {root}², and a difference of two "
            f"squares is a product. {root}² − 1² = ({root} − 1) × ({root} + 1) = "
            f"{root - 1} × {root + 1}.\n\n"
        )
    return text


def _thoughts_on_prime(number: int) -> str:
    limit = math.isqrt(number)
    thoughts = [
        f"Is {number} prime? If it has a factor, the smallest one is at most its square root, "
        f"which lies between {limit} and {limit + 1}."
    ]
    if number % 2:
        digits = sum(map(int, str(number)))
        by_three = "so 3 divides it" if digits % 3 == 0 else "so 3 does not divide it either"
        thoughts.append(f"It is odd. Its digits add up to {digits}, {by_three}.")
    if (root := _root_above(number)) is not None:
        thoughts.append(
            f"Before trying every prime: {number} + 1 = {number + 1} = {root}². That makes it "
            f"{root}² − 1, which is ({root} − 1) × ({root} + 1). "
            f"Check: {root - 1} × {root + 1} = {(root - 1) * (root + 1)}. Yes."
        )
    factors = prime_factors(number)
    if len(factors) > 1:
        thoughts.append(f"So the factors are {' and '.join(map(str, factors))}, all of them prime.")
    elif factors:
        thoughts.append("None of the primes up to there divides it, so it is one itself.")
    return " ".join(thoughts)


def _root_above(number: int) -> int | None:
    """Return the root of the next number, if that is a square; larger than 2."""
    root = math.isqrt(number + 1)
    return root if root > 2 and root * root == number + 1 else None
