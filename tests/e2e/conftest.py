"""What a person does, from outside."""

from __future__ import annotations

from tests.support.fixtures import pytest_runtest_makereport

__all__ = ["pytest_runtest_makereport"]
