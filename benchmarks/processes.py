"""Run a command and watch the memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

_INTERVAL = 0.2


@dataclass(slots=True)
class Watched:
    """What a command took.

    Attributes:
        seconds: wall time of the whole process.
        peak: peak resident bytes by role: `driver` for the first Python, `jvm`, and `workers` for all other Pythons.
        exit_code: its exit code.
        stdout: what it wrote.
        stderr: the end of what it wrote there.
    """

    seconds: float = 0.0
    peak: dict[str, int] = field(default_factory=dict)
    exit_code: int = 0
    stdout: str = ""
    stderr: str = ""


def run_watched(command: list[str], environment: dict[str, str] | None = None) -> Watched:
    """Run a command to its end and return what it took."""
    watched = Watched()
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, watched.peak, stop), daemon=True)
    watcher.start()
    watched.stdout, stderr = process.communicate()
    watched.seconds = time.perf_counter() - began
    stop.set()
    watcher.join()
    watched.exit_code, watched.stderr = process.returncode, stderr[-4000:]
    return watched


def _watch(root: int, peak: dict[str, int], stop: threading.Event) -> None:
    while not stop.wait(_INTERVAL):
        now: dict[str, int] = {}
        for pid in _family(root):
            try:
                name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
                pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1])
            except (OSError, IndexError, ValueError):
                continue
            role = "driver" if pid == root else "jvm" if name == "java" else "workers"
            now[role] = now.get(role, 0) + pages * os.sysconf("SC_PAGE_SIZE")
        for role, size in now.items():
            peak[role] = max(peak.get(role, 0), size)


def _family(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += children.get(pid, [])
    return found
