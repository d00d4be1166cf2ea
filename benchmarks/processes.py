"""Run a command and watch the memory of all its processes."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_INTERVAL = 0.5


@dataclass(slots=True)
class Watched:
    """What a command took.

    Attributes:
        seconds: wall time of the whole process.
        peak: peak bytes by role: `driver` for the first process, `jvm`, and `workers` for all other Pythons. Each page
            that processes share counts once, in equal parts (PSS).
        stdout: what it wrote.
    """

    seconds: float = 0.0
    peak: dict[str, int] = field(default_factory=dict)
    stdout: str = ""


def run_watched(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Watched:
    """Run a command to its end and return what it took; stops the program where the command failed."""
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
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\nexit code {process.returncode}\n{stderr[-4000:]}")
    return watched


def last_events(project: Path) -> dict[str, dict[str, Any]]:
    """Return the last event of each kind that a command of `mf` has told of a project."""
    lines = (project / "target" / "logs" / "mf.log").read_text(encoding="utf-8").splitlines()
    return {event["event"]: event for event in map(json.loads, lines)}


def _watch(root: int, peak: dict[str, int], stop: threading.Event) -> None:
    while not stop.wait(_INTERVAL):
        now: dict[str, int] = {}
        for pid in _family(root):
            try:
                # The program, not its name: what the JVM has just forked is not a worker yet.
                program = Path(f"/proc/{pid}/exe").readlink().name
                size = _shared_size(pid)
            except (OSError, StopIteration):
                continue
            role = "driver" if pid == root else "jvm" if program == "java" else "workers"
            now[role] = now.get(role, 0) + size
        for role, size in now.items():
            peak[role] = max(peak.get(role, 0), size)


def _shared_size(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) << 10


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
