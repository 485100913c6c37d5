"""The sessions' suite over a cluster: several gateways, take-overs, pushed runs."""

# ruff: noqa: F403 - the tests are those of the modules that are named
from __future__ import annotations

from tests.integration.sessions.test_pushed import *
from tests.integration.sessions.test_resume import *
from tests.integration.sessions.test_several_gateways import *
