"""What a worker may take of the machine's memory."""

from __future__ import annotations

import contextlib
import resource
import sys
from pathlib import Path


def limit_memory(limit: int) -> None:
    """Let allocations beyond a limit fail with `MemoryError`, which is one group's fault, in the place of the machine.

    Does nothing where the system does not count what a process has allocated (macOS).

    Args:
        limit: bytes that this process may allocate; the libraries take some 300 MB of them.
    """
    if sys.platform == "linux":
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (limit if most < 0 else min(limit, most), most))


def give_way() -> None:
    """Have the system end this process first when memory runs out: it costs a group, and Spark's JVM costs the run."""
    with contextlib.suppress(OSError):  # another system, or one that does not let us
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
