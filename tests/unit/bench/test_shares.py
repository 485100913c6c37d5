"""Samples of `perf` are counted by what they stand for."""

from __future__ import annotations

import pytest

from tests.bench.shares import shares_of

_SAMPLES = {
    "kernel: send": "ffffffff81 tcp_sendmsg+0x12 ([kernel.kallsyms])\n"
    "ffffffff82 do_syscall_64+0x1 ([kernel.kallsyms])\n"
    "7f01 __GI___libc_send+0x5 (/usr/lib/libc.so.6)",
    "kernel: other": "ffffffff83 irqentry_exit+0x2 ([kernel.kallsyms])",
    "Python: running code": "7f02 _PyEval_EvalFrameDefault+0x77 (/opt/lib/libpython3.11.so.1.0)",
    "Python: memory": "7f03 _PyObject_Malloc+0x3 (/opt/lib/libpython3.11.so.1.0)",
    "Python: objects": "7f04 PyDict_GetItem+0x3 (/usr/bin/python3.11)",
    "uvloop": "7f05 __pyx_pw_6uvloop+0x3 (/v/site-packages/uvloop/loop.cpython-311.so)",
    "libc": "7f06 __memmove_avx+0x3 (/usr/lib/libc.so.6)",
}


@pytest.mark.parametrize(("kind", "sample"), _SAMPLES.items())
def test_sample_is_counted_for_its_innermost_code(kind: str, sample: str) -> None:
    """A system call for what was asked of the kernel, a library by its name."""
    assert shares_of(f"midstream\n\t{sample}\n\n") == {kind: 1.0}


def test_shares_are_of_all_samples_the_largest_first() -> None:
    """Blank lines part the samples; one without frames is none."""
    python, other = _SAMPLES["Python: memory"], _SAMPLES["libc"]
    script = f"m\n\t{python}\n\nm\n\t{other}\n\nm\n\t{python}\n\nm\n\nm\n\t{python}\n\n"

    assert list(shares_of(script).items()) == [("Python: memory", 0.75), ("libc", 0.25)]
