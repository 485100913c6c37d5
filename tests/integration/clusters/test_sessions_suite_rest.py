"""What is left of the sessions' suite, over a cluster."""

# ruff: noqa: F403 - the tests are those of the modules that are named
from __future__ import annotations

import pytest

from tests.integration.sessions.test_branches import *
from tests.integration.sessions.test_claims import *
from tests.integration.sessions.test_deletions import *
from tests.integration.sessions.test_own_sends import *
from tests.integration.sessions.test_repeated_sends import *
from tests.integration.sessions.test_runs import *
from tests.integration.sessions.test_waits import *

pytestmark = [pytest.mark.anyio, pytest.mark.release]  # type: ignore[assignment]
