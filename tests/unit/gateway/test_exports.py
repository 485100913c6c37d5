"""The exports of `midstream`, and the cost of importing it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import midstream

HEAVY = (
    "litestar",
    "redis",
    "anthropic",
    "openai",
    "aiohttp",
    "msgspec",
    "midstream.protocol",
    "asyncio",
)


@pytest.mark.parametrize("name", midstream.__all__)
def test_public_name_is_there(name: str) -> None:
    """Imported when it is asked for, and listed before that."""
    assert getattr(midstream, name) is not None
    assert name in dir(midstream)


def test_unknown_name_is_an_attribute_error() -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match="Nothing"):
        _ = midstream.Nothing


def test_importing_the_package_imports_nothing_else() -> None:
    """A part of it that needs no server is as quick as its own imports."""
    program = f"import sys, midstream; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
