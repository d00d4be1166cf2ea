"""How well a Spark job keeps its slots busy, from Spark's event log."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Stage:
    """The stage of a job that trains.

    Attributes:
        makespan: seconds from the start of its first task to the end of its last.
        tasks: seconds of each of its tasks.
    """

    makespan: float
    tasks: Sequence[float]

    def bound(self, slots: int) -> float:
        """Return the seconds below which no placement of the same tasks can come."""
        return max([sum(self.tasks) / slots, *self.tasks])


def logging_to(folder: Path) -> dict[str, str]:
    """Return what makes a PySpark in a child process write its event log to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    conf = {"enabled": "true", "dir": folder.as_uri(), "compress": "false", "rolling.enabled": "false"}
    options = " ".join(f"--conf spark.eventLog.{key}={value}" for key, value in conf.items())
    return {"PYSPARK_SUBMIT_ARGS": f"{options} pyspark-shell"}


def training_stage(folder: Path) -> Stage | None:
    """Return the stage that took its tasks longest, or None where there is no log."""
    tasks: dict[tuple[str, int], list[tuple[int, int]]] = defaultdict(list)
    for file in folder.iterdir():
        for line in file.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["Event"] == "SparkListenerTaskEnd":
                info = event["Task Info"]
                tasks[file.name, event["Stage ID"]].append((info["Launch Time"], info["Finish Time"]))
    if not tasks:
        return None
    longest = max(tasks.values(), key=lambda times: sum(end - start for start, end in times))
    makespan = max(end for _, end in longest) - min(start for start, _ in longest)
    return Stage(makespan / 1000, [(end - start) / 1000 for start, end in longest])
