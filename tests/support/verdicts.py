"""What an examination has found."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from midstream.store.server.verdict import Verdict


def bad(found: Mapping[str, Verdict]) -> dict[str, str]:
    """Return what is dangerous or at fault, without the speed: that is the machine's.

    `tests/unit/gateway/store/test_examination.py` tries what is said of it.
    """
    return {name: str(v.level) for name, v in found.items() if v.is_bad and name != "speed"}
