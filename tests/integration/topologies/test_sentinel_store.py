"""The store keeps its contract on a primary behind Sentinels: the tests of one server, again."""

from __future__ import annotations

import pytest

from tests.integration.store import (
    test_append,
    test_close,
    test_delete,
    test_handover,
    test_lease,
    test_open,
    test_queue,
    test_read,
    test_side_runs,
    test_stop,
    test_waiting,
)
from tests.support.behind_sentinels import (
    behind_sentinels,
    no_key_without_ttl,
    raw_redis,
    redis_url,
    those_of,
)

__all__ = ["behind_sentinels", "no_key_without_ttl", "raw_redis", "redis_url"]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

globals().update(
    those_of(
        test_append,
        test_close,
        test_delete,
        test_handover,
        test_lease,
        test_open,
        test_queue,
        test_read,
        test_side_runs,
        test_stop,
        test_waiting,
        # A hundred connections, each of which asks the Sentinels first.
        without=("test_reordered_and_repeated_appends_leave_the_log_in_sequence",),
    )
)
