"""Run workloads with `mf build` and with their peers, side by side, and write a report.

Run as `python benchmarks/run.py [NAME …]`. A whole run writes docs/benchmarks.md, a part of it build/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from census import CENSUS, census_workload
from census import report as census_report
from commands import MF, command_timings, start_timings
from processes import run_watched
from report import Result, write_report
from reuse import REUSE, reuse_workload
from reuse import report as reuse_report
from scoring import LOAD, SCORE, load_workload, score_workload
from scoring import report as scoring_report
from stages import logging_to, training_stage
from workloads import WORKLOADS, Workload, write_project

from modelfactory.commands.archiving import make_archive
from modelfactory.commands.cache import cache_folder

HERE = Path(__file__).parent
WHOLE, PART = HERE.parent / "docs" / "benchmarks.md", HERE.parent / "build" / "benchmarks.md"
COMMANDS, START = "commands", "start"


def run_mf(workload: Workload, project: Path, environment: dict[str, str]) -> Result:
    """Build a workload's project from nothing."""
    log = project / "mf.log"
    threads = ["--threads", "2"] if workload.sizes is None else []
    command = [*MF, "build", "--quiet", "--project-dir", str(project), *threads]
    watched = run_watched(command, {**environment, **logging_to(log)})
    versions = []
    for manifest in sorted((project / "store").glob("*/manifest.json")):
        version = json.loads(manifest.read_text(encoding="utf-8"))["versions"][-1]
        versions.append(version)
    one = len(versions) == 1
    began = min(datetime.fromisoformat(version["started_at"]) for version in versions)
    ended = max(datetime.fromisoformat(version["published_at"]) for version in versions)
    return Result(
        program="mf",
        job=versions[0]["wall_seconds"] if one else (ended - began).total_seconds(),
        whole=watched.seconds,
        peak=watched.peak,
        cpu=sum(version["cpu_seconds"] for version in versions),
        stage=training_stage(log) if one else None,
    )


def run_peer(peer: str, workload: Workload, data: Path, out: Path) -> Result:
    """Run one peer."""
    arguments = [peer, str(data), str(out), workload.estimator, json.dumps(workload.params or {})]
    log = out.with_suffix(".log")
    watched = run_watched([sys.executable, str(HERE / "peers.py"), *arguments], logging_to(log))
    seconds = json.loads(watched.stdout.splitlines()[-1])["seconds"]
    stage = training_stage(log) if workload.sizes is not None else None
    return Result(program=peer, job=seconds, whole=watched.seconds, peak=watched.peak, stage=stage)


def main() -> None:
    """Run what is named, or all."""
    known = [*WORKLOADS, CENSUS, REUSE, SCORE, LOAD, COMMANDS, START]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    chosen = names or known
    results: dict[str, list[Result]] = {}
    with tempfile.TemporaryDirectory(prefix="mf-bench-") as temporary:
        folder = Path(temporary)
        environment = {"XDG_CACHE_HOME": str(folder / "cache"), "MODELFACTORY_ARCHIVE": "off"}
        make_archive(cache_folder(environment))
        for name in chosen:
            if name in WORKLOADS:
                results[name] = _run(WORKLOADS[name], folder / name, environment)
        commands = command_timings(folder / COMMANDS) if COMMANDS in chosen else []
        starts = start_timings(folder / START, folder / "cache") if START in chosen else []
        counted = census_workload(folder / CENSUS, environment) if CENSUS in chosen else []
        rebuilt = reuse_workload(folder / REUSE, environment) if REUSE in chosen else []
        scored = score_workload(folder / SCORE, environment) if SCORE in chosen else []
        loads = load_workload(folder / LOAD, environment) if LOAD in chosen else None
    apart = [*census_report(counted), *reuse_report(rebuilt), *scoring_report(scored, loads)]
    write_report(results, apart, commands, starts, PART if names else WHOLE)
    print(f"wrote {PART if names else WHOLE}", file=sys.stderr)


def _run(workload: Workload, project: Path, environment: dict[str, str]) -> list[Result]:
    data = write_project(workload, project)
    time.sleep(2)  # what was just written is still on its way to the disk
    rows = [run_mf(workload, project, environment)]
    _tell(workload, rows[0])
    for peer in workload.peers:
        rows.append(run_peer(peer, workload, data, project / f"{peer}.out"))
        _tell(workload, rows[-1])
    shutil.rmtree(project)
    return rows


def _tell(workload: Workload, row: Result) -> None:
    print(f"{workload.name}: {row.program} {row.job:.1f} s, whole process {row.whole:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
