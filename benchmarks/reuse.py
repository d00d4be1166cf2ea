"""Builds of a hundred thousand groups after nothing, or one group in a hundred, has changed."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from commands import MF
from processes import last_events, run_watched
from workloads import WORKLOADS, write_project

REUSE = "reuse"
WORKLOAD = "linear_100k"
EVERY = 100
"""One group in so many gets other rows."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What one build took, in seconds.

    Attributes:
        build: what had changed before it.
        whole: of the process.
        family: of the family, from the start of the census to publishing.
        census: of the census.
        training: of the job that trains.
        trained: groups.
    """

    build: str
    whole: float
    family: float
    census: float
    training: float
    trained: int


def reuse_workload(folder: Path, environment: Mapping[str, str]) -> list[Rebuilt]:
    """Build all groups, build again, and build with other rows in one group of a hundred."""
    project = folder / WORKLOAD
    data = write_project(WORKLOADS[WORKLOAD], project)
    time.sleep(2)  # what was just written is still on its way to the disk
    found = [_built("everything is new", project, environment), _built("nothing has changed", project, environment)]
    _change(data)
    found.append(_built("1 % of the groups has other rows", project, environment))
    return found


def report(found: list[Rebuilt]) -> list[str]:
    """Return the lines of the report."""
    if not found:
        return []
    lines = ["", "## Building again", "", f"{WORKLOADS[WORKLOAD].title}, from the shell.", ""]
    lines += ["| build | process, s | family, s | census, s | training, s | groups trained |", "|" + " --- |" * 6]
    for row in found:
        cells = [
            row.build,
            *(f"{s:.2f}" for s in (row.whole, row.family, row.census, row.training)),
            f"{row.trained:,}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _built(build: str, project: Path, environment: Mapping[str, str]) -> Rebuilt:
    done = run_watched([*MF, "build", "--quiet", "--project-dir", str(project)], environment)
    events = last_events(project)
    parts, ended = events["timings"], events["family_finished"]
    found = Rebuilt(
        build=build,
        whole=done.seconds,
        family=ended["seconds"],
        census=parts["census_seconds"],
        training=parts["training_seconds"],
        trained=ended["groups"].get("trained", 0),
    )
    print(f"{REUSE}: {found}", file=sys.stderr)
    return found


def _change(data: Path) -> None:
    """Shift the labels of one group in a hundred."""
    table = pq.read_table(data)
    quotient = pc.divide(table["g"], EVERY)
    chosen = pc.equal(table["g"], pc.multiply(quotient, EVERY))
    label = pc.if_else(chosen, pc.add(table["y"], 1.0), table["y"])
    index = table.column_names.index("y")
    pq.write_table(table.set_column(index, "y", pa.chunked_array(label.chunks)), data)
