"""What is left of the store's suite, over a cluster."""

# ruff: noqa: F403 - the tests are those of the modules that are named
from __future__ import annotations

import pytest

from tests.integration.store.test_delete import *
from tests.integration.store.test_format import *
from tests.integration.store.test_housekeeping import *
from tests.integration.store.test_lease import *
from tests.integration.store.test_limits import *
from tests.integration.store.test_queue import *
from tests.integration.store.test_queue_model import *
from tests.integration.store.test_side_runs import *
from tests.integration.store.test_stored_bytes import *
from tests.integration.store.test_waiting import *

pytestmark = [pytest.mark.anyio, pytest.mark.release]  # type: ignore[assignment]
