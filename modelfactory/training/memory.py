"""What a worker may take of the machine's memory."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path

import pyarrow as pa


def limit_memory(limit: int) -> None:
    """Let allocations beyond a limit fail with `MemoryError`, which is one group's fault, in the place of the machine.

    Does nothing where the system does not count what a process has allocated (macOS).

    Args:
        limit: bytes of memory that this process may fill; the libraries take some 300 MB of them.
    """
    if sys.platform != "linux":
        return
    pa.set_memory_pool(pa.system_memory_pool())  # the usual one takes a gigabyte at a time, whether it is filled or not
    # The system counts what is allocated. What was allocated before and is not filled must not count.
    allocated, filled = _status("VmData"), _status("RssAnon")
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = limit + max(0, allocated - filled)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted if most < 0 else min(wanted, most), most))


def _status(name: str) -> int:
    """Return an amount of memory of this process in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    return 0


def give_way() -> None:
    """Have the system end this process first when memory runs out: it costs a group, and Spark's JVM costs the run."""
    with contextlib.suppress(OSError):  # another system, or one that does not let us
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
