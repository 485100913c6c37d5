"""The store's suite over a cluster: the life of a run."""

# ruff: noqa: F403 - the tests are those of the modules that are named
from __future__ import annotations

from tests.integration.store.test_append import *
from tests.integration.store.test_close import *
from tests.integration.store.test_handover import *
from tests.integration.store.test_open import *
from tests.integration.store.test_read import *
from tests.integration.store.test_stop import *
