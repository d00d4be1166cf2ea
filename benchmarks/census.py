"""The census over ten million rows × eight columns, beside Spark's own counts of the same groups.

Run as `benchmarks/census.py PROJECT PROGRAM …` it times the programs in one session, again and again in turn, and
writes one line of JSON to stdout: the seconds of each program's runs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from processes import run_watched
from workloads import Workload, equal_sizes, write_project

from modelfactory.commands.opening import open_inputs
from modelfactory.commands.project_options import ProjectOptions
from modelfactory.commands.workspace import open_workspace
from modelfactory.spark.census import take_census
from modelfactory.spark.session import open_session

CENSUS = "census"
WORKLOAD = Workload(
    name=CENSUS, title="100,000 groups × 100 rows × 6 features", sizes=equal_sizes(100_000, 100), features=6
)
WARMING, ROUNDS = 2, 7
NAMES = {
    "census": "the census",
    "count": "`groupBy(key).count()`, which reads the key alone",
    "sums": "`groupBy(key)`, the count and the sum of each column",
}


@dataclass(frozen=True, slots=True)
class Counted:
    """Seconds that one program took: first in a session of its own, and the median in a session that is warm."""

    program: str
    first: float
    warm: float


def census_workload(folder: Path, environment: Mapping[str, str]) -> list[Counted]:
    """Count the rows of a hundred thousand groups in every way."""
    write_project(WORKLOAD, folder)
    time.sleep(2)  # what was just written is still on its way to the disk
    first = {program: _run(folder, [program], 1, environment)[program][0] for program in NAMES}
    warm = _run(folder, list(NAMES), WARMING + ROUNDS, environment)
    found = [Counted(program, first[program], median(warm[program][WARMING:])) for program in NAMES]
    for counted in found:
        print(f"{CENSUS}: {counted}", file=sys.stderr)
    return found


def report(found: Sequence[Counted]) -> list[str]:
    """Return the lines of the report."""
    if not found:
        return []
    lines = ["", "## Census", "", f"{WORKLOAD.title}, to the driver; medians of {ROUNDS} rounds in turn.", ""]
    lines += ["| program | s | census, ratio | first in a session, s | census, ratio |", "|" + " --- |" * 5]
    own = found[0]
    for row in found:
        cells = [NAMES[row.program], f"{row.warm:.2f}", f"{own.warm / row.warm:.2f}"]
        cells += [f"{row.first:.2f}", f"{own.first / row.first:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _run(folder: Path, programs: Sequence[str], rounds: int, environment: Mapping[str, str]) -> dict[str, list[float]]:
    done = run_watched([sys.executable, __file__, str(folder), str(rounds), *programs], environment)
    seconds: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return seconds


# In a process of its own -------------------------------------------------------------------------------------------


def main(folder: str, rounds: str, *programs: str) -> None:
    """Time programs in a session as `mf build` opens it."""
    from pyspark.sql import functions as F

    workspace = open_workspace(ProjectOptions(project_dir=Path(folder), variables={}, environ=os.environ))
    with open_session(workspace.project.target, name=CENSUS, log=Path(folder) / "spark.log") as spark:
        opened = open_inputs(spark, workspace)["models"]
        table = spark.read.parquet(str(Path(folder) / "data" / "rows.parquet"))
        sums = [F.sum(name) for name in table.columns if name != "g"]
        ways: dict[str, Callable[[], object]] = {
            "census": lambda: take_census([opened], classes=[False]),
            "count": lambda: table.groupBy("g").count().toArrow(),
            "sums": lambda: table.groupBy("g").agg(F.count(F.lit(1)), *sums).toArrow(),
        }
        seconds: dict[str, list[float]] = {program: [] for program in programs}
        for _ in range(int(rounds)):
            for program in programs:
                began = time.perf_counter()
                ways[program]()
                seconds[program].append(time.perf_counter() - began)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
